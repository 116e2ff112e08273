/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;

/** The pipelines there are, by the class names that diffusers gives them, or would. */
@Internal
public final class Pipelines {
  private static final Map<String, Function<Components, Task>> TASKS =
      new TreeMap<>(
          Map.ofEntries(
              Map.entry("ConcatConditionedSegmentationPipeline", ConcatSegmentation::open),
              Map.entry("ConcatConditionedUpscalePipeline", ConcatUpscale::open),
              Map.entry("ConsistencyModelPipeline", Unconditional::consistency),
              Map.entry("DDIMPipeline", Unconditional::ddim),
              Map.entry("DDPMPipeline", Unconditional::ddpm),
              Map.entry("DiTPipeline", ClassConditional::open),
              Map.entry("LDMPipeline", LatentUnconditional::open),
              Map.entry("FluxControlImg2ImgPipeline", Flux::openControlAndImage),
              Map.entry("FluxControlInpaintPipeline", Flux::openControlAndImage),
              Map.entry("FluxControlPipeline", Flux::openControl),
              Map.entry("FluxFillPipeline", Flux::openFill),
              Map.entry("FluxImg2ImgPipeline", Flux::open),
              Map.entry("FluxInpaintPipeline", Flux::open),
              Map.entry("FluxPipeline", Flux::open),
              Map.entry("LDMSuperResolutionPipeline", LatentSuperResolution::open),
              Map.entry(
                  "LatentConsistencyModelImg2ImgPipeline", StableDiffusion::openLatentConsistency),
              Map.entry("LatentConsistencyModelPipeline", StableDiffusion::openLatentConsistency),
              Map.entry("Lumina2Pipeline", Lumina2Conditioning::open),
              Map.entry("MarigoldDepthPipeline", Marigold::openDepth),
              Map.entry("MarigoldNormalsPipeline", Marigold::openNormals),
              Map.entry("PixArtAlphaPipeline", PixArtConditioning::openAlpha),
              Map.entry("PixArtSigmaPipeline", PixArtConditioning::openSigma),
              Map.entry("QwenImageImg2ImgPipeline", ChatConditioning::openQwenImage),
              Map.entry("QwenImageInpaintPipeline", ChatConditioning::openQwenImage),
              Map.entry("QwenImagePipeline", ChatConditioning::openQwenImage),
              Map.entry("RePaintPipeline", RePaint::open),
              Map.entry("SanaPipeline", SanaConditioning::open),
              Map.entry("ScoreSdeVePipeline", Unconditional::score),
              Map.entry("StableDiffusion3Img2ImgPipeline", StableDiffusion3::open),
              Map.entry("StableDiffusion3InpaintPipeline", StableDiffusion3::open),
              Map.entry("StableDiffusion3Pipeline", StableDiffusion3::open),
              Map.entry("StableDiffusionAdapterPipeline", StableDiffusion::openAdapted),
              Map.entry("StableDiffusionXLAdapterPipeline", StableDiffusion::openAdaptedXl),
              Map.entry(
                  "StableDiffusionXLControlNetImg2ImgPipeline", StableDiffusion::openControlledXl),
              Map.entry(
                  "StableDiffusionXLControlNetInpaintPipeline", StableDiffusion::openControlledXl),
              Map.entry("StableDiffusionXLControlNetPipeline", StableDiffusion::openControlledXl),
              Map.entry(
                  "StableDiffusionXLControlNetUnionImg2ImgPipeline", StableDiffusion::openUnionXl),
              Map.entry(
                  "StableDiffusionXLControlNetUnionInpaintPipeline", StableDiffusion::openUnionXl),
              Map.entry("StableDiffusionXLControlNetUnionPipeline", StableDiffusion::openUnionXl),
              Map.entry(
                  "StableDiffusionControlNetImg2ImgPipeline", StableDiffusion::openControlled),
              Map.entry(
                  "StableDiffusionControlNetInpaintPipeline", StableDiffusion::openControlled),
              Map.entry("StableDiffusionControlNetPipeline", StableDiffusion::openControlled),
              Map.entry("StableDiffusionGLIGENPipeline", GroundedStableDiffusion::open),
              Map.entry("StableDiffusionImageVariationPipeline", ImageVariation::open),
              Map.entry("StableDiffusionImg2ImgPipeline", StableDiffusion::open),
              Map.entry("StableDiffusionInpaintPipeline", StableDiffusion::open),
              Map.entry("StableDiffusionInstructPix2PixPipeline", InstructPix2Pix::open),
              Map.entry("StableDiffusionLatentUpscalePipeline", LatentDoubling::open),
              Map.entry("StableDiffusionPipeline", StableDiffusion::open),
              Map.entry("StableDiffusionUpscalePipeline", LatentUpscale::open),
              Map.entry("StableDiffusionXLImg2ImgPipeline", StableDiffusion::openXl),
              Map.entry("StableDiffusionXLInpaintPipeline", StableDiffusion::openXl),
              Map.entry("StableDiffusionXLPipeline", StableDiffusion::openXl),
              Map.entry("ZImageImg2ImgPipeline", ChatConditioning::openZImage),
              Map.entry("ZImageInpaintPipeline", ChatConditioning::openZImage),
              Map.entry("ZImagePipeline", ChatConditioning::openZImage)));

