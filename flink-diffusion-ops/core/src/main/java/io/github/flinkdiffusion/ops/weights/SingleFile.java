/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * A checkpoint in one safetensors file, as CompVis and Stability published theirs and as web
 * interfaces exchange them: all networks' tensors under their authors' names, and no config.
 *
 * <p>As diffusers 0.42 does, the kind of model is told by a few of its tensors, and the configs are
 * those of that kind's first checkpoint. What tensors do not tell is therefore taken for granted:
 * any Stable Diffusion 2 is the 768 pixel one with v-prediction, any Stable Diffusion 1 and SDXL
 * predicts noise. What a file says itself counts more, see {@link SingleFileMarks}. A file for
 * which all that is wrong, or whose networks have another shape, needs the configs of a folder
 * beside it.
 */
final class SingleFile {
  private static final String MODELS = "single-file-models.json";
  private static final Pattern PICKLED = Pattern.compile(".*\\.(bin|ckpt|pt|pth|pkl)");

  private static final String UNET = "model.diffusion_model.";
  private static final String CONV_IN = UNET + "input_blocks.0.0.weight";
  private static final String V2 = UNET + "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight";
  private static final String UPSCALER = UNET + "input_blocks.10.0.skip_connection.bias";
  private static final List<String> VAE = List.of("vae.", "first_stage_model.");

  private static final String CLIP = "cond_stage_model.transformer.";
  private static final String CLIP_XL = "conditioner.embedders.0.transformer.";
  private static final String CLIP_MARK = "text_model.embeddings.position_embedding.weight";
  private static final String OPEN_CLIP = "cond_stage_model.model.";
  private static final String OPEN_CLIP_XL = "conditioner.embedders.1.model.";
  private static final String OPEN_CLIP_REFINER = "conditioner.embedders.0.model.";
  private static final String OPEN_CLIP_MARK = "positional_embedding";
  private static final String MARK_OF_XL_TEXT = "transformer.resblocks.9.mlp.c_proj.bias";

  /** Tensors beside the networks' own: training's, or what is computed anew. */
  private static final Pattern IGNORED =
      Pattern.compile(
          "(?:text_model\\.)?embeddings\\.position_ids|logit_scale|attn_mask|loss\\..*|model_ema\\..*");

  private final Path file;
  private final FileDigests digests;

  private SingleFile(Path file, FileDigests digests) {
    this.file = file;
    this.digests = digests;
  }

  /** The file as a model with inferred configs. */
  static ModelFolder open(Path file) {
    SingleFile single = of(file);
    String kind;
    SingleFileMarks marks;
    try (Safetensors tensors = single.tensors()) {
      kind = kind(tensors);
      marks = SingleFileMarks.of(tensors);
    }
    JsonNode models = models();
    JsonNode model = models.path("models").path(kind);
    Config index =
        Config.of(file + " [inferred model_index.json]", marks.markedIndex(model.path("index")));
    SortedMap<String, ModelComponent> components = new TreeMap<>();
    for (Map.Entry<String, JsonNode> entry : model.path("components").properties()) {
      String name = entry.getKey();
      JsonNode part = models.path("parts").path(entry.getValue().textValue());
      Config config =
          Config.of(
              file + " [inferred config of " + name + "]",
              name.equals(SingleFileMarks.SCHEDULER) ? marks.markedScheduler(part) : part);
      JsonNode type = index.node().path(name);
      components.put(
          name,
          single.component(
              name,
              type.path(0).textValue(),
              type.path(1).textValue(),
              Optional.empty(),
              Optional.of(config)));
    }
    return ModelFolder.of(file, index, components, single.digests);
  }

  /** The file's weights with a folder's configs and vocabularies. */
  static ModelFolder open(Path file, ModelFolder configs) {
    SingleFile single = of(file);
    single.tensors().close();
    SortedMap<String, ModelComponent> components = new TreeMap<>();
    for (String name : configs.componentNames()) {
      ModelComponent component = configs.component(name);
      components.put(
          name,
          isNetwork(component.className())
              ? single.component(
                  name,
                  component.library(),
                  component.className(),
                  component.folder(),
                  Optional.of(component.config()))
              : component);
    }
    return ModelFolder.of(file, configs.config(), components, single.digests);
  }

  private static SingleFile of(Path file) {
    if (PICKLED.matcher(file.getFileName().toString()).matches()) {
      throw new WeightsException(
          "Checkpoint %s is pickled and is not read: unpickling a file runs whatever code it holds. "
                  .formatted(file)
              + "Convert it once in Python, where you trust its author: "
              + "StableDiffusionPipeline.from_single_file(file).save_pretrained(newFolder, safe_serialization=True)");
    }
    return new SingleFile(file, new FileDigests());
  }

  private Safetensors tensors() {
    return Safetensors.open(file, digests);
  }

  private static JsonNode models() {
    try (InputStream in = SingleFile.class.getResourceAsStream(MODELS)) {
      return JsonMapper.builder().build().readTree(in);
    } catch (IOException e) {
      throw new AssertionError(MODELS + " is a resource beside this class", e);
    }
  }

