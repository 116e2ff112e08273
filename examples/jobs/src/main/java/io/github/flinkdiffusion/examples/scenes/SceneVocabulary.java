/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.examples.scenes.Arrangement.Kind;
import io.github.flinkdiffusion.ops.training.Batches;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.random.RandomGenerator;

/**
 * What the second text-to-image model is trained to draw. A scene follows from its number alone.
 */
final class SceneVocabulary {
  private static final String RESOURCE = "nouns.txt";

  /**
   * How many of the nouns are learned, the first ones of the file: each takes its share of the
   * training's steps. Another number changes all scenes, so latents must be encoded again.
   */
  static final int LEARNED = 300;

  private static final List<Noun> NOUNS = all().subList(0, LEARNED);
  private static final List<Noun> COUNTED =
      NOUNS.stream().filter(noun -> noun.plural().isPresent()).toList();
  private static final List<Tone> TONES = Tone.all();

  private static final long SEED = 20_261_130;

  /**
   * One combination of noun, size and background in so many is held out. It has no factor in common
   * with the number of sizes and backgrounds, so all of them have their turn.
   */
  private static final int HELD_OUT_EVERY = 11;

  /** The guidance scale that suits the model. */
  static final double GUIDANCE = 2;

  /** What the demo draws if nobody asks for anything; every other one was held out. */
  private static final List<String> PROMPTS =
      List.of(
          "a large soccer ball on a green background",
          "a large snowman on a red background",
          "a large apple on a gray background",
          "three stars on a dark background",
          "a large robot in flat style on a yellow background",
          "a large fox face in noto style on a blue background",
          "a large coffee on a brown background",
          "a small penguin on a blue background",
          "a large candy on a green background",
          "a large rainbow on a white background",
          "a large balloon on a pink background",
          "two hearts on a purple background",
          "a small sailboat on a black background",
          "a large fire truck in flat style on an orange background",
          "a large umbrella on a yellow background",
          "a large car on a purple background");

  private static final double OFF_CENTER = 0.08;
  private static final double SEVERAL = 0.14;

  private SceneVocabulary() {}

  /** All nouns that there are drawings of. */
  static List<Noun> all() {
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(
                SceneVocabulary.class.getResourceAsStream(RESOURCE), StandardCharsets.UTF_8))) {
      return lines.lines().filter(line -> !line.startsWith("#")).map(Noun::parse).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The nouns that are learned. */
  static List<Noun> nouns() {
    return NOUNS;
  }

  /**
   * Whether a scene of one thing is held out: an eleventh of the combinations of noun, size and
   * background, spread over all of them. Its noun, size and background are seen in others.
   */
  static boolean isHeldOut(Scene scene) {
    int combination =
        (NOUNS.indexOf(scene.noun()) * TONES.size() + TONES.indexOf(scene.background()))
                * SceneSize.values().length
            + scene.size().ordinal();
    return scene.arrangement() == Arrangement.CENTER && combination % HELD_OUT_EVERY == 3;
  }

  /** The scene of a number, never a held-out one. */
  static Scene training(long number) {
    RandomGenerator random = Batches.random(SEED, number);
    Scene scene = drawn(random);
    while (isHeldOut(scene)) {
      scene = drawn(random);
    }
    return scene;
  }

  /** What the image of a scene draws at random. */
  static RandomGenerator drawing(long number) {
    return Batches.random(SEED + 1, number);
  }

  /** How a scene's caption words it. */
  static RandomGenerator wording(long number) {
    return Batches.random(SEED + 2, number);
  }

  private static Scene drawn(RandomGenerator random) {
    double kind = random.nextDouble();
    SceneStyle style = any(List.of(SceneStyle.values()), random);
    Tone tone = any(TONES, random);
    if (kind < SEVERAL) {
      Noun noun = any(COUNTED, random);
      return new Scene(noun, anyOf(Kind.SAME, random), SceneSize.SMALL, style, tone);
    }
    Noun noun = any(NOUNS, random);
    if (kind < SEVERAL + OFF_CENTER) {
      Arrangement arrangement = anyOf(Kind.ONE, random);
      return new Scene(noun, arrangement, SceneSize.SMALL, style, tone);
    }
    return Scene.of(noun, any(List.of(SceneSize.values()), random), style, tone);
  }

  /** Any scene of one thing in the middle. */
  static Scene anyOf(Noun noun, RandomGenerator random) {
    return Scene.of(
        noun,
        any(List.of(SceneSize.values()), random),
        any(List.of(SceneStyle.values()), random),
        any(Tone.plain(), random));
  }

  private static Arrangement anyOf(Kind kind, RandomGenerator random) {
    return any(
        Arrays.stream(Arrangement.values())
            .filter(arrangement -> arrangement.kind() == kind)
            .filter(arrangement -> arrangement != Arrangement.CENTER)
            .toList(),
        random);
  }

  private static <T> T any(List<T> values, RandomGenerator random) {
    return values.get(random.nextInt(values.size()));
  }

  /** Every word that a phrase may hold. */
  static Set<String> words() {
    Set<String> words = new LinkedHashSet<>();
    groups().values().forEach(group -> group.forEach(entry -> words.addAll(split(entry))));
    return words;
  }

  private static List<String> split(String entry) {
    return List.of(entry.split(" "));
  }

  private static Map<String, List<String>> groups() {
    Map<String, List<String>> groups = new LinkedHashMap<>();
    groups.put("nouns", NOUNS.stream().flatMap(noun -> noun.names().stream()).toList());
    groups.put("plurals", COUNTED.stream().map(noun -> noun.plural().orElseThrow()).toList());
    groups.put("background colors", TONES.stream().map(Tone::name).toList());
    groups.put(
        "sizes", Arrays.stream(SceneSize.values()).flatMap(size -> size.words().stream()).toList());
    groups.put("styles", Arrays.stream(SceneStyle.values()).map(SceneStyle::word).toList());
    List<String> places = new ArrayList<>();
    for (Arrangement arrangement : Arrangement.values()) {
      if (arrangement != Arrangement.CENTER) {
        places.addAll(arrangement.phrases());
      }
    }
    groups.put("counts and places", places);
    groups.put("other words", List.of("a", "an", "on", "in", "style", "background"));
    return groups;
  }

  /** The file {@code vocabulary.json} of the model's folder: for programs, and for the demo. */
  static Map<String, Object> file() {
    Map<String, Object> file = new LinkedHashMap<>();
    file.put("form", "a SIZE NOUN in STYLE style on a COLOR background");
    file.put("guidance", GUIDANCE);
    file.put("prompts", PROMPTS);
    file.put("groups", groups());
    return file;
  }
}
