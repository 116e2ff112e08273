/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import io.github.flinkdiffusion.ops.graph.GraphException;
import java.util.Locale;
import java.util.StringJoiner;

/** Calls and literals as TorchScript writes them. */
final class TorchScriptText {
  /** ScalarType::Float of c10/core/ScalarType.h. */
  static final int FLOAT32 = 6;

  /** ScalarType::BFloat16. */
  static final int BFLOAT16 = 15;

  /** MemoryFormat::ChannelsLast of c10/core/MemoryFormat.h. */
  static final int CHANNELS_LAST = 2;

  private TorchScriptText() {}

  static String call(String function, Object... arguments) {
    StringJoiner text = new StringJoiner(", ", "torch." + function + "(", ")");
    for (Object argument : arguments) {
      text.add(argument.toString());
    }
    return text.toString();
  }

  static String pair(Object value) {
    return "[" + value + ", " + value + "]";
  }

  static String bool(boolean value) {
    return value ? "True" : "False";
  }

  /**
   * A Python float literal: it must hold a point or an exponent, or TorchScript reads an integer.
   */
  static String number(Object value) {
    double number = ((Number) value).doubleValue();
    if (Double.isNaN(number) || Double.isInfinite(number)) {
      throw new GraphException("The scalar " + number + " has no literal in TorchScript.");
    }
    return Double.toString(number).toLowerCase(Locale.ROOT);
  }
}