  /** Models that write texts, by the class names that transformers gives them. */
  private static final Map<String, Function<Components, TextTask>> TEXTS =
      Map.of(
          "BlipForConditionalGeneration", BlipTexts::captions,
          "BlipForQuestionAnswering", BlipTexts::answers,
          "Idefics3ForConditionalGeneration", Idefics3Texts::open);

  /** The model that labels images, by transformers' class name. */
  private static final String LABELS = "CLIPModel";

  /** The model that generates images and texts. */
  private static final String JOINT = "UniDiffuserPipeline";

  private static final SortedSet<String> SUPPORTED =
      Collections.unmodifiableSortedSet(
          Stream.of(TASKS.keySet(), TEXTS.keySet(), Set.of(LABELS, JOINT))
              .flatMap(Set::stream)
              .collect(Collectors.toCollection(TreeSet::new)));

  /** Below the folder that keeps things. */
  private static final String DIGESTS = "digests";

  private Pipelines() {}

  /** The class names that a model folder's {@code model_index.json} may have. */
  public static SortedSet<String> supported() {
    return SUPPORTED;
  }

  /**
   * Loads a model folder as the pipeline that its {@code model_index.json} names.
   *
   * @param folder in diffusers' layout, or a single-file checkpoint
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException naming the file and key that is
   *     missing, damaged or not supported
   */
  public static DiffusionPipeline open(Path folder, PipelineSettings settings) {
    return open(folder, settings, UnaryOperator.identity());
  }

  /**
   * As {@link #open(Path, PipelineSettings)}. Opening looks at headers, names and shapes. Damage
   * that every byte must be read for is found by a thread of its own: such a pipeline throws when
   * it is to finish an image, when its numbers are not finite, or when its model's digest is asked
   * for.
   *
   * @param translation makes what is thrown then
   */
  public static DiffusionPipeline open(
      Path folder, PipelineSettings settings, UnaryOperator<RuntimeException> translation) {
    ModelFolder model = model(folder, settings);
    if (!SUPPORTED.contains(model.pipelineClass())) {
      throw model
          .config()
          .unsupported("_class_name", model.pipelineClass(), String.join(", ", SUPPORTED));
    }
    return open(model, model.pipelineClass(), settings, translation);
  }

  /**
   * Loads a model folder as another pipeline than its {@code model_index.json} names: the same
   * networks serve several.
   *
   * @param folder in diffusers' layout
   * @param pipelineClass one of {@link #supported}
   * @throws IllegalArgumentException for another class
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException naming the file and key that is
   *     missing, damaged or not supported
   */
  public static DiffusionPipeline openAs(
      String pipelineClass, Path folder, PipelineSettings settings) {
    return openAs(pipelineClass, folder, settings, UnaryOperator.identity());
  }

  /**
   * As {@link #openAs(String, Path, PipelineSettings)}, with damage that is found later.
   *
   * @param translation makes what is thrown then
   */
  public static DiffusionPipeline openAs(
      String pipelineClass,
      Path folder,
      PipelineSettings settings,
      UnaryOperator<RuntimeException> translation) {
    if (!SUPPORTED.contains(pipelineClass)) {
      throw new IllegalArgumentException(
          "There is no pipeline " + pipelineClass + "; supported are " + SUPPORTED + ".");
    }
    return open(model(folder, settings), pipelineClass, settings, translation);
  }

  /**
   * What a model says of itself and of requests to it, without loading it: looks at configs,
   * vocabularies and the headers of weights, in a fraction of a second.
   *
   * @param pipelineClass one of {@link #supported}; empty is the one that the files name
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException as {@link #open}
   */
  public static Model describe(
      Optional<String> pipelineClass, Path folder, PipelineSettings settings) {
    PipelineSettings reading = settings.withEngine(DescribingEngine.NAME);
    try (DiffusionPipeline pipeline =
        pipelineClass.isPresent()
            ? openAs(pipelineClass.get(), folder, reading)
            : open(folder, reading)) {
      return pipeline.model();
    }
  }

  /** Digest of the model that {@link #open} would load now, which its {@link ModelInfo} has. */
  public static String digest(Path folder, PipelineSettings settings) {
    return model(folder, settings).digest();
  }

