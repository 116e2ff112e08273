/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.network.AutoencoderDCConfig;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.AutoencoderQwenImageConfig;
import io.github.flinkdiffusion.ops.network.AutoencoderTinyConfig;
import io.github.flinkdiffusion.ops.network.BlipConfig;
import io.github.flinkdiffusion.ops.network.CausalTextConfig;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.ClipVisionConfig;
import io.github.flinkdiffusion.ops.network.ControlNetConfig;
import io.github.flinkdiffusion.ops.network.DiTConfig;
import io.github.flinkdiffusion.ops.network.FluxTransformerConfig;
import io.github.flinkdiffusion.ops.network.Idefics3Config;
import io.github.flinkdiffusion.ops.network.Lumina2Config;
import io.github.flinkdiffusion.ops.network.PixArtConfig;
import io.github.flinkdiffusion.ops.network.QwenImageConfig;
import io.github.flinkdiffusion.ops.network.SanaConfig;
import io.github.flinkdiffusion.ops.network.Sd3TransformerConfig;
import io.github.flinkdiffusion.ops.network.T2IAdapterConfig;
import io.github.flinkdiffusion.ops.network.T5Config;
import io.github.flinkdiffusion.ops.network.TextDecoderConfig;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.network.UniDiffuserConfig;
import io.github.flinkdiffusion.ops.network.VQModelConfig;
import io.github.flinkdiffusion.ops.network.VitConfig;
import io.github.flinkdiffusion.ops.network.ZImageConfig;
import io.github.flinkdiffusion.ops.pipeline.FolderCase;
import io.github.flinkdiffusion.ops.pipeline.ImageProcessorReference;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Signature;
import io.github.flinkdiffusion.ops.scheduler.SchedulerException;
import io.github.flinkdiffusion.ops.scheduler.SchedulerReference;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Keeps docs/SUPPORTED.md equal to what the code does. After a change, write it anew:
 *
 * <pre>mvn -pl flink-diffusion-ops -am test -Dtest=SupportedReferenceTest \\
 *     -Dsurefire.failIfNoSpecifiedTests=false -Ddocs.write=true</pre>
 */
class SupportedReferenceTest {
  private static final Path DOCUMENT = Path.of("../docs/SUPPORTED.md");
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path MODELS = FIXTURES.resolve("models");
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final String HEAD =
      """
      # What is supported

      Class names and keys are those of diffusers 0.42 and transformers. Written by `SupportedReferenceTest` from the code: keys are
      those that the readers were seen to ask for, accepted values those that their errors name. Do not edit. Where results are
      knowingly not diffusers': [DIFFERENCES.md](DIFFERENCES.md).

      """;

  private static final String FILES =
      """
      ## Files

      | what | |
      | --- | --- |
      | model folder | as `save_pretrained` writes it: `model_index.json` and a sub-folder a component; a variant such as `fp16`; sharded weights (`*.index.json`), of a variant too |
      | folder of one model | BLIP, SmolVLM and CLIP, as transformers' `save_pretrained` writes it: `config.json`, weights, `preprocessor_config.json` and the tokenizer's files beside each other; not yet from the hub |
      | weights | safetensors of float32, float16, bfloat16, 8-bit floats (F8_E4M3, F8_E5M2, with ComfyUI's scales), or int8 and int4 as `examples/model quantize` writes it; GGUF (F32, F16, BF16, Q4_0 to Q8_0, Q2_K to Q8_K); attention under its old names (`query`, `proj_attn`, 1x1 convolutions) too. Pickled files (`.ckpt`, `.bin`) are refused: they can run code when they are read. |
      | tokenizer | `vocab.json` and `merges.txt` of a CLIPTokenizer, with the special tokens of its configs; `tokenizer.json` of T5, Qwen 2 and Gemma; `spiece.model` of T5; `tokenizer.json` or `vocab.txt` of a BertTokenizer; `tokenizer.json` or `vocab.json` of a GPT2Tokenizer, which writes the texts of UniDiffuser, and reads and writes those of SmolVLM |
      | single file | safetensors of Stable Diffusion 1.x, 2.x and XL under the original authors' names; configs are inferred as diffusers infers them, and the marks `v_pred`, `ztsnr` and `modelspec.prediction_type` obeyed. With the configs of a folder also Flux.1, Stable Diffusion 3 and 3.5, Z-Image, Qwen-Image and PixArt, as safetensors or GGUF, with or without text encoders and autoencoder |
      | LoRA | safetensors with kohya's keys (`lora_unet_...lora_down.weight`, `alpha`), PEFT's (`lora_A.weight`) and diffusers' older ones (`to_q_lora.down.weight`); for Flux.1 and Stable Diffusion 3 also the authors' layers (`lora_unet_double_blocks_0_img_attn_qkv`, `diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight`); DoRA's magnitudes (`lora_magnitude_vector`, `dora_scale`), merged into the weights with a scale |
      | IP-Adapter | safetensors as their authors publish them (`image_proj.proj.weight`, `ip_adapter.1.to_k_ip.weight`): ip-adapter, ip-adapter-plus and ip-adapter-full-face, with CLIP's vision network beside them; those of FaceID are refused |
      | safety checker | `StableDiffusionSafetyChecker`, with the `feature_extractor` beside it; old layout and transformers 5's |
      | watermark | `dwtDct` of invisible-watermark, with the 48 bits that diffusers writes |

      ## Noise

      Noise is that of `torch.Generator("cpu")` in float32, whatever precision networks run in: torch draws other values, not rounded
      ones, for float16 and bfloat16 tensors, so an image that diffusers generated with a half precision pipeline on the CPU has other noise.
      Each request has a generator of its own; its values do not depend on the batch.
      """;

