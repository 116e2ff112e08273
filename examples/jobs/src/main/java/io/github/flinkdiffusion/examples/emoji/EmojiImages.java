/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Emoji;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import javax.imageio.ImageIO;

/** The pictures of Noto emoji, 64 x 64 pixels with transparency. */
public final class EmojiImages {
  private final Map<String, BufferedImage> pictures;

  private EmojiImages(Map<String, BufferedImage> pictures) {
    this.pictures = pictures;
  }

  /**
   * Reads the pictures of all emoji that the vocabulary names.
   *
   * @param folder {@code img/google/64} of the npm package {@code emoji-datasource-google}
   */
  public static EmojiImages open(Path folder) throws IOException {
    Map<String, BufferedImage> pictures = new HashMap<>();
    for (Emoji emoji : EmojiVocabulary.emoji()) {
      Path file = folder.resolve(emoji.file() + ".png");
      if (!Files.isRegularFile(file)) {
        throw new NoSuchFileException(
            file.toString(),
            null,
            "image of '"
                + emoji.name()
                + "'; the folder must be img/google/64 of npm's emoji-datasource-google");
      }
      BufferedImage picture = ImageIO.read(file.toFile());
      if (picture == null) {
        throw new IOException(file + " is not an image that Java can read.");
      }
      pictures.put(emoji.file(), picture);
    }
    return new EmojiImages(pictures);
  }

  BufferedImage picture(Emoji emoji) {
    return pictures.get(emoji.file());
  }
}