  /** The kind of model, by diffusers' name for it and in the order in which it looks. */
  private static String kind(TensorStore tensors) {
    if (!tensors.contains(CONV_IN)) {
      throw new WeightsException(
          "Checkpoint %s is no single file of Stable Diffusion 1.x, 2.x or SDXL: it has no tensor '%s'%s"
              .formatted(
                  tensors.source(),
                  CONV_IN,
                  tensors.names().stream().anyMatch(LoraFile::isLoraName)
                      ? ". It looks like a LoRA, which is merged into a model and is none itself"
                      : ""));
    }
    if (tensors.contains("edm_mean")) {
      throw new WeightsException(
          "Checkpoint %s is of Playground 2.5 (it has 'edm_mean'), which is not supported"
              .formatted(tensors.source()));
    }
    boolean version2 = tensors.contains(V2) && last(tensors.info(V2)) == 1024;
    boolean xl = tensors.contains(OPEN_CLIP_XL + MARK_OF_XL_TEXT);
    long[] convIn = tensors.info(CONV_IN).shape();
    long channels = convIn.length == 4 ? convIn[1] : 0;
    if (channels == 9) {
      return version2 ? "inpainting_v2" : xl ? "xl_inpaint" : "inpainting";
    }
    if (version2) {
      return "v2";
    }
    if (xl) {
      return "xl_base";
    }
    if (tensors.contains(OPEN_CLIP_REFINER + MARK_OF_XL_TEXT)) {
      return "xl_refiner";
    }
    if (tensors.contains(UPSCALER)) {
      return "upscale";
    }
    return channels == 8 ? "instruct-pix2pix" : "v1";
  }

  private static long last(TensorInfo info) {
    long[] shape = info.shape();
    return shape.length == 0 ? 0 : shape[shape.length - 1];
  }

  private static boolean isNetwork(String className) {
    return switch (className) {
      case "UNet2DConditionModel",
          "AutoencoderKL",
          "CLIPTextModel",
          "CLIPTextModelWithProjection" ->
          true;
      default -> false;
    };
  }

  private ModelComponent component(
      String name,
      String library,
      String className,
      Optional<Path> folder,
      Optional<Config> config) {
    ComponentWeights weights =
        isNetwork(className) ? new Part(name, className, config.orElseThrow()) : new NoWeights();
    return new ModelComponent(name, library, className, folder, config, weights, digests);
  }

  /** A scheduler or tokenizer, which is all config. */
  private final class NoWeights implements ComponentWeights {
    @Override
    public TensorStore open(FileDigests unused) {
      throw new WeightsException("A single file (%s) has no weights for it".formatted(file));
    }

    @Override
    public List<Path> files() {
      return List.of();
    }
  }

  /** One network's tensors. */
  private final class Part implements ComponentWeights {
    private final String name;
    private final String className;
    private final Config config;

    Part(String name, String className, Config config) {
      this.name = name;
      this.className = className;
      this.config = config;
    }

    @Override
    public List<Path> files() {
      return List.of(file);
    }

    @Override
    public TensorStore open(FileDigests unused) {
      TensorStore tensors = tensors();
      try {
        return switch (className) {
          case "UNet2DConditionModel" -> unet(tensors);
          case "AutoencoderKL" -> vae(tensors);
          default -> text(tensors, className.endsWith("WithProjection"));
        };
      } catch (RuntimeException e) {
        tensors.close();
        throw e;
      }
    }

    private TensorStore unet(TensorStore tensors) {
      boolean textTime = config.string("addition_embed_type", "").equals("text_time");
      OriginalNames.UNet names =
          new OriginalNames.UNet(
              config.integer("layers_per_block", 2),
              textTime ? "add_embedding" : "class_embedding");
      return rename(tensors, UNET, names::diffusersName, name -> false);
    }

    private TensorStore vae(TensorStore tensors) {
      String prefix =
          VAE.stream()
              .filter(p -> tensors.names().stream().anyMatch(name -> name.startsWith(p)))
              .findFirst()
              .orElseThrow(() -> nothingUnder(String.join("' or '", VAE)));
      int levels = config.integers("block_out_channels", new int[] {64}).length;
      return rename(
          tensors,
          prefix,
          new OriginalNames.Vae(levels)::diffusersName,
          OriginalNames.Vae::isLinear);
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
      for (String prefix : new String[] {OPEN_CLIP, OPEN_CLIP_XL, OPEN_CLIP_REFINER}) {
        if (has(tensors, prefix + OPEN_CLIP_MARK, width)) {
          return openClip(tensors, prefix, withProjection);
        }
      }
      throw new WeightsException(
          "Checkpoint %s holds no text encoder of width %d for component '%s'"
              .formatted(file, width, name));
    }

    private static boolean has(TensorStore tensors, String mark, int width) {
      return tensors.contains(mark) && last(tensors.info(mark)) == width;
    }

    /**
     * OpenCLIP's projections of attention are one tensor each, and its text projection is the
     * transpose of ours. Of an encoder without projection only as many layers are there as the
     * config says: Stable Diffusion 2 does not use the last one.
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
                OriginalNames.OpenClip.diffusersName(rest).orElseThrow(() -> unknown(original)),
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
                    .orElseThrow(() -> unknown(original));
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
        throw nothingUnder(prefix);
      }
      own.forEach(use);
    }

    private WeightsException nothingUnder(String prefix) {
      return new WeightsException(
          "Checkpoint %s holds no tensors for component '%s': none begins with '%s'"
              .formatted(file, name, prefix));
    }

    private WeightsException unknown(String original) {
      return new WeightsException(
          "Checkpoint %s: tensor '%s' is none that a %s of Stable Diffusion 1.x, 2.x or SDXL has"
              .formatted(file, original, className));
    }
  }
}