  /** The class that {@link #open} would run a model as: the one that its files name. */
  public static String classOf(Path folder, PipelineSettings settings) {
    return model(folder, settings).pipelineClass();
  }

  /**
   * Memory that the weights of all networks take at once on the device of the settings, in bytes,
   * each in its precision; looks at headers only. Components on other devices are not counted. Of
   * text encoders that are unloaded, the largest one is. What an engine keeps beside the weights is
   * not counted.
   *
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException naming the file that is missing
   *     or damaged
   */
  public static long weightBytes(Path folder, PipelineSettings settings) {
    return weightBytes(folder, settings, settings.device());
  }

  /** As {@link #weightBytes(Path, PipelineSettings)}, on another device: what is there alone. */
  public static long weightBytes(Path folder, PipelineSettings settings, DeviceSpec device) {
    return weightBytes(model(folder, settings), settings, device);
  }

  /** As {@link #weightBytes(Path, PipelineSettings)}, of a model that is open. */
  public static long weightBytes(ModelFolder model, PipelineSettings settings) {
    return weightBytes(model, settings, settings.device());
  }

  private static long weightBytes(ModelFolder model, PipelineSettings settings, DeviceSpec device) {
    long staying = 0;
    long largestUnloaded = 0;
    for (String name : model.componentNames()) {
      boolean left = name.equals(Finishing.CHECKER) && !settings.safetyChecker();
      if (left
          || !settings.device(name).equals(device)
          || model.lacks(name)
          || model.component(name).weightFiles().isEmpty()) {
        continue;
      }
      long bytes = 0;
      try (TensorStore weights = model.component(name).open()) {
        for (String tensor : weights.names()) {
          bytes += bytes(weights.info(tensor), precision(model.component(name), settings));
        }
      }
      if (settings.components().unloads(name)) {
        largestUnloaded = Math.max(largestUnloaded, bytes);
      } else {
        staying += bytes;
      }
    }
    return staying + largestUnloaded;
  }

  private static Precision precision(ModelComponent component, PipelineSettings settings) {
    boolean upcast =
        component.className().equals("AutoencoderKL")
            && component.config().flag("force_upcast", true)
            && !settings.components().precisions().containsKey(component.name());
    return upcast ? Precision.FLOAT32 : settings.precision(component.name());
  }

  private static long bytes(TensorInfo tensor, Precision precision) {
    return tensor.dtype().isFloating()
        ? tensor.elements() * precision.bytes()
        : tensor.byteLength();
  }

  /** Refuses settings of components that the model does not have. */
  private static void requireComponents(ModelFolder model, ComponentSettings components) {
    for (String name : components.precisions().keySet()) {
      requireNetwork(model, name, "diffusion.model.precisions");
    }
    for (String name : components.devices().keySet()) {
      requireNetwork(model, name, "diffusion.model.devices");
    }
  }

  private static void requireNetwork(ModelFolder model, String name, String option) {
    List<String> networks =
        model.componentNames().stream()
            .filter(each -> !model.component(each).weightFiles().isEmpty())
            .toList();
    if (!networks.contains(name)) {
      throw new WeightsException(
          "Model %s has no network '%s' for option %s; it has %s"
              .formatted(model.path(), name, option, networks));
    }
  }

  private static ModelFolder model(Path path, PipelineSettings settings) {
    ModelFolder model =
        settings
            .configs()
            .filter(configs -> settings.variant().isEmpty())
            .map(configs -> ModelFolder.openSingleFile(path, configs))
            .orElseGet(() -> ModelFolder.open(path, settings.variant()));
    ModelFolder whole = model.withIpAdapters(settings.ipAdapters(), settings.imageEncoder());
    return settings
        .archives()
        .map(kept -> whole.rememberingDigests(kept.resolve(DIGESTS)))
        .orElse(whole);
  }

