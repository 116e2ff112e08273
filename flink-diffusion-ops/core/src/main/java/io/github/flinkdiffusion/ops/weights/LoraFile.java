/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a LoRA file changes: for each layer of a network, the two factors of what is added to its
 * weight.
 *
 * <p>Three styles of keys are read: kohya's, where a layer's path is written with "_" for "." (and
 * is the original authors' path in files for SDXL and transformers); PEFT's, for transformers also
 * with the authors' paths; and diffusers' older ones. What diffusers cannot load either (a Tucker
 * core, LoHa, LoKr, biases) is refused by name.
 *
 * <p>The magnitudes of DoRA (Liu et al. 2024) are read in PEFT's spelling, {@code
 * lora_magnitude_vector}, and in kohya's, {@code dora_scale}.
 */
final class LoraFile {
  private static final Pattern KOHYA =
      Pattern.compile(
          "lora_(unet|te[123]?)_(\\w+)\\.(lora_down\\.weight|lora_up\\.weight|alpha|dora_scale)");
  private static final Pattern KOHYA_PREFIX = Pattern.compile("lora_(?:unet|te[123]?)_.+");

  private static final Pattern DIFFUSERS =
      Pattern.compile(
          "(unet|transformer|text_encoder|text_encoder_2|text_encoder_3)\\.(.+?)(?:\\.processor)?"
              + "(?:\\.to_(q|k|v|out)_lora|\\.lora|\\.lora_linear_layer)?"
              + "\\.(lora_A\\.weight|lora_B\\.weight|down\\.weight|up\\.weight|alpha"
              + "|lora_magnitude_vector(?:\\.weight)?)");

  /** A transformer's layers by its authors' names, as trainers other than diffusers write them. */
  private static final Pattern ORIGINAL =
      Pattern.compile(
          "(?:(?:base_model\\.model|diffusion_model)\\.(.+?)"
              + "|((?:double_blocks|single_blocks|joint_blocks|final_layer|img_in|txt_in|time_in"
              + "|vector_in|guidance_in|context_embedder|t_embedder|y_embedder)(?:\\..+?)?))"
              + "\\.(lora_A\\.weight|lora_B\\.weight|lora_down\\.weight|lora_up\\.weight|alpha)");

  private static final String TRANSFORMER = "transformer";

  private static final Pattern NUMBER_IN_PATH = Pattern.compile("_(\\d+)(?=_|$)");

  /** Metadata of files that diffusers and PEFT save: the configuration that was trained. */
  private static final String ADAPTER_METADATA = "lora_adapter_metadata";

  /**
   * A layer's change: {@code scale * alpha / rank * up down}.
   *
   * @param weight the parameter that it is added to
   * @param alphaOverRank the file's own factor
   * @param magnitude DoRA's length of each row of the sum; empty leaves it as it is
   * @param firstRow the row of {@code up} (and of the magnitudes) that belongs to the parameter's
   *     first row; the next ones follow, and after the last one the first: a layer of the authors
   *     may be several of the network's
   */
  record Change(
      String weight,
      String down,
      String up,
      double alphaOverRank,
      Optional<String> magnitude,
      int firstRow) {}

  /** One layer's tensors in the file; null if not there. */
  private static final class Layer {
    final String component;
    final String path;
    final boolean flattened;
    final boolean original;
    String down;
    String up;
    String alpha;
    String magnitude;

    Layer(String component, String path, boolean flattened, boolean original) {
      this.component = component;
      this.path = path;
      this.flattened = flattened;
      this.original = original;
    }

    Layer(String component, String path, boolean flattened) {
      this(component, path, flattened, false);
    }

    /** kohya's programs call every denoising network a UNet. */
    boolean isOf(String network) {
      return component.equals(network)
          || flattened && component.equals("unet") && network.equals(TRANSFORMER);
    }
  }

  private final Lora lora;
  private final Safetensors tensors;
  private final List<Layer> layers;

  private LoraFile(Lora lora, Safetensors tensors, List<Layer> layers) {
    this.lora = lora;
    this.tensors = tensors;
    this.layers = layers;
  }

  /** Whether a tensor of that name is part of a LoRA, in any style. */
  static boolean isLoraName(String tensor) {
    return KOHYA_PREFIX.matcher(tensor).matches()
        || DIFFUSERS.matcher(tensor).matches()
        || ORIGINAL.matcher(tensor).matches();
  }