  /** How each class's config is read. */
  private static final Map<String, Function<Config, Object>> NETWORKS =
      new TreeMap<>(
          Map.ofEntries(
              Map.entry("AutoencoderDC", AutoencoderDCConfig::from),
              Map.entry("AutoencoderKL", AutoencoderKLConfig::from),
              Map.entry("AutoencoderKLQwenImage", AutoencoderQwenImageConfig::from),
              Map.entry("AutoencoderTiny", AutoencoderTinyConfig::from),
              Map.entry("BlipForConditionalGeneration", BlipConfig::from),
              Map.entry("BlipForQuestionAnswering", BlipConfig::from),
              Map.entry("CLIPModel", ClipVisionConfig::fromClip),
              Map.entry("CLIPTextModel", ClipTextConfig::from),
              Map.entry("CLIPTextModelWithProjection", ClipTextConfig::from),
              Map.entry("CLIPVisionModelWithProjection", ClipVisionConfig::from),
              Map.entry("ControlNetModel", ControlNetConfig::from),
              Map.entry("ControlNetUnionModel", ControlNetConfig::unionFrom),
              Map.entry("T2IAdapter", T2IAdapterConfig::from),
              Map.entry("DiTTransformer2DModel", DiTConfig::from),
              Map.entry("FluxTransformer2DModel", FluxTransformerConfig::from),
              Map.entry("Idefics3ForConditionalGeneration", Idefics3Config::from),
              Map.entry(
                  "Gemma2Model",
                  config -> CausalTextConfig.from(config, CausalTextConfig.Type.GEMMA2)),
              Map.entry("PixArtTransformer2DModel", PixArtConfig::from),
              Map.entry(
                  "Qwen2_5_VLForConditionalGeneration",
                  config -> CausalTextConfig.from(config, CausalTextConfig.Type.QWEN2)),
              Map.entry(
                  "Qwen3Model",
                  config -> CausalTextConfig.from(config, CausalTextConfig.Type.QWEN3)),
              Map.entry("QwenImageTransformer2DModel", QwenImageConfig::from),
              Map.entry("SD3Transformer2DModel", Sd3TransformerConfig::from),
              Map.entry("SanaTransformer2DModel", SanaConfig::from),
              Map.entry("StableDiffusionSafetyChecker", ClipVisionConfig::fromClip),
              Map.entry("T5EncoderModel", T5Config::from),
              Map.entry("UNet2DConditionModel", UNet2DConditionConfig::from),
              Map.entry("UNet2DModel", UNet2DConfig::from),
              Map.entry("UniDiffuserModel", UniDiffuserConfig::from),
              Map.entry("UniDiffuserTextDecoder", TextDecoderConfig::from),
              Map.entry("ViTForImageClassification", VitConfig::from),
              Map.entry("VQModel", VQModelConfig::from),
              Map.entry("Lumina2Transformer2DModel", Lumina2Config::from),
              Map.entry("ZImageTransformer2DModel", ZImageConfig::from)));

  @TempDir private static Path temp;

  @Test
  void theReferenceSaysWhatTheCodeDoes() throws IOException {
    String expected =
        HEAD + pipelines() + parameters() + SchedulerReference.page() + "\n" + networks() + FILES;
    if (Boolean.getBoolean("docs.write")) {
      Files.writeString(DOCUMENT, expected);
    }
    assertThat(DOCUMENT).hasContent(expected);
  }

  @Test
  void everyNetworkOfTheRoomIsOnThePage() throws IOException {
    Set<String> read = new TreeSet<>();
    configs()
        .forEach(
            (className, configs) ->
                read.add(NETWORKS.get(className).apply(configs.get(0)).getClass().getSimpleName()));
    Path room = Path.of("core/src/main/java/io/github/flinkdiffusion/ops/network");
    try (Stream<Path> sources = Files.list(room)) {
      assertThat(
              sources
                  .map(path -> path.getFileName().toString().replace(".java", ""))
                  .filter(name -> name.endsWith("Config")))
          .containsExactlyInAnyOrderElementsOf(read);
    }
  }

