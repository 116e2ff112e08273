/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.CachingNetwork;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;

/**
 * Diffusion transformers that follow a text: from a text alone, and where the family has it, from
 * an image and a text, or a part of an image anew. What a request says decides. A transformer with
 * channels for an image to follow, or for a mask and the image around it, always needs them.
 *
 * <p>Noise is drawn in the reference's order: the sample of the encoded image if there is one, the
 * starting noise, and beside a mask the sample of the covered image, which only a transformer with
 * channels for it reads.
 */
final class TextTransformer implements LatentTask {

  /** How a scheduler is asked for its steps. */
  enum Way {
    /** As its config has them. */
    OF_CONFIG,
    /** As its config has them, shifted by the image's size where it says so. */
    OF_CONFIG_SHIFTED,
    /** Evenly spread sigmas of a rectified flow, shifted by the image's size. */
    OF_FLOW,
    /**
     * The same, shifted by the number of the latent's channels, which Lumina2Pipeline takes for the
     * image's size. Published models are shifted by a constant.
     */
    OF_FLOW_BY_CHANNELS
  }

  /** What a transformer takes as channels beside the sample's, as large as the sample. */
  enum Beside {
    NOTHING,
    /**
     * The latent of an image that the result follows, such as its edges or its depth. It is the
     * request's image; where that is what the steps begin with, the control image.
     */
    CONTROL,
    /**
     * The latent of the image without what is generated again, then the mask: the pixels of a
     * latent's pixel, row by row, one channel each.
     */
    COVERED_AND_MASK;

    int channels(LatentFormat format) {
      return switch (this) {
        case NOTHING -> 0;
        case CONTROL -> format.latentChannels();
        case COVERED_AND_MASK ->
            format.latentChannels() + format.scaleFactor() * format.scaleFactor();
      };
    }
  }

  /**
   * What the families differ in beside their conditioning and networks.
   *
   * @param name diffusers' class
   * @param steps by default
   * @param strengthOfImage by default with an image alone; 0 where the steps begin with no image
   * @param strengthOfMask by default with a mask; 0 likewise
   * @param unshiftedMasks whether the image of a request with a mask is decoded without {@code
   *     shift_factor}, with which it was encoded: StableDiffusion3InpaintPipeline does so
   */
  record Family(
      String name,
      Way way,
      long steps,
      double strengthOfImage,
      double strengthOfMask,
      boolean unshiftedMasks,
      Beside beside) {
    Family(String name, Way way, long steps, double strengthOfImage, double strengthOfMask) {
      this(name, way, steps, strengthOfImage, strengthOfMask, false, Beside.NOTHING);
    }

    /** Whose image of a mask is decoded without {@code shift_factor}. */
    Family withUnshiftedMasks() {
      return new Family(name, way, steps, strengthOfImage, strengthOfMask, true, beside);
    }

    /** Whose transformer takes further channels. */
    Family with(Beside channels) {
      return new Family(
          name, way, steps, strengthOfImage, strengthOfMask, unshiftedMasks, channels);
    }

    /** Whether an image may be where the steps begin. */
    private boolean startsFromImages() {
      return strengthOfMask > 0;
    }

    private boolean takesImages() {
      return startsFromImages() || beside != Beside.NOTHING;
    }

    /** Whether a control image is given apart from the image that the steps begin with. */
    private boolean takesControlImages() {
      return startsFromImages() && beside == Beside.CONTROL;
    }

    private Signature images(Signature signature) {
      return switch (beside) {
        case NOTHING ->
            startsFromImages()
                ? strength(signature.optional(Parameters.IMAGE).optional(Parameters.MASK))
                : signature;
        case CONTROL ->
            takesControlImages()
                ? strength(
                    signature
                        .required(Parameters.IMAGE)
                        .optional(Parameters.MASK)
                        .required(Parameters.CONTROL_IMAGE))
                : signature.required(Parameters.IMAGE);
        case COVERED_AND_MASK ->
            strength(signature.required(Parameters.IMAGE).required(Parameters.MASK));
      };
    }

    private Signature strength(Signature signature) {
      return signature.withDefault(
          Parameters.STRENGTH,
          beside == Beside.NOTHING
              ? "%s with an image, %s with a mask".formatted(strengthOfImage, strengthOfMask)
              : "" + strengthOfMask, // the same without a mask, or there is always one
          this::strength);
    }

    private Double strength(Arguments asked) {
      if (asked.has(Parameters.MASK)) {
        return strengthOfMask;
      }
      return asked.has(Parameters.IMAGE) ? strengthOfImage : null;
    }
  }

