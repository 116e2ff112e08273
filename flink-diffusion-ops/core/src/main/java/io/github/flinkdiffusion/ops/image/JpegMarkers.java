/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Optional;

/**
 * What a JPEG file says of itself before its first scan.
 *
 * @param process the frame's marker, such as 0xC0 for baseline
 * @param inYcc whether colors are brightness and two differences; empty if nothing says so
 */
record JpegMarkers(
    int process, int precision, int width, int height, int components, Optional<Boolean> inYcc) {

  static JpegMarkers read(byte[] file) {
    int at = 2;
    boolean jfif = false;
    int adobe = -1;
    while (at + 4 <= file.length) {
      int marker = file[at + 1] & 0xFF;
      int length = word(file, at + 2);
      if ((file[at] & 0xFF) != 0xFF) {
        break;
      }
      if (marker == 0xFF) {
        at++;
        continue;
      }
      if (begins(file, at + 4, "JFIF") && marker == 0xE0) {
        jfif = true;
      } else if (marker == 0xEE && begins(file, at + 4, "Adobe") && at + 16 <= file.length) {
        adobe = file[at + 15] & 0xFF;
      } else if (marker >= 0xC0
          && marker <= 0xCF
          && marker != 0xC4
          && marker != 0xC8
          && marker != 0xCC
          && at + 10 <= file.length) {
        int components = file[at + 9] & 0xFF;
        boolean named =
            components == 3
                && at + 17 < file.length
                && file[at + 10] == 'R'
                && file[at + 13] == 'G'
                && file[at + 16] == 'B';
        return new JpegMarkers(
            marker,
            file[at + 4] & 0xFF,
            word(file, at + 7),
            word(file, at + 5),
            components,
            named || adobe == 0
                ? Optional.of(false)
                : jfif || adobe == 1 ? Optional.of(true) : Optional.empty());
      }
      at += 2 + length;
    }
    throw new ImageException("Corrupt JPEG data: it has no frame");
  }

  private static int word(byte[] file, int at) {
    return (file[at] & 0xFF) << 8 | file[at + 1] & 0xFF;
  }

  private static boolean begins(byte[] file, int at, String words) {
    for (int i = 0; i < words.length(); i++) {
      if (at + i >= file.length || file[at + i] != words.charAt(i)) {
        return false;
      }
    }
    return true;
  }
}
