/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ControlledUNet;
import io.github.flinkdiffusion.ops.network.IpAdapters;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The Stable Diffusion family as diffusers' pipelines for 1.x and 2.x, XL, and latent consistency
 * models have it, with the model's ControlNets: from a text alone, from a picture and a text, or a
 * part of a picture anew. What a request says decides, so that all kinds share network calls. A
 * network with channels for a mask and a masked picture does the last alone.
 *
 * <p>The denoising network is called with the rows of the family's {@link Conditioning}: one for
 * each trajectory without guidance and two, unconditional first, for each with classifier-free
 * guidance. Each request's own noise is drawn in the reference's order: the sample of the encoded
 * picture if there is one, the starting noise, the sample of the masked picture if there is one,
 * then whatever the scheduler asks for, step by step. A network with channels for a mask that makes
 * everything anew (strength 1) does not need the encoded picture and draws nothing for it.
 *
 * <p>With a {@code sourcePrompt} the picture is not made noisy but led back to the noise that DDIM
 * makes it of, under that text (section 4.3 of Song et al. 2021), and sampling goes on from there
 * under the prompt: one trajectory, of which nothing is drawn.
 */
final class StableDiffusion implements LatentTask {

  /** A default that depends on what else was asked for. */
  private record Choice(String description, Function<Arguments, Double> value) {}

  /**
   * What the families differ in beside their conditioning.
   *
   * @param name diffusers' class for a text alone
   * @param sampleSize the latent's side where the network's config does not say
   * @param correctsSampleSize whether a size that early versions wrote too small is corrected
   * @param paints whether a part of a picture can be made anew and a picture inverted
   * @param spreadsStrength whether all steps are made at any strength, over a shorter schedule;
   *     else steps are left out
   * @param statistics whether the latents' mean and deviation that the autoencoder's config may
   *     have count
   * @param control the weight of ControlNets, the strength and the guidance with them; null where
   *     they are not taken
   * @param corrections what diffusers' pipelines without a mask change in the scheduler's config
   * @param maskedCorrections what its pipeline with a mask changes
   */
  private record Family(
      String name,
      int sampleSize,
      boolean correctsSampleSize,
      long steps,
      Choice guidance,
      Choice strength,
      boolean paints,
      boolean spreadsStrength,
      boolean statistics,
      Choice control,
      SchedulerCorrections corrections,
      SchedulerCorrections maskedCorrections) {

    /** The reference's pipelines with ControlNets or T2I-Adapters change nothing. */
    SchedulerCorrections corrections(GenerationRequest request) {
      if (Control.isIn(request.arguments()) || T2IAdapters.isIn(request.arguments())) {
        return SchedulerCorrections.NONE;
      }
      return request.get(Parameters.MASK) == null ? corrections : maskedCorrections;
    }
  }

  private static final Family STABLE_DIFFUSION =
      new Family(
          "StableDiffusionPipeline",
          64,
          true,
          50,
          new Choice("7.5", asked -> 7.5),
          new Choice(
              "1 with a mask or a sourcePrompt, 0.8 with an image alone",
              asked -> strength(asked, 1.0, 0.8)),
          true,
          false,
          false,
          new Choice(
              "1, 0.8 with an image, 0.5 with a mask", asked -> weight(asked, 1.0, 0.8, 0.5)),
          SchedulerCorrections.IMAGES,
          SchedulerCorrections.INPAINTING);

  private static final Family XL =
      new Family(
          "StableDiffusionXLPipeline",
          128,
          false,
          50,
          new Choice(
              "5.0, 7.5 with a mask and no controlImage",
              asked -> asked.has(Parameters.MASK) && !Control.isIn(asked) ? 7.5 : 5.0),
          new Choice(
              "0.9999 with a mask, 1 with a sourcePrompt, 0.8 with an image and a controlImage, 0.3"
                  + " with an image alone",
              asked -> strength(asked, 0.9999, Control.isIn(asked) ? 0.8 : 0.3)),
          true,
          false,
          true,
          new Choice("1, 0.8 with an image", asked -> weight(asked, 1.0, 0.8, 1.0)),
          SchedulerCorrections.NONE,
          SchedulerCorrections.NONE);

