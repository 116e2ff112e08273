/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ClipVision;
import io.github.flinkdiffusion.ops.network.ClipVisionConfig;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Another picture like the given one, without a text: diffusers'
 * StableDiffusionImageVariationPipeline. The denoising network's context is one token, what CLIP's
 * vision network makes of the picture; with guidance the unconditional row's is zeros.
 */
final class ImageVariation implements LatentTask {
  private final Parts parts;
  private final ClipImageProcessor processor;
  private final Network imageEncoder;

  /** Of the square that the image encoder takes, whatever the image's size. */
  private final int encodedSide;

  private final SideLimits sides;

  private ImageVariation(Components components) {
    SamplingPlans plans = SamplingPlans.open(components);
    Config config = components.config("unet", "UNet2DConditionModel");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    UNetConditions.textAlone(config);
    ClipVisionConfig vision =
        ClipVisionConfig.from(components.config("image_encoder", "CLIPVisionModelWithProjection"));
    if (vision.projectionSize() != unet.contextSize()) {
      throw config.unsupported(
          "cross_attention_dim",
          unet.contextSize(),
          "the image encoder's projection_dim, " + vision.projectionSize());
    }
    this.encodedSide = vision.imageSize();
    this.processor =
        ClipImageProcessor.from(
            components.config("feature_extractor", ClipImageProcessor.CLASSES), vision.imageSize());
    this.imageEncoder = components.load("image_encoder", new ClipVision(vision).graph());
    Denoiser denoiser =
        Denoiser.of(
            components.load("unet", new UNet2DCondition(unet).graph()),
            Denoiser.Input.floats(1, vision.projectionSize()));
    Autoencoder autoencoder = Autoencoder.openDecoder(components);
    UNetConditions.channels(config, unet, autoencoder, 0);
    SampleSize size = SampleSize.corrected(config, 64);
    int factor = autoencoder.format().scaleFactor();
    this.sides = SideLimits.of(autoencoder, unet);
    Signature signature =
        Signature.of("StableDiffusionImageVariationPipeline")
            .required(Parameters.IMAGE)
            .withDefault(Parameters.STEPS, 50L)
            .withDefault(Parameters.GUIDANCE_SCALE, 7.5)
            .withDefault(Parameters.SCHEDULER, plans.own())
            .withDefault(Parameters.ETA, 0.0)
            .optional(Parameters.TEMPERATURE)
            .withDefault(Parameters.WIDTH, (long) size.width() * factor)
            .withDefault(Parameters.HEIGHT, (long) size.height() * factor);
    this.parts =
        new Parts(
            new Description(signature), components, plans, denoiser, Optional.of(autoencoder));
  }

  static Task open(Components components) {
    return new ImageVariation(components);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public String name(Arguments request) {
    return "image-variation";
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    sides.check(request);
    try {
      processor.check(request.get(Parameters.IMAGE));
    } catch (ImageException e) {
      throw new InvalidRequestException(e.getMessage());
    }
    return request;
  }

  @Override
  public long encodedPixels(GenerationRequest request) {
    return (long) encodedSide * encodedSide;
  }

  @Override
  public List<Conditions> conditions(List<GenerationRequest> requests) {
    List<Raster> images = requests.stream().map(request -> request.get(Parameters.IMAGE)).toList();
    float[] embeddings = imageEncoder.call(ClipVision.FORWARD, processor.pixels(images)).data();
    int size = embeddings.length / images.size();
    List<Conditions> conditions = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      Row conditional = Row.of(Arrays.copyOfRange(embeddings, i * size, (i + 1) * size));
      conditions.add(
          Conditions.classifierFree(
              requests.get(i).guidanceScale(), Row.of(new float[size]), conditional));
    }
    return conditions;
  }
}
