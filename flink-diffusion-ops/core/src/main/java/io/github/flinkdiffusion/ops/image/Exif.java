/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How an image stands upright: by EXIF data, which are laid out as a TIFF file; else by XMP data,
 * as Pillow has it (Image.getexif).
 */
final class Exif {
  private static final int ORIENTATION = 274;
  private static final int SHORT = 3;
  private static final Pattern IN_XMP = Pattern.compile("tiff:Orientation(?:=\"|>)([0-9])");

  private Exif() {}

  /**
   * The orientation, 1 to 8; 1, upright, if nothing says it, or not so that it makes sense.
   *
   * @param inExif what {@link #orientation} found
   * @param xmp XMP data, or empty
   */
  static int upright(OptionalInt inExif, Optional<String> xmp) {
    int said = inExif.orElseGet(() -> xmp.map(Exif::inXmp).orElse(1));
    return said >= 1 && said <= 8 ? said : 1;
  }

  private static int inXmp(String text) {
    Matcher found = IN_XMP.matcher(text);
    return found.find() ? Integer.parseInt(found.group(1)) : 1;
  }

  /**
   * The orientation that the data say, whatever it is; empty if they do not.
   *
   * @param begin first byte of the data in the array
   * @param end after their last
   */
  static OptionalInt orientation(byte[] bytes, int begin, int end) {
    if (end - begin < 8) {
      return OptionalInt.empty();
    }
    ByteBuffer data = ByteBuffer.wrap(bytes, begin, end - begin).slice();
    if (data.get(0) == 'I' && data.get(1) == 'I') {
      data.order(ByteOrder.LITTLE_ENDIAN);
    } else if (data.get(0) != 'M' || data.get(1) != 'M') {
      return OptionalInt.empty();
    }
    long directory = data.getInt(4) & 0xFFFFFFFFL;
    if (directory + 2 > data.capacity()) {
      return OptionalInt.empty();
    }
    int tags = data.getShort((int) directory) & 0xFFFF;
    for (int i = 0; i < tags; i++) {
      long at = directory + 2 + 12L * i;
      if (at + 12 > data.capacity()) {
        break;
      }
      if ((data.getShort((int) at) & 0xFFFF) == ORIENTATION
          && data.getShort((int) at + 2) == SHORT) {
        return OptionalInt.of(data.getShort((int) at + 8) & 0xFFFF);
      }
    }
    return OptionalInt.empty();
  }
}