  private static final Family LATENT_CONSISTENCY =
      new Family(
          "LatentConsistencyModelPipeline",
          64,
          false,
          4,
          new Choice("8.5", asked -> 8.5),
          new Choice("0.8 with an image", asked -> strength(asked, 1.0, 0.8)),
          false,
          true,
          false,
          null,
          SchedulerCorrections.NONE,
          SchedulerCorrections.NONE);

  private static Double weight(Arguments asked, double text, double image, double mask) {
    return asked.has(Parameters.MASK) ? mask : asked.has(Parameters.IMAGE) ? image : text;
  }

  private static Double strength(Arguments asked, double masked, double alone) {
    if (asked.has(Parameters.MASK)) {
      return masked;
    }
    if (asked.has(Parameters.SOURCE_PROMPT)) {
      return 1.0;
    }
    return asked.has(Parameters.IMAGE) ? alone : null;
  }

  private static final String IP_ADAPTERS = "diffusion.model.ip-adapters";
  private static final String CACHE = "diffusion.cache.interval";
  private static final String LORAS = "diffusion.loras.allowed";
  private static final String INNER = "diffusion.unet-guidance.enabled";

  private final Family family;
  private final Parts parts;
  private final Conditioning conditioning;
  private final Optional<Control> control;
  private final Optional<T2IAdapters> features;
  private final Optional<ImagePrompts> imagePrompts;
  private final Optional<Adapters> adapters;
  private final Optional<InnerGuidance> inner;

  private final SideLimits sides;

  /** Whether the network itself takes the mask and the masked picture. */
  private final boolean knowsMask;

  private StableDiffusion(
      Components components,
      Family family,
      Config config,
      UNet2DConditionConfig unet,
      OpenConditioning conditioned) {
    this.family = family;
    SamplingPlans plans = SamplingPlans.open(components, family.corrections());
    Autoencoder autoencoder =
        family.statistics()
            ? Autoencoder.openWithStatistics(components)
            : Autoencoder.open(components);
    this.control =
        family.control() == null
            ? Optional.empty()
            : Control.open(components, unet, autoencoder.format().scaleFactor());
    this.features =
        family == LATENT_CONSISTENCY
            ? Optional.empty()
            : T2IAdapters.open(components, unet, autoencoder.format().scaleFactor(), family == XL);
    if (control.isPresent() && features.isPresent()) {
      throw components
          .folder()
          .config()
          .unsupported("adapter", "T2IAdapter", "none in a model with a ControlNet");
    }
    this.imagePrompts = ImagePrompts.open(components, unet);
    // With these nothing is cached; what the settings ask for is refused then.
    boolean shared = control.isPresent() || features.isPresent() || imagePrompts.isPresent();
    Optional<Caching> caching = shared ? Optional.empty() : components.caching();
    Optional<AdapterSettings> named =
        shared || caching.isPresent() ? Optional.empty() : components.adapters();
    this.inner =
        shared || caching.isPresent()
            ? Optional.empty()
            : InnerGuidance.open(components, config, unet, family != LATENT_CONSISTENCY);
    UNet2DCondition network = new UNet2DCondition(unet);
    Graph graph = inner.isPresent() ? network.guidedGraph() : network.graph();
    this.adapters =
        named.map(
            each ->
                Adapters.open(
                    each,
                    components,
                    "unet",
                    graph,
                    inner.isPresent()
                        ? List.of(UNet2DCondition.FORWARD, UNet2DCondition.GUIDED)
                        : List.of(UNet2DCondition.FORWARD),
                    textEncoders(components.folder())));
    this.conditioning = conditioned.open(components, config, unet, adapters);
    Denoiser denoiser =
        shared
            ? SharedUNet.load(components, unet, conditioning, control, features, imagePrompts)
            : denoiser(components, unet, graph, conditioning);
    int latentChannels = autoencoder.format().latentChannels();
    this.knowsMask = family.paints() && unet.inChannels() == 2 * latentChannels + 1;
    UNetConditions.channels(config, unet, autoencoder, knowsMask ? latentChannels + 1 : 0);
    int factor = autoencoder.format().scaleFactor();
    SampleSize size =
        family.correctsSampleSize()
            ? SampleSize.corrected(config, family.sampleSize())
            : SampleSize.of(config, family.sampleSize());
    this.sides = SideLimits.of(autoencoder, unet);
    Tiling tiling = Tiling.of(1, sides.factor(), size.smallerSide() * factor);
    long width = (long) size.width() * factor;
    long height = (long) size.height() * factor;
    String sizeText =
        features.isPresent()
            ? "the image's or adapterImage's, or "
            : control.isEmpty() ? "the image's, or " : "the image's or controlImage's, or ";
    Signature signature =
        conditioning.describe(
            plans
                .listing(
                    controlled(
                            images(
                                elsewhere(
                                    lessWork(
                                        Variation.describeSeeds(
                                            Signature.of(family.name())
                                                .required(Parameters.PROMPT)),
                                        caching),
                                    unet,
                                    caching)))
                        .withDefault(
                            Parameters.STRENGTH,
                            family.strength().description(),
                            family.strength().value()),
                    family.steps())
                .withDefault(
                    Parameters.GUIDANCE_SCALE,
                    family.guidance().description(),
                    family.guidance().value())
                .withDefault(
                    Parameters.WIDTH,
                    sizeText + width,
                    asked -> Sides.wholeWidth(asked, factor, width))
                .withDefault(
                    Parameters.HEIGHT,
                    sizeText + height,
                    asked -> Sides.wholeHeight(asked, factor, height)));
    this.parts =
        new Parts(
            new Description(signature, autoencoder.format().inChannels(), Optional.of(tiling)),
            components,
            plans,
            denoiser,
            Optional.of(autoencoder));
  }