  // ---------------------------------------------------------------- pipelines

  private static String pipelines() throws IOException {
    StringBuilder table =
        new StringBuilder(
            """
            ## Pipelines

            By the `_class_name` of `model_index.json`, for BLIP and CLIP by `architectures` of `config.json`, or of the option `diffusion.model.pipeline`. Bold: required. In
            brackets: the value when it is absent.

            | class | parameters of a request |
            | --- | --- |
            """);
    for (String className : Pipelines.supported()) {
      table.append(
          "| `%s` | %s |\n"
              .formatted(
                  className,
                  signature(className)
                      .map(SupportedReferenceTest::says)
                      .orElse("as the model's card says")));
    }
    return table.append('\n').toString();
  }

  /**
   * Of a model that names the pipeline; else of the one, of those that it can be opened with, that
   * asks for least; none where the fixtures have no model for it.
   */
  private static Optional<Signature> signature(String className) throws IOException {
    List<Path> folders;
    try (Stream<Path> all = Files.list(MODELS);
        Stream<Path> texts = Files.list(FIXTURES.resolve("text"));
        Stream<Path> classifiers = Files.list(FIXTURES.resolve("classifier"))) {
      folders =
          Stream.concat(
                  all.filter(path -> Files.exists(path.resolve("model_index.json"))).sorted(),
                  Stream.concat(texts, classifiers).filter(Files::isDirectory).sorted())
              .toList();
    }
    List<Path> own =
        folders.stream()
            .filter(path -> ModelFolder.open(path).pipelineClass().equals(className))
            .toList();
    List<Path> candidates = own;
    if (own.isEmpty()) {
      candidates = new ArrayList<>(folders);
      Optional<FolderCase> described = FolderCase.ofPipeline(className);
      if (described.isPresent()) {
        Path folder = temp.resolve(className);
        described.get().write(folder);
        candidates.add(folder);
      }
    }
    return candidates.stream()
        .flatMap(folder -> signature(className, folder).stream())
        .min(
            Comparator.comparing(
                    (Signature one) ->
                        one.entries().stream().filter(Signature.Entry::required).count())
                .thenComparing(one -> -one.entries().size()));
  }

  private static Optional<Signature> signature(String className, Path folder) {
    PipelineSettings settings = PipelineSettings.on(DeviceSpec.CPU);
    try {
      return Optional.of(Pipelines.describe(Optional.of(className), folder, settings).signature());
    } catch (WeightsException | SchedulerException e) {
      // Another pipeline's model.
      return Optional.empty();
    }
  }

  private static String says(Signature signature) {
    return signature.entries().stream()
        .map(
            entry ->
                entry.required()
                    ? "**" + entry.parameter() + "**"
                    : entry.parameter() + absent(entry))
        .collect(Collectors.joining(", "));
  }

  private static String absent(Signature.Entry entry) {
    Set<Parameter<?>> models = Set.of(Parameters.WIDTH, Parameters.HEIGHT, Parameters.SCHEDULER);
    return models.contains(entry.parameter())
        ? " (the model's)"
        : entry.absent().map(text -> text.isEmpty() ? " (none)" : " (" + text + ")").orElse("");
  }

  private static String parameters() {
    StringBuilder table =
        new StringBuilder(
            """
            ### Parameters of a request

            | parameter | meaning | accepted |
            | --- | --- | --- |
            """);
    for (Parameter<?> parameter : Parameters.all()) {
      table.append(
          "| `%s` | %s | %s |\n"
              .formatted(parameter.name(), parameter.description(), parameter.accepted()));
    }
    return table.append('\n').toString();
  }

  // ---------------------------------------------------------------- networks

  private static String networks() throws IOException {
    StringBuilder page =
        new StringBuilder(
            """
            ## Networks

            From `config.json` alone. What is absent takes the default of the class in diffusers or transformers; other keys are ignored.
            A single accepted value means that the feature is not supported: any other value is refused.

            """);
    configs()
        .forEach(
            (className, configs) -> {
              page.append("### " + className + "\n\n| key | accepted |\n| --- | --- |\n");
              keys(NETWORKS.get(className), configs)
                  .forEach(
                      (key, accepted) -> page.append("| `%s` | %s |\n".formatted(key, accepted)));
              page.append('\n');
            });
    page.append(
            "### CLIPImageProcessor\n\nFrom `preprocessor_config.json`: how images are"
                + " prepared.\n\n")
        .append("| key | accepted |\n| --- | --- |\n");
    List<Config> processors =
        List.of(
            Config.read(FIXTURES.resolve("safety/old/feature_extractor/preprocessor_config.json")),
            Config.read(FIXTURES.resolve("safety/new/feature_extractor/preprocessor_config.json")));
    keys(ImageProcessorReference.reader(), processors)
        .forEach((key, accepted) -> page.append("| `%s` | %s |\n".formatted(key, accepted)));
    page.append('\n');
    return page.toString();
  }

