/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageFrames;
import io.github.flinkdiffusion.ops.image.ImageLimits;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.Window;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * One stream's frames, as image files.
 *
 * @param name of the stream, and of its folder of results
 */
record LiveClip(String name, List<byte[]> frames) {
  private static final int CAMERAS = 4;
  private static final int SIDE = 16;

  /** Frames of a camera between two moves, and the frames of a move. */
  private static final int REST = 6;

  private static final int MOVE = 6;

  /**
   * @param most frames of each
   * @throws DemoException for a file that is no stream
   */
  static List<LiveClip> of(List<Path> files, int most) throws IOException {
    List<LiveClip> clips = new ArrayList<>();
    for (Path file : files) {
      List<byte[]> frames = new ArrayList<>();
      for (Path each : images(file)) {
        if (!Files.isReadable(each)) {
          throw new DemoException("There is no file " + each + " that can be read.");
        }
        try {
          ImageFrames.each(
              Files.readAllBytes(each),
              ImageLimits.DEFAULT,
              frame -> {
                frames.add(frame);
                return frames.size() < most;
              });
        } catch (ImageException e) {
          throw new DemoException("%s: %s".formatted(each, e.getMessage()), e);
        }
        if (frames.size() == most) {
          break;
        }
      }
      if (frames.isEmpty()) {
        throw new DemoException("The folder %s has no files.".formatted(file));
      }
      clips.add(
          new LiveClip(
              String.format(Locale.ROOT, "%02d-%s", clips.size() + 1, plain(file)), frames));
    }
    return clips;
  }

  private static List<Path> images(Path file) throws IOException {
    if (!Files.isDirectory(file)) {
      return List.of(file);
    }
    try (Stream<Path> listed = Files.list(file)) {
      return listed.filter(Files::isRegularFile).sorted().toList();
    }
  }

  private static String plain(Path file) {
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    return name.replaceAll("\\.[a-z0-9]*$", "").replaceAll("[^a-z0-9]+", "-");
  }

  /**
   * Cameras that move over images, rest, and move on.
   *
   * @param folder of the images
   * @param frames of each
   */
  static List<LiveClip> cameras(Path folder, int frames) throws IOException {
    if (!Files.isDirectory(folder)) {
      throw new DemoException(
          "Give files or folders with frames: the model has no example inputs, " + folder + ".");
    }
    List<Path> images = images(folder).stream().filter(LiveClip::isImage).toList();
    List<LiveClip> clips = new ArrayList<>();
    for (int camera = 0; camera < CAMERAS && !images.isEmpty(); camera++) {
      Raster image =
          Images.read(Files.readAllBytes(images.get(camera % images.size())), ReadOptions.DEFAULT);
      List<byte[]> all = new ArrayList<>();
      for (int number = 0; number < frames; number++) {
        int moves = number / (REST + MOVE) * MOVE + Math.max(0, number % (REST + MOVE) - REST);
        Window window =
            new Window(
                back(moves + 5 * camera, image.width() - SIDE),
                back(2 * camera + moves / 2, image.height() - SIDE),
                Math.min(SIDE, image.width()),
                Math.min(SIDE, image.height()));
        Raster part = image.crop(window);
        all.add(
            PngCodec.encode(new Raster(part.channels(), part.height(), part.width(), part.data())));
      }
      clips.add(new LiveClip("camera-" + (camera + 1), all));
    }
    if (clips.isEmpty()) {
      throw new DemoException("The folder %s has no images.".formatted(folder));
    }
    return clips;
  }

  private static boolean isImage(Path file) {
    return file.toString().matches(".*\\.(tif|png|jpg)");
  }

  /** There and back between 0 and an end. */
  private static int back(int moved, int end) {
    if (end <= 0) {
      return 0;
    }
    int at = moved % (2 * end);
    return at < end ? at : 2 * end - at;
  }
}