  /**
   * @throws WeightsException if the file is pickled or damaged, or holds what is not a LoRA
   */
  static LoraFile open(Lora lora, FileDigests digests) {
    Path file = lora.file();
    if (file.getFileName().toString().matches(".*\\.(bin|ckpt|pt|pth|pkl)")) {
      throw new AddedFileException(
          "LoRA %s is pickled and is not read: unpickling a file runs whatever code it holds. "
                  .formatted(file)
              + "Convert it once in Python, where you trust its author: "
              + "safetensors.torch.save_file(torch.load(file, weights_only=True), newFile)");
    }
    Safetensors tensors;
    try {
      tensors = Safetensors.open(file, digests);
    } catch (WeightsException e) {
      throw new AddedFileException(
          Files.exists(file)
              ? "LoRA %s cannot be read: %s".formatted(file, e.getMessage())
              : "LoRA %s does not exist; it must be a file on every task manager".formatted(file),
          e);
    }
    Map<String, Layer> layers = new LinkedHashMap<>();
    tensors.names().forEach(name -> assign(file, name, layers));
    for (Layer layer : layers.values()) {
      if (layer.down == null || layer.up == null) {
        throw new AddedFileException(
            "LoRA %s: layer '%s' of %s lacks its %s factor"
                .formatted(file, layer.path, layer.component, layer.down == null ? "down" : "up"));
      }
    }
    if (layers.isEmpty()) {
      throw new AddedFileException("LoRA %s holds no tensors".formatted(file));
    }
    return new LoraFile(lora, tensors, List.copyOf(layers.values()));
  }

  private static void assign(Path file, String name, Map<String, Layer> layers) {
    Matcher kohya = KOHYA.matcher(name);
    Matcher diffusers = DIFFUSERS.matcher(name);
    Matcher original = ORIGINAL.matcher(name);
    Layer layer;
    String role;
    if (original.matches()) {
      String path = original.group(1) == null ? original.group(2) : original.group(1);
      layer = new Layer(TRANSFORMER, path, false, true);
      role = original.group(3);
    } else if (kohya.matches()) {
      String component =
          switch (kohya.group(1)) {
            case "unet" -> "unet";
            case "te2" -> "text_encoder_2";
            case "te3" -> "text_encoder_3";
            default -> "text_encoder";
          };
      layer = new Layer(component, kohya.group(2), true);
      role = kohya.group(3);
    } else if (diffusers.matches()) {
      layer = new Layer(diffusers.group(1), path(diffusers), false);
      role = diffusers.group(4);
    } else {
      throw new AddedFileException(
          "LoRA %s: tensor '%s' is not supported; supported are the factors of linear layers and convolutions (lora_down and lora_up, lora_A and lora_B), alpha, and DoRA's magnitudes (dora_scale, lora_magnitude_vector), by kohya's and diffusers' names, and those of transformers' authors"
              .formatted(file, name));
    }
    Layer known = layers.putIfAbsent(layer.component + " " + layer.path, layer);
    layer = known == null ? layer : known;
    String twice;
    if (role.contains("down") || role.contains("lora_A")) {
      twice = layer.down;
      layer.down = name;
    } else if (role.equals("alpha")) {
      twice = layer.alpha;
      layer.alpha = name;
    } else if (role.equals("dora_scale") || role.startsWith("lora_magnitude_vector")) {
      twice = layer.magnitude;
      layer.magnitude = name;
    } else {
      twice = layer.up;
      layer.up = name;
    }
    if (twice != null) {
      throw new AddedFileException(
          "LoRA %s: tensors '%s' and '%s' are the same one in two styles"
              .formatted(file, twice, name));
    }
  }

  /** A layer's path as the network has it; older files name attention's projections otherwise. */
  private static String path(Matcher diffusers) {
    boolean text = diffusers.group(1).startsWith("text");
    String path = diffusers.group(2);
    if (diffusers.group(3) != null) {
      String projection = diffusers.group(3);
      path +=
          text
              ? "." + projection + "_proj"
              : ".to_" + (projection.equals("out") ? "out.0" : projection);
    }
    boolean clip = text && !path.startsWith("encoder.block.");
    boolean bare = clip && !path.startsWith("text_model.") && !path.equals("text_projection");
    return bare ? "text_model." + path : path;
  }

  Lora lora() {
    return lora;
  }

  TensorStore tensors() {
    return tensors;
  }

