/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A picture made twice as large between its encoding and its decoding: diffusers'
 * StableDiffusionLatentUpscalePipeline (the x2 latent upscaler). The encoded picture, each of its
 * values four times, is appended to the latent.
 *
 * <p>The reference makes the clean latent, which its scheduler is told to take, of the network's
 * output: x / (s^2 + 1) + s / sqrt(s^2 + 1) * output at noise level s. That is what the output's
 * opposite means as a velocity, so the plan is one of velocities ({@link
 * SchedulerCorrections#LATENT_DOUBLING}) and {@link #guided} turns the output around. A last
 * channel of the output, which was trained to tell the error, is left out.
 */
final class LatentDoubling implements LatentTask {
  private static final String NAME = "StableDiffusionLatentUpscalePipeline";
  private static final String SCHEDULER = "EulerDiscreteScheduler";
  private static final int SCALE = 2;

  /** Numbers that tell the network how noisy the small picture is; it is not: ones, then zeros. */
  private static final int NOISE_EMBEDDING = 128;

  private final Parts parts;
  private final PromptEncoder prompts;

  private final SideLimits sides;

  private LatentDoubling(Components components) {
    SamplingPlans plans = SamplingPlans.open(components, SchedulerCorrections.LATENT_DOUBLING);
    checkScheduler(components.config("scheduler"), plans.own());
    Config config = components.config("unet", "UNet2DConditionModel");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    UNetConditions.textAnd(config, List.of(UNetConditions.GUIDANCE));
    this.prompts = PromptEncoder.openOutermost(components);
    UNetConditions.fits(config, unet, prompts);
    int condition = NOISE_EMBEDDING + prompts.pooledSize();
    if (unet.guidanceEmbedding() != condition) {
      throw config.unsupported(
          UNetConditions.GUIDANCE,
          config.node().get(UNetConditions.GUIDANCE),
          "%d and the text encoder's hidden_size, %d".formatted(NOISE_EMBEDDING, condition));
    }
    Autoencoder autoencoder = Autoencoder.open(components);
    int latent = autoencoder.format().latentChannels();
    checkChannels(config, "in_channels", unet.inChannels(), 2 * latent, "twice ");
    checkChannels(config, "out_channels", unet.outChannels(), latent + 1, "one more than ");
    Denoiser denoiser =
        Denoiser.of(
                components.load("unet", new UNet2DCondition(unet).graph()),
                prompts.input(),
                Denoiser.Input.floats(condition))
            .toldLogSigma();
    int factor = autoencoder.format().scaleFactor();
    this.sides = SideLimits.of(autoencoder, unet, SCALE);
    Tiling tiling =
        Tiling.of(
            SCALE,
            sides.factor() / SCALE,
            Math.max(sides.least(), SampleSize.of(config, 128).smallerSide() * factor) / SCALE);
    Signature signature =
        Signature.of(NAME)
            .required(Parameters.IMAGE)
            .optional(Parameters.TILE_TOP_LEFT)
            .withDefault(Parameters.PROMPT, "")
            .withDefault(Parameters.NEGATIVE_PROMPT, "")
            .withDefault(Parameters.STEPS, 75L)
            .withDefault(Parameters.GUIDANCE_SCALE, 9.0)
            .withDefault(Parameters.SCHEDULER, SCHEDULER)
            .withDefault(
                Parameters.WIDTH,
                "twice the image's",
                asked -> SCALE * Sides.wholeWidth(asked, factor, 0))
            .withDefault(
                Parameters.HEIGHT,
                "twice the image's",
                asked -> SCALE * Sides.wholeHeight(asked, factor, 0));
    this.parts =
        new Parts(
            new Description(signature, autoencoder.format().inChannels(), Optional.of(tiling)),
            components,
            plans,
            denoiser,
            Optional.of(autoencoder));
  }

  static Task open(Components components) {
    return new LatentDoubling(components);
  }

  private static void checkScheduler(Config config, String className) {
    if (!className.equals(SCHEDULER)) {
      // Another class's images are others, so it is not taken for this one.
      throw config.unsupported(
          "_class_name", className, SCHEDULER + ", here and in model_index.json");
    }
    String prediction = config.string("prediction_type", "epsilon");
    if (!Set.of("sample", "original_sample").contains(prediction)) {
      throw config.unsupported(
          "prediction_type", prediction, "sample or original_sample: it is given clean latents");
    }
  }

  private static void checkChannels(
      Config config, String key, int channels, int wanted, String how) {
    if (channels != wanted) {
      throw config.unsupported(
          key, channels, "%s the autoencoder's latent_channels, %d".formatted(how, wanted));
    }
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public String name(Arguments request) {
    return "super-resolution";
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Raster image = request.get(Parameters.IMAGE);
    Sides.checkChannels(Parameters.IMAGE, image, autoencoder().format().inChannels());
    sides.check(request);
    int factor = autoencoder().format().scaleFactor();
    Sides.checkFixed(
        request,
        (int) (SCALE * Sides.wholeWidth(request.arguments(), factor, 0)),
        (int) (SCALE * Sides.wholeHeight(request.arguments(), factor, 0)),
        "the result is twice as large as the image, whose sides count as multiples of " + factor);
    if (!request.scheduler().equals(SCHEDULER)) {
      throw new InvalidRequestException(
          "scheduler is %s; %s works with %s only."
              .formatted(request.scheduler(), NAME, SCHEDULER));
    }
    return request;
  }

  @Override
  public SamplingPlan plan(GenerationRequest request) {
    return parts.plans().plan(request, SchedulerCorrections.LATENT_DOUBLING);
  }

  @Override
  public long encodedPixels(GenerationRequest request) {
    return (long) (request.width() / SCALE) * (request.height() / SCALE);
  }

  @Override
  public List<Conditions> conditions(List<GenerationRequest> requests) {
    return TextConditioning.guided(
        prompts, requests.stream().map(LatentDoubling::told).toList(), LatentDoubling::row);
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Conditions> conditions = conditions(requests);
    List<Autoencoder.Moments> moments =
        autoencoder().encode(requests.stream().map(LatentDoubling::resized).toList());
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      SampleShape shape = shape(requests.get(i)).orElseThrow();
      SampleShape small =
          new SampleShape(shape.channels(), shape.height() / SCALE, shape.width() / SCALE);
      float[] image = moments.get(i).sample(noises.get(i).shaped(small));
      Conditions seen =
          conditions
              .get(i)
              .with(repeated(image, shape))
              .withGuidance(guidance -> guided(guidance, shape));
      beginnings.add(begin(requests.get(i), seen, noises.get(i)));
    }
    return beginnings;
  }

  /** As large as the reference makes it, by its filter, before it is encoded. */
  private static Raster resized(GenerationRequest request) {
    Raster image = request.get(Parameters.IMAGE);
    int height = request.height() / SCALE;
    int width = request.width() / SCALE;
    return image.height() == height && image.width() == width
        ? image
        : PilResize.resize(image, height, width, PilResize.Filter.BICUBIC);
  }

  /** Each value of a latent of half the sides four times. */
  private static float[] repeated(float[] small, SampleShape shape) {
    float[] repeated = new float[shape.size()];
    int width = shape.width() / SCALE;
    for (int i = 0; i < repeated.length; i++) {
      int x = i % shape.width() / SCALE;
      int line = i / shape.width(); // of all channels, whose heights are even
      repeated[i] = small[line / SCALE * width + x];
    }
    return repeated;
  }

  private static Row row(GenerationRequest request, PromptEncoding text) {
    float[] condition = new float[NOISE_EMBEDDING + text.pooled().length];
    Arrays.fill(condition, 0, NOISE_EMBEDDING / 2, 1);
    System.arraycopy(text.pooled(), 0, condition, NOISE_EMBEDDING, text.pooled().length);
    return Row.of(text.states(), condition);
  }

  /** A velocity of the sample's channels. */
  private static Guidance guided(Guidance guidance, SampleShape shape) {
    return new Guidance.Opposite(new Guidance.First(guidance, shape.size()));
  }

  /** A scale of 0 leaves the text out, in the reference too. */
  private static GenerationRequest told(GenerationRequest request) {
    return request.guidanceScale() == 0
        ? new GenerationRequest(request.id(), request.arguments().with(Parameters.PROMPT, ""))
        : request;
  }
}
