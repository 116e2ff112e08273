/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * What {@code --size} says.
 *
 * @param width in pixels
 * @param height in pixels
 */
record PictureSize(int width, int height) {
  private static final Pattern TEXT = Pattern.compile("(\\d{1,6})(?:x(\\d{1,6}))?");

  /** Reads {@code 64} and {@code 96x64}. Whether the model can do it is for the model to say. */
  static final class Converter implements ITypeConverter<PictureSize> {
    @Override
    public PictureSize convert(String text) {
      Matcher size = TEXT.matcher(text);
      if (!size.matches()) {
        throw new TypeConversionException("'" + text + "' is not a size; expected 64 or 96x64");
      }
      int width = Integer.parseInt(size.group(1));
      return new PictureSize(
          width, size.group(2) == null ? width : Integer.parseInt(size.group(2)));
    }
  }
}