  /**
   * The components that it changes.
   *
   * @param there those of the model
   */
  List<String> components(Set<String> there) {
    boolean isTransformer = there.contains(TRANSFORMER);
    return layers.stream()
        .map(layer -> isTransformer && layer.isOf(TRANSFORMER) ? TRANSFORMER : layer.component)
        .distinct()
        .sorted()
        .toList();
  }

  /**
   * Its changes to a component.
   *
   * @param weights the component's, under today's names
   * @param unmatched gets the names of tensors for layers that the component does not have
   * @throws WeightsException if a change has not its layer's shape
   */
  List<Change> changes(ModelComponent component, TensorStore weights, List<String> unmatched) {
    Map<String, String> byFlattened = new LinkedHashMap<>();
    for (String name : weights.names()) {
      if (name.endsWith(".weight")) {
        byFlattened.put(flatten(name.substring(0, name.length() - ".weight".length())), name);
      }
    }
    Optional<JsonNode> trained = adapterMetadata();
    List<Change> changes = new ArrayList<>();
    for (Layer layer : layers) {
      if (!layer.isOf(component.name())) {
        continue;
      }
      List<OriginalLayers.Part> parts = parts(layer, component, weights);
      if (!parts.isEmpty()) {
        for (OriginalLayers.Part part : parts) {
          changes.add(change(layer, weights.info(part.weight()), trained, part.firstRow()));
        }
        continue;
      }
      String flattened = layer.flattened ? layer.path : flatten(layer.path);
      String weight = byFlattened.get(flattened);
      if (weight == null && layer.flattened && component.name().equals("unet")) {
        weight = originalPath(flattened, component.config()).map(byFlattened::get).orElse(null);
      }
      if (weight == null) {
        unmatched.add(layer.down);
        continue;
      }
      requireRows(layer, weights.info(weight), weights.info(weight).shape()[0]);
      changes.add(change(layer, weights.info(weight), trained, 0));
    }
    return Collections.unmodifiableList(changes);
  }

  private Change change(Layer layer, TensorInfo weight, Optional<JsonNode> trained, long firstRow) {
    double factor = checked(layer, weight, trained);
    return new Change(
        weight.name(),
        layer.down,
        layer.up,
        factor,
        magnitude(layer, weight),
        Math.toIntExact(firstRow));
  }

  /**
   * The parameters that a layer of the authors is, all of them in the network; none for a layer
   * that is not theirs.
   */
  private List<OriginalLayers.Part> parts(
      Layer layer, ModelComponent component, TensorStore weights) {
    if (!layer.flattened && !layer.original || !OriginalTransformers.isOne(component.className())) {
      return List.of();
    }
    long[] up = tensors.info(layer.up).shape();
    long[] down = tensors.info(layer.down).shape();
    if (up.length != 2 || down.length != 2) {
      return List.of();
    }
    List<OriginalLayers.Part> parts =
        OriginalLayers.parts(
            component.className(), layer.path, layer.flattened, weights.names(), up[0], down[1]);
    long rows = 0;
    for (OriginalLayers.Part part : parts) {
      if (!weights.contains(part.weight())) {
        return List.of();
      }
      rows += weights.info(part.weight()).shape()[0];
    }
    if (!parts.isEmpty()) {
      requireRows(layer, weights.info(parts.get(0).weight()), rows);
    }
    return parts;
  }

  private void requireRows(Layer layer, TensorInfo weight, long rows) {
    long[] up = tensors.info(layer.up).shape();
    if (up.length == 0 || up[0] != rows) {
      throw doesNotFit(layer, weight);
    }
  }

  private static String flatten(String path) {
    return path.replace('.', '_');
  }

  /** The flattened diffusers path of a flattened path of the original authors. */
  private static Optional<String> originalPath(String flattened, Config config) {
    OriginalNames.UNet names =
        new OriginalNames.UNet(
            config.integer("layers_per_block", 2),
            config.string("addition_embed_type", "").equals("text_time")
                ? "add_embedding"
                : "class_embedding");
    // Numbers end names; what else had a "." stays flattened, which the names allow.
    String path =
        NUMBER_IN_PATH.matcher(flattened).replaceAll(".$1").replaceAll("\\.(\\d+)_", ".$1.");
    return names
        .diffusersName(path + ".weight")
        .map(name -> flatten(name.substring(0, name.length() - ".weight".length())));
  }

