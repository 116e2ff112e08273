/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * What somebody asks for, not yet checked against a model. What it leaves open is the model's own
 * value.
 *
 * @param id the request's name, for messages
 * @param arguments what was asked for
 */
@Internal
public record GenerationSpec(String id, Arguments arguments) {
  public GenerationSpec {
    Objects.requireNonNull(id, "id");
    Objects.requireNonNull(arguments, "arguments");
  }

  /** Asks for nothing yet. */
  public static GenerationSpec of(String id) {
    return new GenerationSpec(id, Arguments.NONE);
  }

  /** This and one value more; null leaves it as it is. */
  public <T> GenerationSpec with(Parameter<T> parameter, T value) {
    return new GenerationSpec(id, arguments.with(parameter, value));
  }
}
