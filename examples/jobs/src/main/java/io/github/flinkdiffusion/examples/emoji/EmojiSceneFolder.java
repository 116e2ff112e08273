/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/**
 * Writes the scenes that mini-emoji was trained on as a folder of images with captions, for recipes
 * of {@code examples/train}.
 */
@Command(
    name = "emoji-scene-folder",
    mixinStandardHelpOptions = true,
    description = "Writes mini-emoji's training scenes as images with captions.")
public final class EmojiSceneFolder implements Callable<Integer> {
  @Mixin private EmojiFolder folder;

  public static void main(String[] args) {
    System.exit(new CommandLine(new EmojiSceneFolder()).execute(args));
  }

  @Override
  public Integer call() throws IOException {
    List<EmojiScene> scenes = EmojiVocabulary.trainingScenes();
    write(folder.images(), scenes, folder.out());
    System.out.printf("%d scenes%n", scenes.size());
    return 0;
  }

  static void write(EmojiImages pictures, List<EmojiScene> scenes, Path out) throws IOException {
    Files.createDirectories(out);
    for (int i = 0; i < scenes.size(); i++) {
      String name = String.format(Locale.ROOT, "%03d", i);
      EmojiFolder.write(out, name, scenes.get(i).render(pictures), scenes.get(i).prompt());
    }
  }
}
