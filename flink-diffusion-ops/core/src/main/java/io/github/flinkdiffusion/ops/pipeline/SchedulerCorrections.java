/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;

/**
 * What some of diffusers' pipelines silently change in their scheduler's config when they are
 * built, so that folders of 2022 sample as Stable Diffusion was trained. The other pipelines change
 * nothing.
 *
 * <p>The scheduler that a pipeline was built with samples with all changes. Another class that is
 * made of its config ({@code Other.from_config(pipe.scheduler.config)}, a request's {@code
 * scheduler}) sees a change only where the file has the key: diffusers passes on no value that
 * stands for an absent key.
 */
enum SchedulerCorrections {
  /** The config as it is. */
  NONE,

  /**
   * {@code StableDiffusionPipeline} and {@code StableDiffusionImg2ImgPipeline}: {@code
   * steps_offset} is 1, {@code clip_sample} false.
   */
  IMAGES,

  /**
   * {@code StableDiffusionInpaintPipeline}: {@code steps_offset} is 1, {@code skip_prk_steps} true.
   */
  INPAINTING,

  /**
   * {@code StableDiffusionLatentUpscalePipeline}: its clean latents are velocities by another name
   * ({@link LatentDoubling}), which the network is told the noise level of by itself.
   */
  LATENT_DOUBLING;

  private static final String STEPS_OFFSET = "steps_offset";
  private static final String CLIP_SAMPLE = "clip_sample";
  private static final String SKIP_PRK_STEPS = "skip_prk_steps";

  /** The config that the pipeline's own scheduler samples with. */
  SchedulerConfig ofOwn(SchedulerConfig file) {
    return corrected(file, true);
  }

  /** The config that another scheduler class is made of. */
  SchedulerConfig passedOn(SchedulerConfig file) {
    return corrected(file, false);
  }

  private SchedulerConfig corrected(SchedulerConfig file, boolean absentToo) {
    return switch (this) {
      case NONE -> file;
      case IMAGES -> flag(offset(file, absentToo), CLIP_SAMPLE, false, absentToo);
      case LATENT_DOUBLING ->
          file.with("prediction_type", "v_prediction").with("timestep_type", "discrete");
      case INPAINTING -> flag(offset(file, absentToo), SKIP_PRK_STEPS, true, absentToo);
    };
  }

  private static SchedulerConfig offset(SchedulerConfig file, boolean absentToo) {
    return absentToo || file.fields().containsKey(STEPS_OFFSET) ? file.with(STEPS_OFFSET, 1) : file;
  }

  /** Only the other boolean is changed: null stays, and what is no boolean is still refused. */
  private static SchedulerConfig flag(
      SchedulerConfig file, String key, boolean value, boolean absentToo) {
    boolean absent = !file.fields().containsKey(key);
    boolean other = Boolean.valueOf(!value).equals(file.fields().get(key));
    return other || absent && absentToo ? file.with(key, value) : file;
  }
}