  /** A component's, of a folder that is described. */
  private static Config config(String pipeline, String component) throws IOException {
    String file = component + "/config.json";
    JsonNode files = FolderCase.ofPipeline(pipeline).orElseThrow().json().get("files");
    return Config.of(file, JSON.readTree(files.get(file).asText()));
  }

  /** All configs that the fixtures have, by class. */
  private static SortedMap<String, List<Config>> configs() throws IOException {
    SortedMap<String, List<Config>> configs = new TreeMap<>();
    for (String manifest :
        List.of(
            "networks.json",
            "networks-family.json",
            "networks-blocks.json",
            "networks-control.json",
            "networks-joint.json",
            "networks-transformers.json",
            "networks-unidiffuser.json")) {
      for (JsonNode network : JSON.readTree(MODELS.resolve(manifest).toFile()).get("networks")) {
        configs
            .computeIfAbsent(network.get("class").asText(), name -> new ArrayList<>())
            .add(Config.read(MODELS.resolve(network.get("config").asText())));
      }
    }
    configs.put("T2IAdapter", List.of(config("StableDiffusionAdapterPipeline", "adapter")));
    configs.put(
        "ControlNetUnionModel",
        List.of(config("StableDiffusionXLControlNetUnionPipeline", "controlnet")));
    configs.put(
        "StableDiffusionSafetyChecker",
        List.of(Config.read(FIXTURES.resolve("safety/old/safety_checker/config.json"))));
    configs.put(
        "BlipForConditionalGeneration",
        List.of(Config.read(FIXTURES.resolve("text/tiny-blip-caption/config.json"))));
    configs.put(
        "BlipForQuestionAnswering",
        List.of(Config.read(FIXTURES.resolve("text/tiny-blip-vqa/config.json"))));
    configs.put(
        "Idefics3ForConditionalGeneration",
        List.of(Config.read(FIXTURES.resolve("text/tiny-idefics3/config.json"))));
    configs.put(
        "CLIPModel", List.of(Config.read(FIXTURES.resolve("classifier/tiny-clip/config.json"))));
    configs.put(
        "ViTForImageClassification",
        List.of(Config.read(FIXTURES.resolve("classifier/tiny-vit/config.json"))));
    assertThat(configs.keySet()).isEqualTo(NETWORKS.keySet());
    return configs;
  }

  private static SortedMap<String, String> keys(
      Function<Config, Object> reader, List<Config> configs) {
    Map<String, Config> first = new TreeMap<>();
    for (Config config : configs) {
      ObjectNode told = new TellingNode("", key -> first.putIfAbsent(key, config));
      reader.apply(Config.of(config.source(), told.setAll((ObjectNode) config.node())));
    }
    SortedMap<String, String> keys = new TreeMap<>();
    first.forEach(
        (key, config) ->
            keys.put(
                key,
                AcceptedValues.of(
                    "'" + key.substring(key.lastIndexOf('.') + 1) + "' is",
                    value -> error(reader, config, key, value))));
    return keys;
  }

  /**
   * A config's JSON that tells every key that it is asked for, whether or not it is there. The keys
   * of a section follow the section's own and a dot.
   */
  private static final class TellingNode extends ObjectNode {
    private final transient String section;
    private final transient Consumer<String> listener;

    TellingNode(String section, Consumer<String> listener) {
      super(JsonNodeFactory.instance);
      this.section = section;
      this.listener = listener;
    }

    @Override
    public JsonNode get(String key) {
      listener.accept(section + key);
      JsonNode value = super.get(key);
      return value instanceof ObjectNode inner
          ? new TellingNode(section + key + ".", listener).setAll(inner)
          : value;
    }
  }

  private static Optional<String> error(
      Function<Config, Object> reader, Config config, String key, Object value) {
    ObjectNode changed = config.node().deepCopy();
    ObjectNode holder = changed;
    String[] path = key.split("\\.");
    for (int i = 0; i < path.length - 1; i++) {
      holder = (ObjectNode) holder.get(path[i]);
    }
    holder.set(path[path.length - 1], JSON.valueToTree(value));
    try {
      reader.apply(Config.of("config.json", changed));
      return Optional.empty();
    } catch (IllegalConfigException e) {
      return Optional.of(e.getMessage());
    }
  }
}
