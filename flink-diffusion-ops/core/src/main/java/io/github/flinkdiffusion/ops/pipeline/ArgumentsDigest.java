package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Comparator;
import java.util.HexFormat;
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

  private final MessageDigest sha256;

  private ArgumentsDigest(MessageDigest sha256) {
    this.sha256 = sha256;
  }

  static String of(Arguments arguments) {
    try {
      ArgumentsDigest digest = new ArgumentsDigest(MessageDigest.getInstance("SHA-256"));
      digest.text(FORM);
      List<Parameter<?>> sorted =
          arguments.parameters().stream()
              .sorted(Comparator.<Parameter<?>, String>comparing(Parameter::name))
              .toList();
      for (Parameter<?> parameter : sorted) {
        digest.text(parameter.name());
        digest.value(arguments.get(parameter));
      }
      return HexFormat.of().formatHex(digest.sha256.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  private void value(Object value) {
    if (value instanceof Raster image) {
      numbers(image.channels(), image.height(), image.width());
      pixels(image.data());
    } else if (value instanceof Numbers numbers) {
      number(numbers.size());
      for (double number : numbers.values()) {
        number(Double.doubleToLongBits(number));
      }
    } else if (value instanceof Double number) {
      number(Double.doubleToLongBits(number));
    } else if (value instanceof Long number) {
      number(number);
    } else {
      text((String) value);
    }
  }

  private void text(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    number(bytes.length);
    sha256.update(bytes);
  }

  private void numbers(long... numbers) {
    for (long number : numbers) {
      number(number);
    }
  }

  private void number(long number) {
    sha256.update(ByteBuffer.allocate(Long.BYTES).putLong(number).flip());
  }

  private void pixels(float[] values) {
    ByteBuffer chunk = ByteBuffer.allocate(CHUNK * Float.BYTES);
    for (int from = 0; from < values.length; from += CHUNK) {
      chunk.clear();
      int to = Math.min(values.length, from + CHUNK);
      for (int i = from; i < to; i++) {
        chunk.putInt(Float.floatToIntBits(values[i]));
      }
      sha256.update(chunk.flip());
    }
  }
}
