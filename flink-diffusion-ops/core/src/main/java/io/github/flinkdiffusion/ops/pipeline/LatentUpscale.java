/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ClassEmbedding;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.Schedulers;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import java.util.Optional;

/**
 * A picture enlarged with the help of a text: diffusers' StableDiffusionUpscalePipeline (the x4
 * upscaler). The small picture, made noisy to a chosen level, is appended to the latent, which is
 * as large as it; the autoencoder enlarges.
 */
final class LatentUpscale implements LatentTask {
  /** The reference sets it whatever the autoencoder's config says. */
  private static final double SCALING_FACTOR = 0.08333;

  private final Parts parts;
  private final SamplingPlan lowResolution;
  private final PromptEncoder prompts;
  private final int pictureChannels;
  private final int maxNoiseLevel;

  private LatentUpscale(Components components) {
    SamplingPlans plans = SamplingPlans.open(components);
    this.lowResolution = everyTimestep(components);
    this.maxNoiseLevel =
        Math.min(
            components.folder().config().integer("max_noise_level", 350),
            lowResolution.calls() - 1);
    Config config = components.config("unet", "UNet2DConditionModel");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    if (unet.classEmbedding().kind() != ClassEmbedding.Kind.TABLE) {
      throw config.unsupported(
          "num_class_embeds",
          config.node().get("num_class_embeds"),
          "a number: the network is told the noise level as a class");
    }
    if (unet.classEmbedding().size() <= maxNoiseLevel) {
      throw config.unsupported(
          "num_class_embeds",
          unet.classEmbedding().size(),
          "more than the pipeline's max_noise_level, " + maxNoiseLevel);
    }
    this.prompts = PromptEncoder.open(components);
    UNetConditions.fits(config, unet, prompts);
    UNetConditions.anySide(config, unet);
    Denoiser denoiser =
        Denoiser.of(
            components.load("unet", new UNet2DCondition(unet).graph()),
            prompts.input(),
            Denoiser.Input.integers());
    Autoencoder autoencoder = Autoencoder.openDecoder(components).withScalingFactor(SCALING_FACTOR);
    this.pictureChannels = unet.inChannels() - autoencoder.format().latentChannels();
    if (pictureChannels < 1) {
      throw config.unsupported(
          "in_channels",
          unet.inChannels(),
          "the autoencoder's latent_channels, %d, and the small image's"
              .formatted(autoencoder.format().latentChannels()));
    }
    UNetConditions.channels(config, unet, autoencoder, pictureChannels);
    int factor = autoencoder.format().scaleFactor();
    // The latent is as large as the image, so parts may lie anywhere.
    Tiling tiling = Tiling.of(factor, 1, SampleSize.of(config, 128).smallerSide());
    Signature signature =
        Sides.enlarged(
            Signature.of("StableDiffusionUpscalePipeline")
                .required(Parameters.IMAGE)
                .optional(Parameters.TILE_TOP_LEFT)
                .withDefault(Parameters.PROMPT, "")
                .withDefault(Parameters.NEGATIVE_PROMPT, "")
                .optional(Parameters.CLIP_SKIP)
                .withDefault(Parameters.NOISE_LEVEL, 20L)
                .withDefault(Parameters.STEPS, 75L)
                .withDefault(Parameters.GUIDANCE_SCALE, 9.0)
                .withDefault(Parameters.SCHEDULER, plans.own())
                .withDefault(Parameters.ETA, 0.0)
                .optional(Parameters.TEMPERATURE),
            factor);
    this.parts =
        new Parts(
            new Description(signature, pictureChannels, Optional.of(tiling)),
            components,
            plans,
            denoiser,
            Optional.of(autoencoder));
  }

  static Task open(Components components) {
    return new LatentUpscale(components);
  }

  /**
   * The plan whose calls are all training timesteps, the last first. Classes that call the network
   * twice a step have no such plan: a noise level would be another timestep's.
   */
  private static SamplingPlan everyTimestep(Components components) {
    String name = "low_res_scheduler";
    SchedulerConfig scheduler = SamplingPlans.config(components, name);
    Config config = components.config(name);
    int timesteps = config.integer("num_train_timesteps", 1000);
    SamplingPlan plan = Schedulers.plan(scheduler, timesteps);
    if (plan.calls() != timesteps || !Schedulers.mixesImages(scheduler.className())) {
      throw config.unsupported(
          "_class_name",
          scheduler.className(),
          "a scheduler that adds noise to an image and makes one network call a timestep, such as DDPMScheduler");
    }
    return plan;
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
    Sides.checkChannels(Parameters.IMAGE, request.get(Parameters.IMAGE), pictureChannels);
    int factor = autoencoder().format().scaleFactor();
    Raster image = request.get(Parameters.IMAGE);
    Sides.checkPicture(request, factor);
    Sides.checkEnlarged(request, factor);
    prompts.checkClipSkip(request);
    long level = request.get(Parameters.NOISE_LEVEL);
    if (level > maxNoiseLevel) {
      throw new InvalidRequestException(
          "noiseLevel is %d; the model takes 0 to %d.".formatted(level, maxNoiseLevel));
    }
    return request;
  }

  @Override
  public List<Conditions> conditions(List<GenerationRequest> requests) {
    return TextConditioning.guided(
        prompts,
        requests,
        (request, text) -> Row.of(text.states(), new long[] {request.get(Parameters.NOISE_LEVEL)}));
  }

  @Override
  public Beginning begin(GenerationRequest request, Conditions conditions, TrajectoryNoise noise) {
    Raster image = request.get(Parameters.IMAGE);
    float[] picture = noisy(image, request.get(Parameters.NOISE_LEVEL), noise);
    return LatentTask.super.begin(request, conditions.with(picture), noise);
  }

  private float[] noisy(Raster image, long noiseLevel, TrajectoryNoise noises) {
    int call = lowResolution.calls() - 1 - (int) noiseLevel;
    double signal = lowResolution.signalLevel(call);
    double level = lowResolution.noiseLevel(call);
    float[] noise =
        noises.gaussian(new SampleShape(image.channels(), image.height(), image.width()));
    float[] noisy = new float[noise.length];
    for (int i = 0; i < noisy.length; i++) {
      noisy[i] = (float) (signal * (2 * image.data()[i] - 1) + level * noise[i]);
    }
    return noisy;
  }
}
