/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Background;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Emoji;
import io.github.flinkdiffusion.ops.image.Raster;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.Image;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
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
  private static final int SIDE = 64;

  /**
   * Drawn at several times the size, then averaged: Java2D's own scaling by an odd factor looks
   * jagged.
   */
  private static final int OVERSAMPLING = 4;

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
    int large = SIDE * OVERSAMPLING;
    BufferedImage canvas = new BufferedImage(large, large, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = canvas.createGraphics();
    try {
      graphics.setColor(new Color(background.red(), background.green(), background.blue()));
      graphics.fillRect(0, 0, large, large);
      graphics.setRenderingHint(
          RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BICUBIC);
      int side = size.pixels() * OVERSAMPLING;
      Image picture = images.picture(emoji);
      graphics.drawImage(picture, (large - side) / 2, (large - side) / 2, side, side, null);
    } finally {
      graphics.dispose();
    }
    return average(canvas);
  }

  private static Raster average(BufferedImage canvas) {
    float[] data = new float[3 * SIDE * SIDE];
    float scale = 1f / (255 * OVERSAMPLING * OVERSAMPLING);
    for (int y = 0; y < canvas.getHeight(); y++) {
      for (int x = 0; x < canvas.getWidth(); x++) {
        int rgb = canvas.getRGB(x, y);
        int pixel = y / OVERSAMPLING * SIDE + x / OVERSAMPLING;
        for (int channel = 0; channel < 3; channel++) {
          data[channel * SIDE * SIDE + pixel] += scale * ((rgb >> (16 - 8 * channel)) & 0xff);
        }
      }
    }
    return new Raster(3, SIDE, SIDE, data);
  }
}
