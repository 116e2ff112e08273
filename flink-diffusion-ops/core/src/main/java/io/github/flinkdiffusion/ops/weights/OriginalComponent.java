/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * One network's tensors in a file that has its authors' names, shown under diffusers'. The file may
 * hold other networks beside it.
 */
final class OriginalComponent {
  /** Before the names of the denoising network: in a file of several networks, and in its own. */
  static final List<String> NETWORK_PREFIXES = List.of("model.diffusion_model.", "");

  private static final String UNET_MARK = "input_blocks.0.0.weight";
  private static final String VAE_MARK = "decoder.mid.block_1.norm1.weight";
  private static final List<String> VAE = List.of("vae.", "first_stage_model.", "");

  private static final String CLIP = "cond_stage_model.transformer.";
  private static final String CLIP_XL = "conditioner.embedders.0.transformer.";
  private static final String CLIP_L = "text_encoders.clip_l.transformer.";
  private static final String CLIP_G = "text_encoders.clip_g.transformer.";
  private static final String CLIP_MARK = "text_model.embeddings.position_embedding.weight";
  private static final String OPEN_CLIP = "cond_stage_model.model.";
  private static final String OPEN_CLIP_XL = "conditioner.embedders.1.model.";
  private static final String OPEN_CLIP_REFINER = "conditioner.embedders.0.model.";
  private static final String OPEN_CLIP_MARK = "positional_embedding";
  private static final String T5 = "text_encoders.t5xxl.transformer.";

  /** Language models in a file of several networks, where transformers' names follow. */
  private static final Map<String, String> LANGUAGE_MODELS =
      Map.of(
          "Qwen2_5_VLForConditionalGeneration", "text_encoders.qwen25_7b.transformer.",
          "Qwen3Model", "text_encoders.qwen3_4b.transformer.",
          "Qwen3ForCausalLM", "text_encoders.qwen3_4b.transformer.");

  private static final String VIDEO_VAE_MARK = "decoder.middle.0.residual.0.gamma";

  /** GGUF files of text encoders are made by llama.cpp, which has names of its own. */
  private static final String T5_OF_GGML = "enc.blk.0.attn_q.weight";

  /** Tensors beside the networks' own: training's, or what is computed anew. */
  private static final Pattern IGNORED =
      Pattern.compile(
          "(?:text_model\\.)?embeddings\\.position_ids|logit_scale|attn_mask|loss\\..*|model_ema\\..*");

  private final String name;
  private final String className;
  private final Config config;

  /**
   * @param name of the component, for messages
   * @param className of diffusers or transformers
   */
  OriginalComponent(String name, String className, Config config) {
    this.name = name;
    this.className = className;
    this.config = config;
  }

  /** Whether a class is a network whose authors' names are known. */
  static boolean isNetwork(String className) {
    return switch (className) {
      case "UNet2DConditionModel",
          "AutoencoderKL",
          "AutoencoderKLQwenImage",
          "CLIPTextModel",
          "CLIPTextModelWithProjection",
          "T5EncoderModel" ->
          true;
      default -> LANGUAGE_MODELS.containsKey(className) || OriginalTransformers.isOne(className);
    };
  }

  /**
   * Whether a component's own file has the authors' names, or ggml's. CLIP has one set of names
   * there.
   */
  boolean isIn(Set<String> names) {
    return switch (className) {
      case "UNet2DConditionModel" ->
          NETWORK_PREFIXES.stream().anyMatch(prefix -> names.contains(prefix + UNET_MARK));
      case "T5EncoderModel" -> names.contains(T5_OF_GGML);
      case "AutoencoderKL" -> isAutoencoderIn(names, VAE_MARK);
      case "AutoencoderKLQwenImage" -> isAutoencoderIn(names, VIDEO_VAE_MARK);
      default ->
          LANGUAGE_MODELS.containsKey(className)
              ? names.stream().anyMatch(each -> each.startsWith(LANGUAGE_MODELS.get(className)))
              : isTransformerIn(names) && !OriginalTransformers.hasDiffusersNames(className, names);
    };
  }

  private static boolean isAutoencoderIn(Set<String> names, String mark) {
    return VAE.stream().anyMatch(prefix -> names.contains(prefix + mark));
  }

  private boolean isTransformerIn(Set<String> names) {
    return className.equals(OriginalTransformers.classOf(names));
  }

