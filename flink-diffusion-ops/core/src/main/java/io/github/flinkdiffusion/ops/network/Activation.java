/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.Arrays;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/** The activation functions that configs name ({@code act_fn}, {@code hidden_act}). */
@Internal
public enum Activation {
  SILU("silu", "swish"),
  MISH("mish"),
  GELU("gelu"),
  /** x * sigmoid(1.702 x), as OpenAI's CLIP has it. */
  QUICK_GELU("quick_gelu"),
  RELU("relu"),
  /** By a hyperbolic tangent; not by name, since few networks have it ({@link Idefics3Config}). */
  GELU_TANH;

  private final String[] names;

  Activation(String... names) {
    this.names = names;
  }

  /** The activation that a config's value names, if it is supported. */
  public static Optional<Activation> named(String name) {
    return Arrays.stream(values()).filter(a -> Arrays.asList(a.names).contains(name)).findFirst();
  }

  /** All names that {@link #named} accepts, for error messages. */
  public static String supported() {
    return String.join(", ", Arrays.stream(values()).flatMap(a -> Arrays.stream(a.names)).toList());
  }

  Value apply(Method m, Value x) {
    return switch (this) {
      case SILU -> m.silu(x);
      case MISH -> m.mish(x);
      case GELU -> m.gelu(x);
      case QUICK_GELU -> m.multiply(x, m.sigmoid(m.multiply(x, 1.702)));
      case RELU -> m.relu(x);
      case GELU_TANH -> m.geluTanh(x);
    };
  }
}
