/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Background;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Emoji;
import io.github.flinkdiffusion.ops.image.Raster;
import java.util.ArrayList;
import java.util.List;

/**
 * One emoji of one size in the middle of a plain background.
 *
 * @param emoji what is drawn
 * @param background behind it
 * @param size how large it is
 */
public record EmojiScene(Emoji emoji, Background background, EmojiSize size) {
  /** The prompt that says all of it. */
  public String prompt() {
    return phrasings().get(0);
  }

  /** Ways to ask for the scene, the fullest first; without a size, large is meant. */
  public List<String> phrasings() {
    List<String> phrasings = new ArrayList<>();
    phrasings.add(
        "a "
            + size.word()
            + " "
            + emoji.name()
            + " on "
            + article(background.name())
            + " background");
    phrasings.add("a " + size.word() + " " + emoji.name() + " on " + background.name());
    if (size == EmojiSize.LARGE) {
      phrasings.add(article(emoji.name()) + " on " + article(background.name()) + " background");
      phrasings.add(article(emoji.name()) + " on " + background.name());
    }
    return phrasings;
  }

  private static String article(String noun) {
    // "a unicorn": the u is spoken as a consonant.
    boolean vowel = "aeiou".indexOf(noun.charAt(0)) >= 0 && !noun.startsWith("uni");
    return (vowel ? "an " : "a ") + noun;
  }

  /** The scene as an RGB picture of 64 x 64 pixels. */
  public Raster render(EmojiImages images) {
    int margin = (PlacedEmoji.CANVAS - size.pixels()) / 2;
    return new PlacedEmoji(emoji, background, margin, margin, size.pixels()).render(images);
  }
}