  /** What opens a family's conditioning, with the LoRAs that requests name. */
  @FunctionalInterface
  private interface OpenConditioning {
    Conditioning open(
        Components components,
        Config config,
        UNet2DConditionConfig unet,
        Optional<Adapters> adapters);
  }

  private static Set<String> textEncoders(ModelFolder folder) {
    return Stream.of("text_encoder", "text_encoder_2")
        .filter(folder::has)
        .collect(Collectors.toSet());
  }

  private Denoiser denoiser(
      Components components, UNet2DConditionConfig config, Graph graph, Conditioning conditioning) {
    if (components.caching().isEmpty()) {
      Denoiser plain = Denoiser.of(components.load("unet", graph), conditioning.inputs());
      Denoiser guided = inner.map(each -> each.on(plain)).orElse(plain);
      return adapters.map(each -> each.on(guided)).orElse(guided);
    }
    return components.cachingDenoiser(
        "unet", new UNet2DCondition(config), "layers_per_block", conditioning.inputs());
  }

  private Signature lessWork(Signature signature, Optional<Caching> caching) {
    Signature guided =
        family == LATENT_CONSISTENCY ? signature : signature.optional(Parameters.GUIDANCE_INTERVAL);
    if (adapters.isPresent()) {
      guided = guided.optional(Parameters.LORAS);
    }
    if (inner.isPresent()) {
      guided = inner.get().describe(guided);
    }
    Signature all = guided;
    return caching
        .map(each -> all.withDefault(Parameters.CACHE_INTERVAL, (long) each.interval()))
        .orElse(all);
  }