  /**
   * The network's tensors. Closing them closes the file's.
   *
   * @throws WeightsException if the file does not hold the network, or a tensor that is none of it
   */
  TensorStore show(TensorStore tensors) {
    return switch (className) {
      case "UNet2DConditionModel" -> unet(tensors);
      case "AutoencoderKL" -> vae(tensors);
      case "AutoencoderKLQwenImage" -> videoVae(tensors);
      case "T5EncoderModel" ->
          tensors.contains(T5_OF_GGML)
              ? rename(tensors, "", OriginalNames.T5OfGgml::transformersName, any -> false)
              : rename(tensors, T5, Optional::of, any -> false);
      default -> {
        if (OriginalTransformers.isOne(className)) {
          yield transformer(tensors);
        }
        yield LANGUAGE_MODELS.containsKey(className)
            ? rename(tensors, LANGUAGE_MODELS.get(className), Optional::of, any -> false)
            : text(tensors, className.endsWith("WithProjection"));
      }
    };
  }

  /** Whether the file holds the network at all. */
  boolean isHeldBy(TensorStore tensors) {
    if (className.equals("T5EncoderModel")) {
      return isIn(tensors.names())
          || tensors.names().stream().anyMatch(name -> name.startsWith(T5));
    }
    if (className.startsWith("CLIP")) {
      return tensors.names().stream()
          .anyMatch(
              name ->
                  name.startsWith("cond_stage_model.")
                      || name.startsWith("conditioner.")
                      || name.startsWith(CLIP_L)
                      || name.startsWith(CLIP_G));
    }
    return isIn(tensors.names())
        || OriginalTransformers.isOne(className) && isTransformerIn(tensors.names());
  }

  private TensorStore transformer(TensorStore tensors) {
    String found = OriginalTransformers.classOf(tensors.names());
    if (!className.equals(found)) {
      throw new WeightsException(
          "Weights %s: component '%s' is a %s, but the tensors are %s"
              .formatted(
                  tensors.source(),
                  name,
                  className,
                  found == null ? "of no transformer that is known" : "a " + found + "'s"));
    }
    String prefix = prefix(tensors, NETWORK_PREFIXES);
    int layers = OriginalTransformers.layers(tensors.names());
    MappedTensors.Builder mapped = new MappedTensors.Builder(tensors);
    forEach(
        tensors,
        prefix,
        original -> {
          String rest = original.substring(prefix.length());
          if (!OriginalTransformers.add(className, mapped, tensors, original, rest, layers)) {
            throw unknown(tensors, original);
          }
        });
    return mapped.build(name);
  }

  /**
   * The first that any name begins with. The empty one, which every name begins with, needs a
   * network of its own file.
   */
  private String prefix(TensorStore tensors, List<String> prefixes) {
    return prefixes.stream()
        .filter(
            each ->
                each.isEmpty()
                    ? isHeldBy(tensors)
                    : tensors.names().stream().anyMatch(name -> name.startsWith(each)))
        .findFirst()
        .orElseThrow(
            () ->
                nothingUnder(
                    tensors,
                    prefixes.stream()
                        .filter(each -> !each.isEmpty())
                        .collect(Collectors.joining("' or '"))));
  }

  private TensorStore unet(TensorStore tensors) {
    boolean textTime = config.string("addition_embed_type", "").equals("text_time");
    OriginalNames.UNet names =
        new OriginalNames.UNet(
            config.integer("layers_per_block", 2), textTime ? "add_embedding" : "class_embedding");
    return rename(tensors, prefix(tensors, NETWORK_PREFIXES), names::diffusersName, any -> false);
  }

  private TensorStore vae(TensorStore tensors) {
    String prefix = prefix(tensors, VAE);
    int levels = config.integers("block_out_channels", new int[] {64}).length;
    return rename(
        tensors, prefix, new OriginalNames.Vae(levels)::diffusersName, OriginalNames.Vae::isLinear);
  }

  private TensorStore videoVae(TensorStore tensors) {
    return rename(
        tensors,
        prefix(tensors, VAE),
        new OriginalNames.VideoVae(config.integer("num_res_blocks", 2))::diffusersName,
        any -> false);
  }

