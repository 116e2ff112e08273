/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Background;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Emoji;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Writes what the recipe {@code emoji-shapes.yaml} trains a ControlNet with: emoji of any size
 * anywhere, and their shapes.
 */
@Command(
    name = "mini-emoji-shapes",
    mixinStandardHelpOptions = true,
    description = "Writes images and shapes to train a ControlNet for examples/models/mini-emoji.")
public final class MiniEmojiShapes implements Callable<Integer> {
  private static final int LEAST_SIDE = 28;

  @Mixin private EmojiFolder folder;

  @Option(
      names = "--count",
      defaultValue = "4",
      description = "How often each emoji is put on each background (default: ${DEFAULT-VALUE}).")
  private int count;

  public static void main(String[] args) {
    System.exit(new CommandLine(new MiniEmojiShapes()).execute(args));
  }

  @Override
  public Integer call() throws IOException {
    System.out.printf("%,d images in %s%n", write(folder.images()), folder.out());
    return 0;
  }

  private int write(EmojiImages pictures) throws IOException {
    Path shown = Files.createDirectories(folder.out().resolve("images"));
    Path shapes = Files.createDirectories(folder.out().resolve("shapes"));
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
          EmojiFolder.write(
              shown,
              name,
              placed.render(pictures),
              new EmojiScene(emoji, background, size).prompt());
          EmojiFolder.write(shapes, name, placed.shape(pictures));
        }
      }
    }
    return number;
  }
}