  /**
   * A family's transformer.
   *
   * @param layers the config's key that says how many blocks it has
   * @param channels that it takes, of the latent and beside it
   * @param patch pixels of the latent along a side of a token
   * @param side of the image in training, in pixels; the default
   */
  record Transformer(CachingNetwork network, String layers, int channels, int patch, int side) {}

  /** As diffusers' TaylorSeerCacheConfig. */
  private static final Long TAYLOR_START = 3L;

  private static final String THRESHOLD =
      "the options diffusion.cache.interval and diffusion.cache.threshold";

  private final Family family;
  private final Conditioning conditioning;
  private final Parts parts;

  /** Pixels of the image along a side of a token. */
  private final int factor;

  private TextTransformer(
      Components components,
      Family family,
      Transformer transformer,
      Conditioning conditioning,
      Autoencoder autoencoder) {
    this.family = family;
    this.conditioning = conditioning;
    this.factor = autoencoder.format().scaleFactor() * transformer.patch();
    checkChannels(
        components.config("transformer"),
        transformer.channels(),
        autoencoder.format().latentChannels(),
        family.beside().channels(autoencoder.format()));
    SamplingPlans plans =
        family.way() == Way.OF_CONFIG
            ? SamplingPlans.open(components)
            : SamplingPlans.openOfFlow(components);
    Optional<Caching> caching = components.caching();
    Denoiser denoiser =
        caching.isEmpty()
            ? Denoiser.of(
                components.load("transformer", transformer.network().graph()),
                conditioning.inputs())
            : components.cachingDenoiser(
                "transformer", transformer.network(), transformer.layers(), conditioning.inputs());
    Signature asked =
        family.images(
            Variation.describeSeeds(Signature.of(family.name()).required(Parameters.PROMPT)));
    asked = caching.isPresent() ? reusing(asked, caching.get()) : withoutReuse(asked);
    asked =
        family.way() == Way.OF_CONFIG
            ? plans.listing(asked, family.steps())
            : plans.listingSigmas(asked, family.steps());
    long side = transformer.side();
    Signature signature =
        conditioning.describe(
            asked
                .withDefault(
                    Parameters.WIDTH, sides(side), each -> Sides.wholeWidth(each, factor, side))
                .withDefault(
                    Parameters.HEIGHT, sides(side), each -> Sides.wholeHeight(each, factor, side)));
    this.parts =
        new Parts(
            new Description(signature, autoencoder.format().inChannels(), Optional.empty()),
            components,
            plans,
            denoiser,
            Optional.of(autoencoder));
  }

  private static Signature reusing(Signature asked, Caching caching) {
    Signature reusing =
        asked
            .withDefault(Parameters.CACHE_INTERVAL, (long) caching.interval())
            .optional(Parameters.TAYLOR_ORDER)
            .withDefault(
                Parameters.TAYLOR_START,
                TAYLOR_START + " with taylorOrder",
                each -> each.has(Parameters.TAYLOR_ORDER) ? TAYLOR_START : null);
    return caching.threshold() == null
        ? reusing.elsewhere(THRESHOLD, List.of(Parameters.CACHE_THRESHOLD))
        : reusing.withDefault(
            Parameters.CACHE_THRESHOLD,
            caching.threshold() + ", none with taylorOrder",
            each -> each.has(Parameters.TAYLOR_ORDER) ? null : caching.threshold());
  }

