/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.quality.Flicker;
import io.github.flinkdiffusion.ops.quality.QualityException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;

/**
 * What examples/live leaves behind: each stream's results in a folder of their own, and a table.
 */
final class LiveReport {
  private static final String REPEATS = "repeatsFrame";

  private final OutputFolder folder;
  private final PayloadStore payloads;

  LiveReport(OutputFolder folder, PayloadStore payloads) {
    this.folder = folder;
    this.payloads = payloads;
  }

  /**
   * Writes the results' files.
   *
   * @return the table
   */
  String write(List<LiveClip> clips, DemoRun.Results results) {
    StringBuilder table =
        new StringBuilder(
            String.format(
                Locale.ROOT,
                "%-24s %6s %9s %8s %10s%n",
                "stream",
                "frames",
                "generated",
                "repeated",
                "flicker"));
    int frames = 0;
    for (LiveClip clip : clips) {
      List<ImageEvent> images =
          results.images().stream()
              .filter(image -> stream(image).endsWith("-" + clip.name()))
              .toList();
      frames += images.size();
      long repeated =
          images.stream()
              .filter(image -> image.getAudit().getParameters().containsKey(REPEATS))
              .count();
      table.append(
          String.format(
              Locale.ROOT,
              "%-24s %6d %9d %8d %10s%n",
              clip.name(),
              images.size(),
              images.size() - repeated,
              repeated,
              flicker(clip, images)));
    }
    double seconds = results.making().toNanos() / 1e9;
    return table
        .append(
            String.format(
                Locale.ROOT,
                "%s in %.1f s, %.1f frames/s with the start of the job. Flicker: mean"
                    + " difference, in levels of 255, of successive results where the frames are"
                    + " equal.%n",
                Count.of(frames, "frame"),
                seconds,
                frames / seconds))
        .toString();
  }

  private static String stream(ImageEvent image) {
    return image.getId().substring(0, image.getId().lastIndexOf('/'));
  }

  private static int number(ImageEvent image) {
    return Integer.parseInt(image.getId().substring(image.getId().lastIndexOf('/') + 1));
  }

  /** Writes the files, and measures them on the way. */
  private String flicker(LiveClip clip, List<ImageEvent> images) {
    List<Double> all = new ArrayList<>();
    Raster frameBefore = null;
    Raster resultBefore = null;
    for (ImageEvent image : images) {
      byte[] file = payloads.read(Payloads.image(image));
      folder.write(
          String.format(
              Locale.ROOT,
              "%s/%s/%04d%s",
              OutputFolder.PICTURES,
              clip.name(),
              number(image),
              image.getMediaType().equals("image/png") ? ".png" : ".tif"),
          file);
      Raster frame = Images.read(clip.frames().get(number(image)), ReadOptions.DEFAULT);
      Raster result = Images.read(file, ReadOptions.DEFAULT);
      if (frameBefore != null) {
        try {
          OptionalDouble flicker = Flicker.of(frameBefore, frame, resultBefore, result);
          flicker.ifPresent(all::add);
        } catch (QualityException e) {
          return "-"; // sizes that are no multiples of each other
        }
      }
      frameBefore = frame;
      resultBefore = result;
    }
    return all.isEmpty()
        ? "-"
        : String.format(
            Locale.ROOT,
            "%.3f",
            255 * all.stream().mapToDouble(Double::doubleValue).average().orElseThrow());
  }
}
