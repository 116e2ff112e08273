/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Background;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Emoji;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Writes the images that the recipes {@code emoji-shapes.yaml}, {@code emoji-gray.yaml} and {@code
 * emoji-mosaic.yaml} train on.
 */
@Command(
    name = "mini-emoji-examples",
    mixinStandardHelpOptions = true,
    description = "Writes images to train a ControlNet or a LoRA for examples/models/mini-emoji.")
public final class MiniEmojiExamples implements Callable<Integer> {
  /** What is written. */
  enum Kind {
    /** Emoji of any size anywhere, and their shapes. */
    SHAPES,
    /** The scenes of mini-emoji without colors. */
    GRAY,
    /** The scenes of mini-emoji in squares of four pixels. */
    MOSAIC
  }

  private static final String PNG = "image/png";
  private static final int LEAST_SIDE = 28;
  private static final int SQUARE = 4;

  @Option(names = "--kind", required = true, description = "${COMPLETION-CANDIDATES}.")
  private Kind kind;

  @Option(
      names = "--images",
      required = true,
      description = "Folder img/google/64 of the unpacked npm package emoji-datasource-google.")
  private Path images;

  @Option(names = "--out", required = true, description = "Folder to write.")
  private Path out;

  @Option(
      names = "--count",
      defaultValue = "4",
      description =
          "With SHAPES: how often each emoji is put on each background (default:"
              + " ${DEFAULT-VALUE}).")
  private int count;

  public static void main(String[] args) {
    System.exit(new CommandLine(new MiniEmojiExamples()).execute(args));
  }

  @Override
  public Integer call() throws IOException {
    EmojiImages pictures = EmojiImages.open(images);
    int written = kind == Kind.SHAPES ? writeShapes(pictures) : writeScenes(pictures);
    System.out.printf("%,d images in %s%n", written, out);
    return 0;
  }

  private int writeShapes(EmojiImages pictures) throws IOException {
    Path shown = Files.createDirectories(out.resolve("images"));
    Path shapes = Files.createDirectories(out.resolve("shapes"));
    SplittableRandom random = new SplittableRandom(0);
    int number = 0;
    for (Emoji emoji : EmojiVocabulary.emoji()) {
      for (Background background : EmojiVocabulary.backgrounds()) {
        for (int i = 0; i < count; i++) {
          int side = random.nextInt(LEAST_SIDE, EmojiSize.LARGE.pixels() + 1);
          int room = PlacedEmoji.CANVAS - side + 1;
          PlacedEmoji placed =
              new PlacedEmoji(emoji, background, random.nextInt(room), random.nextInt(room), side);
          // The word is the nearer of the two sizes that the model knows.
          EmojiSize size =
              2 * side >= EmojiSize.LARGE.pixels() + EmojiSize.SMALL.pixels()
                  ? EmojiSize.LARGE
                  : EmojiSize.SMALL;
          String name = "%05d".formatted(number++);
          write(shown, name, placed.render(pictures));
          write(shapes, name, placed.shape(pictures));
          Files.writeString(
              shown.resolve(name + ".txt"), new EmojiScene(emoji, background, size).prompt());
        }
      }
    }
    return number;
  }

  private int writeScenes(EmojiImages pictures) throws IOException {
    Files.createDirectories(out);
    List<EmojiScene> scenes = EmojiVocabulary.trainingScenes();
    for (int i = 0; i < scenes.size(); i++) {
      Raster scene = scenes.get(i).render(pictures);
      String name = "%05d".formatted(i);
      write(out, name, kind == Kind.GRAY ? gray(scene) : mosaic(scene));
      Files.writeString(out.resolve(name + ".txt"), scenes.get(i).prompt());
    }
    return scenes.size();
  }

  private static void write(Path folder, String name, Raster image) throws IOException {
    Files.write(folder.resolve(name + ".png"), Images.write(image, PNG));
  }

  static Raster gray(Raster scene) {
    return each(
        scene,
        (channel, y, x) ->
            0.299f * scene.at(0, y, x) + 0.587f * scene.at(1, y, x) + 0.114f * scene.at(2, y, x));
  }

  static Raster mosaic(Raster scene) {
    return each(
        scene,
        (channel, y, x) -> {
          float sum = 0;
          for (int i = 0; i < SQUARE * SQUARE; i++) {
            sum +=
                scene.at(
                    channel, y / SQUARE * SQUARE + i / SQUARE, x / SQUARE * SQUARE + i % SQUARE);
          }
          return sum / (SQUARE * SQUARE);
        });
  }

  private static Raster each(Raster scene, Pixel pixel) {
    int height = scene.height();
    int width = scene.width();
    float[] data = new float[scene.channels() * height * width];
    for (int i = 0; i < data.length; i++) {
      data[i] = pixel.at(i / (height * width), i / width % height, i % width);
    }
    return new Raster(scene.channels(), height, width, data);
  }

  private interface Pixel {
    float at(int channel, int y, int x);
  }
}
