/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.examples.scenes.Arrangement.Kind;
import io.github.flinkdiffusion.examples.scenes.Arrangement.Place;
import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;

/**
 * What a prompt can say of an image: one thing, or several of a kind.
 *
 * @param noun the thing
 * @param arrangement how many there are, and where
 * @param size of a single thing; has no meaning for several
 * @param style how they are drawn
 * @param background behind them
 */
record Scene(
    Noun noun, Arrangement arrangement, SceneSize size, SceneStyle style, Tone background) {
  private static final double SAYS_SIZE = 0.65;
  private static final double SAYS_OWN_COLOR = 0.3;
  private static final double SAYS_STYLE = 0.35;
  private static final double SAYS_BACKGROUND = 0.88;
  private static final double SAYS_USUAL_NAME = 0.7;
  private static final double SAYS_ARTICLE = 0.85;

  /** A scene of one thing in the middle. */
  static Scene of(Noun noun, SceneSize size, SceneStyle style, Tone background) {
    return new Scene(noun, Arrangement.CENTER, size, style, background);
  }

  /** The prompt that says all of it in the usual words. */
  String prompt() {
    String subject =
        switch (arrangement.kind()) {
          case ONE -> article(size.words().get(0) + " " + noun.name());
          case SAME -> arrangement.phrases().get(0) + " " + noun.plural().orElseThrow();
        };
    return joined(subject, "in " + style.word() + " style", place(0))
        + " on "
        + article(background.name() + " background");
  }

  /** A prompt that may say less, or say it in other words. */
  String phrase(RandomGenerator random) {
    List<String> phrases = arrangement.phrases();
    int spoken = random.nextInt(phrases.size());
    String subject =
        switch (arrangement.kind()) {
          case ONE -> single(joined(sizeWord(random), thing(random)), random);
          case SAME -> phrases.get(spoken) + " " + noun.plural().orElseThrow();
        };
    String styled = random.nextDouble() < SAYS_STYLE ? "in " + style.word() + " style" : "";
    return joined(subject, styled, place(spoken)) + backgroundPhrase(random);
  }

  private static String single(String thing, RandomGenerator random) {
    return random.nextDouble() < SAYS_ARTICLE ? article(thing) : thing;
  }

  /** For one thing away from the middle: where. */
  private String place(int phrase) {
    return arrangement.kind() == Kind.ONE ? arrangement.phrases().get(phrase) : "";
  }

  private String sizeWord(RandomGenerator random) {
    if (random.nextDouble() >= SAYS_SIZE) {
      return "";
    }
    boolean usual = random.nextDouble() < SAYS_USUAL_NAME;
    return size.words().get(usual ? 0 : random.nextInt(size.words().size()));
  }

  private String thing(RandomGenerator random) {
    boolean usual = random.nextDouble() < SAYS_USUAL_NAME;
    String name = usual ? noun.name() : noun.names().get(random.nextInt(noun.names().size()));
    boolean colored = random.nextDouble() < SAYS_OWN_COLOR;
    return noun.color()
        .filter(color -> colored && !name.startsWith(color))
        .map(color -> color + " " + name)
        .orElse(name);
  }

  private String backgroundPhrase(RandomGenerator random) {
    if (random.nextDouble() >= SAYS_BACKGROUND) {
      return "";
    }
    return switch (random.nextInt(5)) {
      case 0, 1 -> " on " + background.name();
      case 2 -> ", " + background.name() + " background";
      default -> " on " + article(background.name() + " background");
    };
  }

  private static String joined(String... parts) {
    return String.join(" ", List.of(parts).stream().filter(part -> !part.isEmpty()).toList());
  }

  /** With its article. */
  static String article(String words) {
    // "a unicorn", "a ufo": the u is spoken as a consonant.
    boolean vowel = "aeiou".indexOf(words.charAt(0)) >= 0 && !words.matches("(uni|ufo).*");
    return (vowel ? "an " : "a ") + words;
  }

  /** An image of it: RGB planes, each value in -1..1. */
  float[] draw(IconLibrary icons, int side, RandomGenerator random) {
    List<PlacedIcon> placed = new ArrayList<>();
    for (Place place : arrangement.places()) {
      double thing = side * arrangement.cells(size) / (double) SceneModel.LATENT_SIDE;
      placed.add(
          new PlacedIcon(
              icons.icon(noun, style),
              begin(place.x(), side, thing),
              begin(place.y(), side, thing),
              thing));
    }
    return SceneCanvas.draw(background.shade(random), placed, side);
  }

  /**
   * Where a thing begins that is to have its middle there. Always the same, as drawings of things
   * that are moved about at random are learned much more slowly: the best answer to much noise is a
   * blur of all places then.
   */
  private static double begin(double middle, int side, double thing) {
    return middle * side - thing / 2;
  }
}