  /** Names the job's options that would let requests have more, as far as they go together. */
  private Signature elsewhere(
      Signature signature, UNet2DConditionConfig unet, Optional<Caching> caching) {
    boolean shown = imagePrompts.isPresent();
    boolean caches = caching.isPresent();
    boolean adapts = adapters.isPresent();
    boolean guides = inner.isPresent();
    Signature all = signature;
    if (!shown && IpAdapters.takesAny(unet)) {
      all =
          all.elsewhere(
              job(IP_ADAPTERS, caches ? CACHE : "", adapts ? LORAS : "", guides ? INNER : ""),
              ImagePrompts.PARAMETERS);
    }
    if (control.isPresent() || features.isPresent()) {
      return all;
    }
    String images = shown ? IP_ADAPTERS : "";
    if (!caches) {
      all =
          all.elsewhere(
              job(CACHE, images, adapts ? LORAS : "", guides ? INNER : ""),
              List.of(Parameters.CACHE_INTERVAL));
    }
    if (!adapts) {
      all = all.elsewhere(job(LORAS, images, caches ? CACHE : ""), List.of(Parameters.LORAS));
    }
    return guides
        ? all
        : InnerGuidance.describeWithout(
            all, unet, family != LATENT_CONSISTENCY, job(INNER, images, caches ? CACHE : ""));
  }

  private static String job(String option, String... without) {
    List<String> those = Stream.of(without).filter(each -> !each.isEmpty()).toList();
    return "the option "
        + option
        + (those.isEmpty() ? "" : " and without " + String.join(" and ", those));
  }

  private Signature controlled(Signature signature) {
    Signature featured = features.map(each -> each.describe(signature)).orElse(signature);
    Signature shown = imagePrompts.map(each -> each.describe(featured)).orElse(featured);
    return control.isEmpty()
        ? shown
        : control.get().describe(shown, family.control().description(), family.control().value());
  }

  private Signature images(Signature signature) {
    if (!family.paints()) {
      return signature.optional(Parameters.IMAGE).optional(Parameters.TILE_TOP_LEFT);
    }
    return knowsMask
        ? signature
            .required(Parameters.IMAGE)
            .required(Parameters.MASK)
            .optional(Parameters.TILE_TOP_LEFT)
        : signature
            .optional(Parameters.IMAGE)
            .optional(Parameters.MASK)
            .optional(Parameters.TILE_TOP_LEFT)
            .optional(Parameters.SOURCE_PROMPT)
            .withDefault(
                Parameters.SOURCE_GUIDANCE_SCALE,
                "1 with a sourcePrompt",
                asked -> asked.has(Parameters.SOURCE_PROMPT) ? 1.0 : null);
  }

  /** Stable Diffusion 1.x and 2.x. */
  static Task open(Components components) {
    Config config = components.config("unet", "UNet2DConditionModel");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    return new StableDiffusion(components, STABLE_DIFFUSION, config, unet, TextConditioning::open);
  }

  /** Stable Diffusion 1.x and 2.x of a model that must have a ControlNet. */
  static Task openControlled(Components components) {
    components.requireClass(ControlledUNet.component(0), Control.CLASSES);
    return open(components);
  }

  /** Stable Diffusion 1.x and 2.x of a model that must have a T2I-Adapter. */
  static Task openAdapted(Components components) {
    components.requireClass(T2IAdapters.component(0), T2IAdapters.CLASSES);
    return open(components);
  }

  /** Stable Diffusion XL of a model that must have a ControlNet. */
  static Task openControlledXl(Components components) {
    components.requireClass(ControlledUNet.component(0), Control.CLASSES);
    return openXl(components);
  }

  /** Stable Diffusion XL of a model that must have a ControlNet for several kinds of images. */
  static Task openUnionXl(Components components) {
    components.requireClass(ControlledUNet.component(0), Control.UNION);
    return openXl(components);
  }

  /** Stable Diffusion XL of a model that must have a T2I-Adapter. */
  static Task openAdaptedXl(Components components) {
    components.requireClass(T2IAdapters.component(0), T2IAdapters.CLASSES);
    return openXl(components);
  }

  /** Stable Diffusion XL and its refiner. */
  static Task openXl(Components components) {
    Config config = components.config("unet", "UNet2DConditionModel");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    return new StableDiffusion(components, XL, config, unet, XlConditioning::open);
  }