  private static DiffusionPipeline open(
      ModelFolder opened,
      String pipelineClass,
      PipelineSettings settings,
      UnaryOperator<RuntimeException> translation) {
    Objects.requireNonNull(settings, "settings");
    ModelFolder model = opened.withLoras(settings.loras());
    requireComponents(model, settings.components());
    ModelCheck check = ModelCheck.begin(model, translation);
    Components components = new Components(model, settings, check);
    try {
      if (TEXTS.containsKey(pipelineClass)) {
        TextTask text = TEXTS.get(pipelineClass).apply(components);
        check.allAreAdded();
        return new TextPipeline(
            new ModelInfo(
                model.name(),
                check::digest,
                loadedAs(pipelineClass, settings, components, Optional.empty())),
            text,
            check);
      }
      if (pipelineClass.equals(LABELS)) {
        DiffusionPipeline labels =
            new LabelPipeline(
                model,
                new ModelInfo(
                    model.name(),
                    check::digest,
                    loadedAs(pipelineClass, settings, components, Optional.empty())),
                components,
                check);
        check.allAreAdded();
        return labels;
      }
      boolean joint = pipelineClass.equals(JOINT);
      JointNetworks networks = joint ? new JointNetworks(components) : null;
      Task task = joint ? null : TASKS.get(pipelineClass).apply(components);
      requireNothingIgnored(components, model.config(), pipelineClass);
      Finishing finishing = Finishing.open(model, settings, check);
      check.allAreAdded();
      ModelInfo info =
          new ModelInfo(
              model.name(),
              check::digest,
              loadedAs(pipelineClass, settings, components, Optional.of(finishing)));
      return joint
          ? new JointPipeline(info, networks, finishing, check)
          : new TaskPipeline(info, task, finishing, check);
    } catch (RuntimeException e) {
      components.close();
      check.close();
      throw e;
    }
  }

  /** What was asked for beside the model, and is of no use to the class, is refused by name. */
  private static void requireNothingIgnored(
      Components components, Config index, String pipelineClass) {
    refuse(
        components.ignoresCaching(),
        index,
        pipelineClass,
        " without ControlNets and IP-Adapters, or a text-to-image transformer, where steps reuse"
            + " features (diffusion.cache.interval)");
    refuse(
        components.ignoresUNetGuidance(),
        index,
        pipelineClass,
        " without ControlNets, IP-Adapters and diffusion.cache.interval, where requests may change"
            + " what a UNet does inside (diffusion.unet-guidance.enabled)");
    refuse(
        components.ignoresAdapters(),
        index,
        pipelineClass,
        " without ControlNets, IP-Adapters and diffusion.cache.interval, where requests may name"
            + " LoRAs (diffusion.loras.allowed)");
    refuse(
        components.ignoresIpAdapters(),
        index,
        pipelineClass,
        ", which have IP-Adapters (diffusion.model.ip-adapters)");
  }

  private static void refuse(
      boolean ignored, Config index, String pipelineClass, String conditions) {
    if (ignored) {
      throw index.unsupported(
          "_class_name",
          pipelineClass,
          "StableDiffusionPipeline, StableDiffusionXLPipeline and LatentConsistencyModelPipeline"
              + conditions);
    }
  }

  private static SortedMap<String, String> loadedAs(
      String pipelineClass,
      PipelineSettings settings,
      Components components,
      Optional<Finishing> finishing) {
    SortedMap<String, String> loadedAs = new TreeMap<>();
    loadedAs.put(Basis.PIPELINE, pipelineClass);
    loadedAs.put(Basis.PRECISION, settings.precision().name());
    loadedAs.put(Basis.DEVICE, settings.device().isGpu() ? "gpu" : "cpu");
    loadedAs.put(Basis.ENGINE, components.engines());
    finishing
        .flatMap(Finishing::checks)
        .ifPresent(checks -> loadedAs.put(Basis.SAFETY_CHECKER, checks.toString()));
    // A text has none.
    finishing.ifPresent(
        images -> loadedAs.put(Basis.WATERMARK, Boolean.toString(settings.watermark())));
    settings.variant().ifPresent(variant -> loadedAs.put(Basis.VARIANT, variant));
    settings.caching().ifPresent(caching -> loadedAs.put(Basis.CACHING, caching.basis()));
    String different = differentComponents(settings);
    if (!different.isEmpty()) {
      loadedAs.put(Basis.COMPONENTS, different);
    }
    if (!settings.loras().isEmpty()) {
      loadedAs.put(
          Basis.LORAS,
          settings.loras().stream()
              .map(lora -> lora.file().getFileName() + "=" + lora.scale())
              .collect(Collectors.joining(";")));
    }
    if (!settings.ipAdapters().isEmpty()) {
      loadedAs.put(
          Basis.IP_ADAPTERS,
          settings.ipAdapters().stream()
              .map(file -> file.getFileName().toString())
              .collect(Collectors.joining(";")));
    }
    return loadedAs;
  }

  private static String differentComponents(PipelineSettings settings) {
    SortedSet<String> named = new TreeSet<>(settings.components().precisions().keySet());
    named.addAll(settings.components().devices().keySet());
    return named.stream()
        .filter(
            name ->
                settings.components().precisions().containsKey(name)
                    || settings.device(name).isGpu() != settings.device().isGpu())
        .map(
            name ->
                "%s=%s on %s"
                    .formatted(
                        name,
                        settings.precision(name),
                        settings.device(name).isGpu() ? "gpu" : "cpu"))
        .collect(Collectors.joining(";"));
  }
}
