/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A picture changed as a sentence says: diffusers' StableDiffusionInstructPix2PixPipeline (Brooks,
 * Holynski &amp; Efros 2023), which also runs InstructCV, see {@link InstructedResult}.
 *
 * <p>The encoded picture is appended to the latent. With guidance a call has three rows: text and
 * picture, picture alone, nothing; equation 3 of the paper weighs them by {@code guidanceScale} and
 * {@code imageGuidanceScale}.
 */
final class InstructPix2Pix implements LatentTask {
  private final Parts parts;
  private final PromptEncoder prompts;

  private final SideLimits sides;

  private final InstructedResult result;

  private InstructPix2Pix(Components components) {
    SamplingPlans plans = SamplingPlans.open(components);
    Config config = components.config("unet", "UNet2DConditionModel");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    UNetConditions.textAlone(config);
    this.prompts = PromptEncoder.open(components);
    UNetConditions.fits(config, unet, prompts);
    Denoiser denoiser =
        Denoiser.of(components.load("unet", new UNet2DCondition(unet).graph()), prompts.input());
    Autoencoder autoencoder = Autoencoder.open(components);
    UNetConditions.channels(config, unet, autoencoder, autoencoder.format().latentChannels());
    int factor = autoencoder.format().scaleFactor();
    this.sides = SideLimits.of(autoencoder, unet);
    Tiling tiling = Tiling.of(1, factor, factor * SampleSize.of(config, 64).smallerSide());
    this.result = InstructedResult.of(components.folder().config());
    Signature signature =
        result
            .describe(
                Signature.of("StableDiffusionInstructPix2PixPipeline")
                    .required(Parameters.PROMPT)
                    .required(Parameters.IMAGE))
            .optional(Parameters.TILE_TOP_LEFT)
            .withDefault(Parameters.NEGATIVE_PROMPT, "")
            .withDefault(Parameters.STEPS, 100L)
            .withDefault(Parameters.GUIDANCE_SCALE, 7.5)
            .withDefault(Parameters.IMAGE_GUIDANCE_SCALE, 1.5)
            .withDefault(Parameters.SCHEDULER, plans.own())
            .withDefault(Parameters.ETA, 0.0)
            .optional(Parameters.TEMPERATURE)
            .withDefault(
                Parameters.WIDTH, "the image's", asked -> Sides.wholeWidth(asked, factor, 0))
            .withDefault(
                Parameters.HEIGHT, "the image's", asked -> Sides.wholeHeight(asked, factor, 0));
    this.parts =
        new Parts(
            new Description(signature, autoencoder.format().inChannels(), Optional.of(tiling)),
            components,
            plans,
            denoiser,
            Optional.of(autoencoder));
  }

  static Task open(Components components) {
    return new InstructPix2Pix(components);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public ResultMeaning result(Arguments request) {
    return result.meaning(request);
  }

  @Override
  public String name(Arguments request) {
    String result = request.has(Parameters.RESULT) ? request.get(Parameters.RESULT) : "";
    return switch (result) {
      case "mask" -> "segmentation";
      case "boxes" -> "detection";
      default -> "image-editing";
    };
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    result.check(request);
    sides.check(request);
    Raster image = request.get(Parameters.IMAGE);
    Sides.checkChannels(Parameters.IMAGE, image, autoencoder().format().inChannels());
    Sides.checkWholeSize(request, autoencoder().format().scaleFactor());
    return request;
  }

  @Override
  public List<Conditions> conditions(List<GenerationRequest> requests) {
    List<String> texts = new ArrayList<>();
    List<Raster> images = new ArrayList<>();
    for (GenerationRequest request : requests) {
      texts.add(request.get(Parameters.PROMPT));
      if (guided(request)) {
        texts.add(request.get(Parameters.NEGATIVE_PROMPT));
      }
      images.add(Sides.resized(request));
    }
    Map<String, PromptEncoding> encoded = prompts.encode(texts);
    List<Autoencoder.Moments> moments = autoencoder().encode(images);
    List<Conditions> conditions = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      conditions.add(conditions(requests.get(i), encoded, moments.get(i).unscaledMode()));
    }
    return conditions;
  }

  private static Conditions conditions(
      GenerationRequest request, Map<String, PromptEncoding> encoded, float[] image) {
    PromptEncoding prompt = encoded.get(request.get(Parameters.PROMPT));
    Row full = Row.of(prompt.states()).with(image);
    if (!guided(request)) {
      return new Conditions(List.of(full), Guidance.NONE, prompt.truncated());
    }
    PromptEncoding negative = encoded.get(request.get(Parameters.NEGATIVE_PROMPT));
    Row nothing = Row.of(negative.states());
    return new Conditions(
        List.of(full, nothing.with(image), nothing.with(new float[image.length])),
        new Guidance.TextAndImage(
            request.guidanceScale(), request.get(Parameters.IMAGE_GUIDANCE_SCALE)),
        prompt.truncated() || negative.truncated());
  }

  @Override
  public long encodedPixels(GenerationRequest request) {
    return (long) request.width() * request.height();
  }

  private static boolean guided(GenerationRequest request) {
    return request.guidanceScale() > 1 && request.get(Parameters.IMAGE_GUIDANCE_SCALE) >= 1;
  }
}
