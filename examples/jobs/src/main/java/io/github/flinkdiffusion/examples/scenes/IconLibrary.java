/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The drawings of all nouns in all styles. */
final class IconLibrary {
  private final Map<SceneStyle, Map<String, BufferedImage>> drawings;

  private IconLibrary(Map<SceneStyle, Map<String, BufferedImage>> drawings) {
    this.drawings = drawings;
  }

  /**
   * Draws the nouns.
   *
   * @param files icons.json of one set for each style, in any order
   * @param side pixels of a drawing
   * @throws IOException if a set or an icon is missing
   */
  static IconLibrary open(List<Path> files, List<Noun> nouns, int side) throws IOException {
    Map<String, IconSet> sets = new HashMap<>();
    for (Path file : files) {
      IconSet set = IconSet.open(file);
      sets.put(set.prefix(), set);
    }
    Map<SceneStyle, Map<String, BufferedImage>> drawings = new EnumMap<>(SceneStyle.class);
    for (SceneStyle style : SceneStyle.values()) {
      IconSet set = sets.get(style.set());
      if (set == null) {
        throw new IOException(
            "Style %s needs the icon set %s; there are %s."
                .formatted(style.word(), style.set(), sets.keySet()));
      }
      Map<String, BufferedImage> ofStyle = new HashMap<>();
      for (Noun noun : nouns) {
        ofStyle.put(noun.icon(), set.draw(noun.icon(), side));
      }
      drawings.put(style, ofStyle);
    }
    return new IconLibrary(drawings);
  }

  BufferedImage icon(Noun noun, SceneStyle style) {
    return drawings.get(style).get(noun.icon());
  }
}
