/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Marks the images of a folder, or reads the marks of those of a folder, for check_watermark.py:
 * {@code embed KEY FROM TO} writes PNG files, {@code read KEY FROM} prints for each file its name,
 * payload, score and scale. The payload of the n-th file is n times a large odd number.
 */
final class WatermarkProgram {
  private WatermarkProgram() {}

  static long payload(int index) {
    return (index + 1) * 0x9E3779B97F4A7C15L >>> 64 - SpreadWatermark.PAYLOAD_BITS;
  }

  public static void main(String[] args) throws IOException {
    SpreadWatermark watermark = new SpreadWatermark(WatermarkKey.read(Path.of(args[1])));
    List<Path> files;
    try (Stream<Path> all = Files.list(Path.of(args[2]))) {
      files = all.sorted().toList();
    }
    for (int i = 0; i < files.size(); i++) {
      Path file = files.get(i);
      Raster picture = Images.read(Files.readAllBytes(file), ReadOptions.DEFAULT);
      if (args[0].equals("embed")) {
        Raster marked = watermark.embed(picture, payload(i));
        Files.write(Path.of(args[3]).resolve(file.getFileName()), PngCodec.encode(marked));
      } else {
        Optional<SpreadWatermark.Reading> reading =
            watermark.read(picture, SpreadWatermark.Search.valueOf(args[3]));
        System.out.println(
            reading
                .map(
                    found ->
                        String.format(
                            Locale.ROOT,
                            "%s %012x %.2f %.3f",
                            file.getFileName(),
                            found.payload(),
                            found.score(),
                            found.scale()))
                .orElse(file.getFileName() + " none"));
      }
    }
  }
}
