/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.nio.ByteBuffer;
import java.util.Comparator;
import java.util.List;

/**
 * The canonical form of {@link Arguments}, as bytes of which only the SHA-256 is kept. Each value
 * is written with its parameter's name, in the order of the names, and with its length, so that no
 * two different sets of arguments have the same form.
 */
final class ArgumentsDigest {
  /** Changes with the form below, so that a digest never stands for two forms. */
  private static final String FORM = "arguments/1";

  /** Values of an image that are written at a time. */
  private static final int CHUNK = 4096;

  private final Sha256 sha256 = new Sha256();

  private ArgumentsDigest() {}

  static String of(Arguments arguments) {
    ArgumentsDigest digest = new ArgumentsDigest();
    digest.sha256.add(FORM);
    List<Parameter<?>> sorted =
        arguments.parameters().stream()
            .sorted(Comparator.<Parameter<?>, String>comparing(Parameter::name))
            .toList();
    for (Parameter<?> parameter : sorted) {
      digest.sha256.add(parameter.name());
      digest.value(arguments.get(parameter));
    }
    return digest.sha256.hex();
  }

  private void value(Object value) {
    if (value instanceof Raster image) {
      sha256.number(image.channels()).number(image.height()).number(image.width());
      pixels(image.data());
    } else if (value instanceof Numbers numbers) {
      sha256.number(numbers.size());
      for (double number : numbers.values()) {
        sha256.number(Double.doubleToLongBits(number));
      }
    } else if (value instanceof Double number) {
      sha256.number(Double.doubleToLongBits(number));
    } else if (value instanceof Long number) {
      sha256.number(number);
    } else {
      sha256.add((String) value);
    }
  }

  private void pixels(float[] values) {
    ByteBuffer chunk = ByteBuffer.allocate(CHUNK * Float.BYTES);
    for (int from = 0; from < values.length; from += CHUNK) {
      chunk.clear();
      int to = Math.min(values.length, from + CHUNK);
      for (int i = from; i < to; i++) {
        chunk.putInt(Float.floatToIntBits(values[i]));
      }
      sha256.bytes(chunk.flip());
    }
  }
}