  /** Latent consistency models distilled from Stable Diffusion 1.x. */
  static Task openLatentConsistency(Components components) {
    Config config = components.config("unet", "UNet2DConditionModel");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    if (unet.guidanceEmbedding() == 0) {
      throw config.unsupported(
          UNetConditions.GUIDANCE,
          config.node().get(UNetConditions.GUIDANCE),
          "a number: latent consistency models take the guidance scale as an input");
    }
    return new StableDiffusion(
        components, LATENT_CONSISTENCY, config, unet, TextConditioning::open);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public GenerationRequest check(GenerationRequest asked) {
    GenerationRequest moved = PromptLoras.moved(asked, adapters.isPresent());
    GenerationRequest request = adapters.map(each -> each.check(moved)).orElse(moved);
    sides.check(request);
    Variation.check(request);
    inner.ifPresent(each -> each.check(request));
    conditioning.check(request, this::calls);
    control.ifPresent(each -> each.check(request));
    features.ifPresent(each -> each.check(request));
    imagePrompts.ifPresent(each -> each.check(request));
    Raster image = request.get(Parameters.IMAGE);
    Raster mask = request.get(Parameters.MASK);
    if (image == null) {
      for (Parameter<?> about :
          List.of(
              Parameters.MASK,
              Parameters.SOURCE_PROMPT,
              Parameters.SOURCE_GUIDANCE_SCALE,
              Parameters.STRENGTH,
              Parameters.TILE_TOP_LEFT)) {
        if (request.get(about) != null) {
          throw new InvalidRequestException("The request has a %s but no image.".formatted(about));
        }
      }
      return request;
    }
    Sides.checkChannels(Parameters.IMAGE, image, autoencoder().format().inChannels());
    Sides.checkWholeSize(request, autoencoder().format().scaleFactor());
    if (mask != null) {
      Sides.checkChannels(Parameters.MASK, mask, 1);
      Sides.checkSameSize(Parameters.MASK, mask, request);
    }
    if (inverted(request) && mask != null) {
      throw new InvalidRequestException(
          "The request has a sourcePrompt and a mask; it may have one of both.");
    }
    if (!inverted(request) && request.get(Parameters.SOURCE_GUIDANCE_SCALE) != null) {
      throw new InvalidRequestException(
          "The request has a sourceGuidanceScale but no sourcePrompt.");
    }
    return request;
  }

  @Override
  public SamplingPlan plan(GenerationRequest request) {
    if (request.get(Parameters.IMAGE) == null) {
      return parts.plans().plan(request, family.corrections(request));
    }
    if (inverted(request)) {
      return parts.plans().planThroughInversion(request, family.corrections(request));
    }
    SamplingPlan plan =
        family.spreadsStrength()
            ? parts.plans().planOfStrength(request)
            : parts.plans().planFromImage(request, family.corrections(request));
    // A network that does not know the mask has the known part put back after each step but the
    // last.
    if (!allAnew(request) || !knowsMask && plan.calls() > 1) {
      SamplingPlans.requireMixing(request);
    }
    return plan;
  }

  @Override
  public List<Conditions> conditions(List<GenerationRequest> requests) {
    return conditioning.encode(requests, this::calls);
  }

  /** Of the network after an inversion. */
  private int calls(GenerationRequest request) {
    int calls = plan(request).calls();
    return inverted(request) ? calls / 2 : calls;
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<GenerationRequest> texts = new ArrayList<>(requests);
    List<Raster> pictures = new ArrayList<>();
    for (GenerationRequest request : requests) {
      if (inverted(request)) {
        texts.add(source(request));
      }
      if (needsImage(request)) {
        pictures.add(Sides.resized(request));
      }
      if (request.get(Parameters.MASK) != null) {
        pictures.add(mask(request).covered(request.get(Parameters.IMAGE)));
      }
    }
    List<Conditions> encoded = conditions(texts);
    Iterator<Conditions> sources = encoded.subList(requests.size(), encoded.size()).iterator();
    Iterator<Autoencoder.Moments> moments = autoencoder().encode(pictures).iterator();
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      GenerationRequest request = requests.get(i);
      Beginning beginning =
          inverted(request)
              ? invert(request, encoded.get(i), sources.next(), moments.next())
              : begin(request, encoded.get(i), moments, noises.get(i));
      Beginning featured = features.isPresent() ? features.get().of(request, beginning) : beginning;
      Beginning controlled = control.isPresent() ? control.get().of(request, featured) : featured;
      Beginning guided = inner.isPresent() ? inner.get().of(request, controlled) : controlled;
      beginnings.add(adapters.isPresent() ? adapters.get().of(request, guided) : guided);
    }
    return imagePrompts.isPresent() ? imagePrompts.get().of(requests, beginnings) : beginnings;
  }

