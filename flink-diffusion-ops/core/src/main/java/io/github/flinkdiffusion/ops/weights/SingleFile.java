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

  private static final String OPEN_CLIP_XL = "conditioner.embedders.1.model.";
  private static final String OPEN_CLIP_REFINER = "conditioner.embedders.0.model.";
  private static final String MARK_OF_XL_TEXT = "transformer.resblocks.9.mlp.c_proj.bias";

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
    if (Gguf.isOne(file)) {
      throw needsConfigs(file, "is one network alone");
    }
    try (Safetensors tensors = Safetensors.open(file, single.digests)) {
      String transformer = OriginalTransformers.classOf(tensors.names());
      if (transformer != null) {
        throw needsConfigs(file, "is a %s without configs and vocabularies".formatted(transformer));
      }
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

  /**
   * The file's weights with a folder's configs and vocabularies. Networks that the file does not
   * hold are the folder's.
   */
  static ModelFolder open(Path file, ModelFolder configs) {
    SingleFile single = of(file);
    SortedMap<String, ModelComponent> components = new TreeMap<>();
    boolean any = false;
    try (TensorStore tensors = single.tensors()) {
      for (String name : configs.componentNames()) {
        ModelComponent component = configs.component(name);
        boolean held = isHeld(component, tensors);
        any |= held;
        // What nobody has is looked for in the file, which says so.
        boolean missing =
            OriginalComponent.isNetwork(component.className()) && component.weightFiles().isEmpty();
        components.put(
            name,
            held || missing
                ? single.component(
                    name,
                    component.library(),
                    component.className(),
                    component.folder(),
                    Optional.of(component.config()))
                : component.withDigests(single.digests));
      }
    }
    if (!any) {
      throw new WeightsException(
          "Checkpoint %s holds no network of the model in %s, which has %s"
              .formatted(file, configs.path(), configs.componentNames()));
    }
    return ModelFolder.of(file, configs.config(), components, single.digests);
  }

  private static boolean isHeld(ModelComponent component, TensorStore tensors) {
    return OriginalComponent.isNetwork(component.className())
        && new OriginalComponent(component.name(), component.className(), component.config())
            .isHeldBy(tensors);
  }

  private static WeightsException needsConfigs(Path file, String what) {
    return new WeightsException(
        "Checkpoint %s %s. Give the folder of its model, in diffusers' layout, for the rest (diffusion.model.configs)."
            .formatted(file, what));
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

  private TensorStore tensors() {
    return WeightFiles.open(file, digests);
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

  private ModelComponent component(
      String name,
      String library,
      String className,
      Optional<Path> folder,
      Optional<Config> config) {
    ComponentWeights weights =
        OriginalComponent.isNetwork(className)
            ? new Part(name, className, config.orElseThrow())
            : new NoWeights();
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
    private final OriginalComponent component;

    Part(String name, String className, Config config) {
      this.component = new OriginalComponent(name, className, config);
    }

    @Override
    public List<Path> files() {
      return List.of(file);
    }

    @Override
    public TensorStore open(FileDigests unused) {
      TensorStore tensors = tensors();
      try {
        return component.show(tensors);
      } catch (RuntimeException e) {
        tensors.close();
        throw e;
      }
    }
  }
}