  /** The encoder whose width the config has, where there are two. */
  private TensorStore text(TensorStore tensors, boolean withProjection) {
    int width = config.integer("hidden_size", 512);
    if (!withProjection) {
      for (String prefix : new String[] {CLIP, CLIP_XL}) {
        if (has(tensors, prefix + CLIP_MARK, width)) {
          return rename(tensors, prefix, Optional::of, any -> false);
        }
      }
    }
    if (has(tensors, CLIP_L + CLIP_MARK, width)) {
      return clipL(tensors, width, withProjection);
    }
    if (has(tensors, CLIP_G + CLIP_MARK, width)) {
      return rename(tensors, CLIP_G, Optional::of, any -> false);
    }
    for (String prefix : new String[] {OPEN_CLIP, OPEN_CLIP_XL, OPEN_CLIP_REFINER}) {
      if (has(tensors, prefix + OPEN_CLIP_MARK, width)) {
        return openClip(tensors, prefix, withProjection);
      }
    }
    throw new WeightsException(
        "Checkpoint %s holds no text encoder of width %d for component '%s'"
            .formatted(tensors.source(), width, name));
  }

  /** Stable Diffusion 3 takes this encoder's pooled output as it is: its projection is none. */
  private TensorStore clipL(TensorStore tensors, int width, boolean withProjection) {
    String projection = "text_projection.weight";
    MappedTensors.Builder mapped = new MappedTensors.Builder(tensors);
    forEach(
        tensors,
        CLIP_L,
        original -> {
          String rest = original.substring(CLIP_L.length());
          if (!rest.equals(projection)) {
            mapped.add(rest, original, false);
          }
        });
    if (withProjection) {
      mapped.addIdentity(projection, CLIP_L + CLIP_MARK, width);
    }
    return mapped.build(name);
  }

  private static long last(TensorInfo info) {
    long[] shape = info.shape();
    return shape.length == 0 ? 0 : shape[shape.length - 1];
  }

  private static boolean has(TensorStore tensors, String mark, int width) {
    return tensors.contains(mark) && last(tensors.info(mark)) == width;
  }

  /**
   * OpenCLIP's projections of attention are one tensor each, and its text projection is the
   * transpose of ours. Of an encoder without projection only as many layers are there as the config
   * says: Stable Diffusion 2 does not use the last one.
   */
  private TensorStore openClip(TensorStore tensors, String prefix, boolean withProjection) {
    int layers = config.integer("num_hidden_layers", 12);
    MappedTensors.Builder mapped = new MappedTensors.Builder(tensors);
    forEach(
        tensors,
        prefix,
        original -> {
          String rest = original.substring(prefix.length());
          if (rest.equals("text_projection")) {
            if (withProjection) {
              mapped.addTransposed("text_projection.weight", original);
            }
            return;
          }
          if (!withProjection && rest.startsWith("transformer.resblocks." + layers + ".")) {
            return;
          }
          Optional<String> fused = OriginalNames.OpenClip.fusedProjections(rest);
          if (fused.isPresent()) {
            String leaf = rest.endsWith("weight") ? "weight" : "bias";
            String[] projections = {"q_proj", "k_proj", "v_proj"};
            for (int i = 0; i < projections.length; i++) {
              String name = fused.get() + "self_attn." + projections[i] + "." + leaf;
              mapped.addRows(name, original, i, projections.length);
            }
            return;
          }
          mapped.add(
              OriginalNames.OpenClip.diffusersName(rest)
                  .orElseThrow(() -> unknown(tensors, original)),
              original,
              false);
        });
    return mapped.build(name);
  }

  private TensorStore rename(
      TensorStore tensors,
      String prefix,
      Function<String, Optional<String>> names,
      Function<String, Boolean> asLinear) {
    MappedTensors.Builder mapped = new MappedTensors.Builder(tensors);
    forEach(
        tensors,
        prefix,
        original -> {
          String to =
              names
                  .apply(original.substring(prefix.length()))
                  .orElseThrow(() -> unknown(tensors, original));
          mapped.add(to, original, asLinear.apply(to));
        });
    return mapped.build(name);
  }

  private void forEach(TensorStore tensors, String prefix, Consumer<String> use) {
    List<String> own =
        tensors.names().stream()
            .filter(name -> name.startsWith(prefix))
            .filter(name -> !IGNORED.matcher(name.substring(prefix.length())).matches())
            .toList();
    if (own.isEmpty()) {
      throw nothingUnder(tensors, prefix);
    }
    own.forEach(use);
  }

  private WeightsException nothingUnder(TensorStore tensors, String prefix) {
    return new WeightsException(
        "Checkpoint %s holds no tensors for component '%s': none begins with '%s'"
            .formatted(tensors.source(), name, prefix));
  }

  private WeightsException unknown(TensorStore tensors, String original) {
    return new WeightsException(
        "Checkpoint %s: tensor '%s' is none that a %s has"
            .formatted(tensors.source(), original, className));
  }
}
