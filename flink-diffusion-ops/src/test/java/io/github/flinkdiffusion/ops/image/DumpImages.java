/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Writes what is read from image files, for {@code src/test/python/compare_images.py}: of each line
 * {@code path TAB page} of a list, a file {@code N.bin} of the rows, columns, channels and values
 * in the file's own numbers (NaN where there is no data), or {@code N.err} that says why there are
 * none.
 */
public final class DumpImages {
  private DumpImages() {}

  /**
   * @param arguments the list, and the folder to write to
   */
  public static void main(String[] arguments) throws IOException {
    List<String> lines = Files.readAllLines(Path.of(arguments[0]));
    ImageLimits limits = new ImageLimits(1 << 16, 1L << 28, 64, 1L << 31);
    for (int i = 0; i < lines.size(); i++) {
      String[] words = lines.get(i).split("\t");
      Path out = Path.of(arguments[1]);
      try {
        Raster image =
            Images.read(
                Path.of(words[0]),
                ReadOptions.DEFAULT.withLimits(limits).withPage(Integer.parseInt(words[1])));
        dump(image, out.resolve(i + ".bin"));
      } catch (ImageException e) {
        Files.writeString(out.resolve(i + ".err"), e.getMessage());
      } catch (RuntimeException | Error e) {
        Files.writeString(out.resolve(i + ".err"), "CRASH " + e);
        e.printStackTrace();
      }
    }
  }

  private static void dump(Raster image, Path file) throws IOException {
    try (DataOutputStream out =
        new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(file)))) {
      out.writeInt(image.channels());
      out.writeInt(image.height());
      out.writeInt(image.width());
      for (int i = 0; i < image.data().length; i++) {
        boolean missing = image.noData().isPresent() && image.noData().get().isMissing(i);
        out.writeDouble(
            missing ? Double.NaN : image.format().withoutNoData().sample(image.data()[i]));
      }
    }
  }
}