  /** The factor alpha / rank, once all shapes are seen to fit. */
  private double checked(Layer layer, TensorInfo weight, Optional<JsonNode> trained) {
    long[] down = tensors.info(layer.down).shape();
    long[] up = tensors.info(layer.up).shape();
    long[] shape = weight.shape();
    boolean fits = down.length >= 2 && up.length >= 2 && shape.length >= 2;
    if (fits) {
      fits =
          down[0] >= 1
              && up[1] == down[0]
              && up[0] >= shape[0]
              && elements(up) == up[0] * up[1]
              && elements(down) / down[0] == elements(shape) / Math.max(1, shape[0]);
    }
    if (!fits) {
      throw doesNotFit(layer, weight);
    }
    if (layer.alpha == null) {
      return trained.map(metadata -> trainedFactor(metadata, layer)).orElse(1.0);
    }
    float[] alpha = tensors.floats(layer.alpha);
    if (alpha.length != 1 || !Float.isFinite(alpha[0])) {
      throw new AddedFileException(
          "LoRA %s: '%s' has %d values; one finite number is expected"
              .formatted(lora.file(), layer.alpha, alpha.length));
    }
    return alpha[0] / (double) down[0];
  }

  private AddedFileException doesNotFit(Layer layer, TensorInfo weight) {
    return new AddedFileException(
        "LoRA %s: '%s' %s times '%s' %s do not make the weight '%s' %s"
            .formatted(
                lora.file(),
                layer.up,
                Arrays.toString(tensors.info(layer.up).shape()),
                layer.down,
                Arrays.toString(tensors.info(layer.down).shape()),
                weight.name(),
                Arrays.toString(weight.shape())));
  }

  /**
   * PEFT's magnitudes are [out], of convolutions [1,out,1,1]; kohya's are [out,1], [out,1,1,1].
   * Those of input columns, [1,in] in kohya's spelling, are another method.
   */
  private Optional<String> magnitude(Layer layer, TensorInfo weight) {
    if (layer.magnitude == null) {
      return Optional.empty();
    }
    long[] shape = tensors.info(layer.magnitude).shape();
    long rows = tensors.info(layer.up).shape()[0];
    boolean ofRows = elements(shape) == rows && (!layer.flattened || shape[0] == rows);
    if (!ofRows) {
      throw new AddedFileException(
          "LoRA %s: '%s' has the shape %s; supported is one magnitude for each of the %d rows of the weight '%s'"
              .formatted(
                  lora.file(), layer.magnitude, Arrays.toString(shape), rows, weight.name()));
    }
    return Optional.of(layer.magnitude);
  }

  private static long elements(long[] shape) {
    long elements = 1;
    for (long dimension : shape) {
      elements *= dimension;
    }
    return elements;
  }

  private Optional<JsonNode> adapterMetadata() {
    String json = tensors.metadata().get(ADAPTER_METADATA);
    if (json == null) {
      return Optional.empty();
    }
    try {
      return Optional.of(JsonMapper.builder().build().readTree(json));
    } catch (JsonProcessingException e) {
      throw new AddedFileException(
          "LoRA %s: its metadata '%s' is not valid JSON: %s"
              .formatted(lora.file(), ADAPTER_METADATA, e.getOriginalMessage()),
          e);
    }
  }

  private static double trainedFactor(JsonNode metadata, Layer layer) {
    String prefix = layer.component + ".";
    double rank = patterned(metadata, prefix, "r", "rank_pattern", layer.path);
    double alpha = patterned(metadata, prefix, "lora_alpha", "alpha_pattern", layer.path);
    if (!(rank > 0) || Double.isNaN(alpha)) {
      return 1;
    }
    return alpha / (metadata.path(prefix + "use_rslora").asBoolean() ? Math.sqrt(rank) : rank);
  }

  /** A value for all layers, or that of the first pattern that ends a layer's path. */
  private static double patterned(
      JsonNode metadata, String prefix, String key, String patterns, String path) {
    for (Map.Entry<String, JsonNode> pattern :
        metadata.path(prefix + patterns).isObject()
            ? metadata.path(prefix + patterns).properties()
            : JsonNodeFactory.instance.objectNode().properties()) {
      String end = pattern.getKey().replaceFirst("^\\^", "");
      if (path.equals(end) || !pattern.getKey().startsWith("^") && path.endsWith("." + end)) {
        return pattern.getValue().asDouble(Double.NaN);
      }
    }
    return metadata.path(prefix + key).asDouble(Double.NaN);
  }
}