  private static Signature withoutReuse(Signature asked) {
    return asked
        .elsewhere(
            "the option diffusion.cache.interval",
            List.of(Parameters.CACHE_INTERVAL, Parameters.TAYLOR_ORDER, Parameters.TAYLOR_START))
        .elsewhere(THRESHOLD, List.of(Parameters.CACHE_THRESHOLD));
  }

  private String sides(long side) {
    if (!family.takesImages()) {
      return "" + side;
    }
    return family.beside() == Beside.NOTHING ? "the image's, or " + side : "the image's";
  }

  private static void checkChannels(Config config, int channels, int latent, int beside) {
    if (channels != latent + beside) {
      throw config.unsupported(
          "in_channels",
          channels,
          beside == 0
              ? "as many as the autoencoder's latents have, " + latent
              : "the channels of the autoencoder's latents, %d, and %d beside them, %d"
                  .formatted(latent, beside, latent + beside));
    }
  }

  static Task open(
      Components components,
      Family family,
      Transformer transformer,
      Conditioning conditioning,
      Autoencoder autoencoder) {
    return new TextTransformer(components, family, transformer, conditioning, autoencoder);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Sides.checkPicture(request, factor);
    Variation.check(request);
    conditioning.check(request);
    checkReuse(request);
    Raster image = request.get(Parameters.IMAGE);
    Raster mask = request.get(Parameters.MASK);
    if (image == null) {
      for (Parameter<?> about : List.of(Parameters.MASK, Parameters.STRENGTH)) {
        if (request.get(about) != null) {
          throw new InvalidRequestException("The request has a %s but no image.".formatted(about));
        }
      }
      return request;
    }
    Sides.checkChannels(Parameters.IMAGE, image, autoencoder().format().inChannels());
    Sides.checkWholeSize(request, factor);
    if (family.takesControlImages()) {
      Sides.checkChannels(
          Parameters.CONTROL_IMAGE,
          request.get(Parameters.CONTROL_IMAGE),
          autoencoder().format().inChannels());
    }
    if (mask != null) {
      Sides.checkChannels(Parameters.MASK, mask, 1);
      Sides.checkSameSize(Parameters.MASK, mask, request);
    }
    return request;
  }

  private static void checkReuse(GenerationRequest request) {
    boolean continues = request.get(Parameters.TAYLOR_ORDER) != null;
    if (!continues && request.get(Parameters.TAYLOR_START) != null) {
      throw new InvalidRequestException("The request has a taylorStart but no taylorOrder.");
    }
    Double threshold = request.get(Parameters.CACHE_THRESHOLD);
    if (continues && threshold != null && threshold > 0) {
      throw new InvalidRequestException(
          "The request has a taylorOrder and a cacheThreshold of %s; give one of them."
              .formatted(threshold));
    }
  }

  @Override
  public SamplingPlan plan(GenerationRequest request) {
    if (family.way() == Way.OF_CONFIG) {
      return parts.plans().plan(request);
    }
    Double strength = request.get(Parameters.STRENGTH);
    int tokens = request.width() / factor * (request.height() / factor);
    double made = strength == null ? 1 : strength;
    SamplingPlan plan =
        switch (family.way()) {
          case OF_FLOW -> parts.plans().planOfFlow(request, tokens, made);
          case OF_FLOW_BY_CHANNELS ->
              parts.plans().planOfFlow(request, autoencoder().format().latentChannels(), made);
          default -> parts.plans().planShifted(request, tokens, made);
        };
    if (strength != null) {
      SamplingPlans.requireMixing(request);
    }
    return plan;
  }

