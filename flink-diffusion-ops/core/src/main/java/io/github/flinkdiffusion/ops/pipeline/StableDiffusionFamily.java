/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.function.Function;

/**
 * What the families of {@link StableDiffusion} differ in beside their conditioning.
 *
 * @param name diffusers' class for a text alone
 * @param sampleSize the latent's side where the network's config does not say
 * @param correctsSampleSize whether a size that early versions wrote too small is corrected
 * @param paints whether a part of a picture can be made anew and a picture inverted
 * @param spreadsStrength whether all steps are made at any strength, over a shorter schedule; else
 *     steps are left out
 * @param statistics whether the latents' mean and deviation that the autoencoder's config may have
 *     count
 * @param control the weight of ControlNets, the strength and the guidance with them; null where
 *     they are not taken
 * @param corrections what diffusers' pipelines without a mask change in the scheduler's config
 * @param maskedCorrections what its pipeline with a mask changes
 */
record StableDiffusionFamily(
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
  /** A default that depends on what else was asked for. */
  record Choice(String description, Function<Arguments, Double> value) {}

  static final StableDiffusionFamily STABLE_DIFFUSION =
      new StableDiffusionFamily(
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

  static final StableDiffusionFamily XL =
      new StableDiffusionFamily(
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

  static final StableDiffusionFamily LATENT_CONSISTENCY =
      new StableDiffusionFamily(
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

  /** The reference's pipelines with ControlNets or T2I-Adapters change nothing. */
  SchedulerCorrections corrections(GenerationRequest request) {
    if (Control.isIn(request.arguments()) || T2IAdapters.isIn(request.arguments())) {
      return SchedulerCorrections.NONE;
    }
    return request.get(Parameters.MASK) == null ? corrections : maskedCorrections;
  }
}