  private Beginning begin(
      GenerationRequest request,
      Conditions conditions,
      Iterator<Autoencoder.Moments> moments,
      TrajectoryNoise noises) {
    SampleShape shape = autoencoder().latent(request.width(), request.height());
    SamplingPlan plan = plan(request);
    float[] image =
        needsImage(request) ? encoded(request, moments.next()).sample(noises.shaped(shape)) : null;
    float[] noise = Variation.noise(request, noises, shape);
    SamplerState state =
        image == null || allAnew(request)
            ? SamplerState.start(plan, noise)
            : SamplerState.startFrom(plan, image, noise);
    float[] appended = new float[0];
    Optional<InpaintMask.KnownPart> known = Optional.empty();
    if (request.get(Parameters.MASK) != null) {
      // Drawn for a network that does not know the mask, too, as the reference does.
      float[] covered = encoded(request, moments.next()).sample(noises.shaped(shape));
      if (knowsMask) {
        float[] mask = mask(request).latent(shape);
        appended = Arrays.copyOf(mask, mask.length + covered.length);
        System.arraycopy(covered, 0, appended, mask.length, covered.length);
      } else {
        known = Optional.of(mask(request).known(shape, image, noise));
      }
    }
    return new Beginning(shape, state, conditions.with(appended), Optional.empty(), known);
  }

  /** From the most probable latent, so that the picture comes back as well as it can. */
  private Beginning invert(
      GenerationRequest request,
      Conditions conditions,
      Conditions source,
      Autoencoder.Moments moments) {
    SamplingPlan plan = plan(request);
    return new Beginning(
        autoencoder().latent(request.width(), request.height()),
        SamplerState.start(plan, moments.mode()),
        conditions.truncatedAs(source),
        Optional.of(new Beginning.Lead(plan.calls() / 2, source)),
        Optional.empty());
  }

  /** SDXL's inpainting takes pictures without the latents' statistics, and decodes with them. */
  private static Autoencoder.Moments encoded(
      GenerationRequest request, Autoencoder.Moments moments) {
    return request.get(Parameters.MASK) == null ? moments : moments.withoutStatistics();
  }

  private static boolean inverted(GenerationRequest request) {
    return request.get(Parameters.SOURCE_PROMPT) != null;
  }

  /** The request under the text that describes the picture. */
  private static GenerationRequest source(GenerationRequest request) {
    return new GenerationRequest(
        request.id(),
        request
            .arguments()
            .with(Parameters.PROMPT, request.get(Parameters.SOURCE_PROMPT))
            .with(Parameters.GUIDANCE_SCALE, request.get(Parameters.SOURCE_GUIDANCE_SCALE)));
  }

  private static InpaintMask mask(GenerationRequest request) {
    return new InpaintMask(request.get(Parameters.MASK));
  }

  @Override
  public long rowBytes(GenerationRequest request) {
    return adapters.map(each -> each.rowBytes(request)).orElse(0L);
  }

  @Override
  public long encodedPixels(GenerationRequest request) {
    int images = (needsImage(request) ? 1 : 0) + (request.get(Parameters.MASK) != null ? 1 : 0);
    return (long) images * request.width() * request.height();
  }

  private boolean needsImage(GenerationRequest request) {
    return request.get(Parameters.IMAGE) != null && !(knowsMask && allAnew(request));
  }

  /** Inpainting begins from noise alone at strength 1; image to image never does. */
  private static boolean allAnew(GenerationRequest request) {
    return request.get(Parameters.MASK) != null && request.get(Parameters.STRENGTH) == 1;
  }
}