  @Override
  public List<Conditions> conditions(List<GenerationRequest> requests) {
    return conditioning.encode(requests);
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Raster> images = new ArrayList<>();
    for (GenerationRequest request : requests) {
      if (family.takesControlImages()) {
        images.add(Sides.resized(request, Parameters.CONTROL_IMAGE));
      }
      if (request.get(Parameters.IMAGE) != null) {
        images.add(Sides.resized(request, Parameters.IMAGE));
      }
      if (family.beside() == Beside.COVERED_AND_MASK) {
        images.add(mask(request).covered(request.get(Parameters.IMAGE)));
      }
    }
    List<Conditions> conditions = conditions(requests);
    Iterator<Autoencoder.Moments> encoded = autoencoder().encode(images).iterator();
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      beginnings.add(begin(requests.get(i), conditions.get(i), encoded, noises.get(i)));
    }
    return beginnings;
  }

  @Override
  public Beginning begin(GenerationRequest request, Conditions conditions, TrajectoryNoise noise) {
    Beginning plain = LatentTask.super.begin(request, conditions, noise);
    return conditioning.stretch(request, conditions).map(plain::with).orElse(plain);
  }

  private Beginning begin(
      GenerationRequest request,
      Conditions conditions,
      Iterator<Autoencoder.Moments> encoded,
      TrajectoryNoise noises) {
    if (request.get(Parameters.IMAGE) == null) {
      return begin(request, conditions, noises);
    }
    SampleShape shape = shape(request).orElseThrow();
    if (family.takesControlImages()) {
      return beginControlled(request, conditions, encoded, noises);
    }
    float[] image = encoded.next().sample(noises.shaped(shape));
    if (family.beside() == Beside.CONTROL) {
      return begin(request, conditions.with(image), noises);
    }
    float[] noise = Variation.noise(request, noises, shape);
    SamplerState state = SamplerState.startFrom(plan(request), image, noise);
    if (request.get(Parameters.MASK) == null) {
      return new Beginning(shape, state, conditions);
    }
    if (family.beside() == Beside.COVERED_AND_MASK) {
      float[] covered = encoded.next().sample(noises.shaped(shape));
      float[] mask = mask(request).pixels(shape);
      float[] appended = Arrays.copyOf(covered, covered.length + mask.length);
      System.arraycopy(mask, 0, appended, covered.length, mask.length);
      return new Beginning(shape, state, conditions.with(appended));
    }
    noises.gaussian(shape);
    return new Beginning(
        shape,
        state,
        conditions,
        Optional.empty(),
        Optional.of(mask(request).known(shape, image, noise)));
  }

  /** Beside a mask, the reference draws for the covered image first, which nothing reads. */
  private Beginning beginControlled(
      GenerationRequest request,
      Conditions texts,
      Iterator<Autoencoder.Moments> encoded,
      TrajectoryNoise noises) {
    SampleShape shape = shape(request).orElseThrow();
    boolean masked = request.get(Parameters.MASK) != null;
    if (masked) {
      noises.gaussian(shape);
    }
    Conditions conditions = texts.with(encoded.next().sample(noises.shaped(shape)));
    float[] image = encoded.next().sample(noises.shaped(shape));
    float[] noise = Variation.noise(request, noises, shape);
    return new Beginning(
        shape,
        SamplerState.startFrom(plan(request), image, noise),
        conditions,
        Optional.empty(),
        masked ? Optional.of(mask(request).known(shape, image, noise)) : Optional.empty());
  }

  private static InpaintMask mask(GenerationRequest request) {
    return new InpaintMask(request.get(Parameters.MASK));
  }

  @Override
  public HostTensor.Floats decode(List<Sample> done) {
    for (Sample sample : done) {
      if (family.unshiftedMasks() && sample.request().get(Parameters.MASK) != null) {
        autoencoder().format().takeMeansOff(sample.values());
      }
    }
    return autoencoder().decode(done);
  }

  @Override
  public long encodedTokens(GenerationRequest request) {
    return conditioning.tokens(request);
  }

  @Override
  public long encodedPixels(GenerationRequest request) {
    if (request.get(Parameters.IMAGE) == null) {
      return 0;
    }
    int images = family.beside() == Beside.COVERED_AND_MASK || family.takesControlImages() ? 2 : 1;
    return (long) images * request.width() * request.height();
  }
}
