/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ControlledUNet;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;

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

  private final StableDiffusionFamily family;
  private final Parts parts;
  private final Conditioning conditioning;
  private final UNetExtras extras;
  private final SideLimits sides;

  /** Whether the network itself takes the mask and the masked picture. */
  private final boolean knowsMask;

  private StableDiffusion(
      Components components,
      StableDiffusionFamily family,
      Config config,
      UNet2DConditionConfig unet,
      OpenConditioning conditioned) {
    this.family = family;
    SamplingPlans plans = SamplingPlans.open(components, family.corrections());
    Autoencoder autoencoder =
        family.statistics()
            ? Autoencoder.openWithStatistics(components)
            : Autoencoder.open(components);
    this.extras =
        new UNetExtras(components, family, config, unet, autoencoder.format().scaleFactor());
    this.conditioning = conditioned.open(components, config, unet, extras.adapters());
    Denoiser denoiser = extras.denoiser(components, conditioning);
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
        extras.features().isPresent()
            ? "the image's or adapterImage's, or "
            : extras.control().isEmpty()
                ? "the image's, or "
                : "the image's or controlImage's, or ";
    Signature signature =
        conditioning.describe(
            plans
                .listing(
                    extras
                        .controlled(
                            images(
                                extras.elsewhere(
                                    extras.lessWork(
                                        Variation.describeSeeds(
                                            Signature.of(family.name())
                                                .required(Parameters.PROMPT))))))
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
    return new StableDiffusion(
        components, StableDiffusionFamily.STABLE_DIFFUSION, config, unet, TextConditioning::open);
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
    return new StableDiffusion(
        components, StableDiffusionFamily.XL, config, unet, XlConditioning::open);
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
        components, StableDiffusionFamily.LATENT_CONSISTENCY, config, unet, TextConditioning::open);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public GenerationRequest check(GenerationRequest asked) {
    GenerationRequest moved = PromptLoras.moved(asked, extras.adapters().isPresent());
    GenerationRequest request = extras.adapters().map(each -> each.check(moved)).orElse(moved);
    sides.check(request);
    Variation.check(request);
    extras.inner().ifPresent(each -> each.check(request));
    conditioning.check(request, this::calls);
    extras.control().ifPresent(each -> each.check(request));
    extras.features().ifPresent(each -> each.check(request));
    extras.imagePrompts().ifPresent(each -> each.check(request));
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
      beginnings.add(extras.of(request, beginning));
    }
    return extras.imagePrompts().map(each -> each.of(requests, beginnings)).orElse(beginnings);
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
    return extras.adapters().map(each -> each.rowBytes(request)).orElse(0L);
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
