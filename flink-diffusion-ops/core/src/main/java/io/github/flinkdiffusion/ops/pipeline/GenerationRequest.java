/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * A request that a model can do: {@link Model#prepare} has filled in the model's own values and
 * checked all of them.
 *
 * <p>It is all that the picture depends on, together with the model, and it is what a checkpoint
 * stores: a later change of the job's defaults does not touch a request that has begun.
 *
 * @param id the request's name
 * @param arguments a value for all that the model needs
 */
@Internal
public record GenerationRequest(String id, Arguments arguments) {
  public GenerationRequest {
    Objects.requireNonNull(id, "id");
    Objects.requireNonNull(arguments, "arguments");
  }

  /** A value that the model takes or gave; null for one that it does without. */
  public <T> T get(Parameter<T> parameter) {
    return arguments.get(parameter);
  }

  /** Of the noise. */
  public long seed() {
    return arguments.get(Parameters.SEED);
  }

  /** diffusers class name. */
  public String scheduler() {
    return arguments.get(Parameters.SCHEDULER);
  }

  /** num_inference_steps, at least 1. */
  public int steps() {
    return arguments.get(Parameters.STEPS).intValue();
  }

  /** Finite; 1 where the model knows no guidance. */
  public double guidanceScale() {
    Double scale = arguments.get(Parameters.GUIDANCE_SCALE);
    return scale == null ? 1 : scale;
  }

  /** Of the picture, in pixels. */
  public int width() {
    return arguments.get(Parameters.WIDTH).intValue();
  }

  /** Of the picture, in pixels. */
  public int height() {
    return arguments.get(Parameters.HEIGHT).intValue();
  }
}
