/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What mini-emoji can draw: emoji, background colours and sizes, and which of their combinations it
 * was trained on.
 */
public final class EmojiVocabulary {
  /** A scale that suits Stable Diffusion oversaturates a small model's images. */
  private static final double GUIDANCE = 2;

  /**
   * Sixteen different emoji: for each background colour one combination that it was trained on and
   * one that it has never seen.
   */
  private static final List<String> PROMPTS =
      List.of(
          "a large red apple on a blue background",
          "a small hamburger on a blue background",
          "a large cat face on green",
          "a small ice cream on a green background",
          "a large rocket on a purple background",
          "a small turtle on a purple background",
          "a pizza on a white background",
          "a small tiger face on a white background",
          "a large penguin on an orange background",
          "a small butterfly on an orange background",
          "a large sunflower on a gray background",
          "a small octopus on a gray background",
          "a large house on a yellow background",
          "a small unicorn on a yellow background",
          "a small car on a red background",
          "a small robot on a red background");

  private static final List<Emoji> EMOJI =
      List.of(
          new Emoji("red apple", "1f34e"),
          new Emoji("banana", "1f34c"),
          new Emoji("strawberry", "1f353"),
          new Emoji("watermelon", "1f349"),
          new Emoji("pineapple", "1f34d"),
          new Emoji("lemon", "1f34b"),
          new Emoji("avocado", "1f951"),
          new Emoji("carrot", "1f955"),
          new Emoji("mushroom", "1f344"),
          new Emoji("pizza", "1f355"),
          new Emoji("hamburger", "1f354"),
          new Emoji("donut", "1f369"),
          new Emoji("ice cream", "1f366"),
          new Emoji("birthday cake", "1f382"),
          new Emoji("cookie", "1f36a"),
          new Emoji("grapes", "1f347"),
          new Emoji("cherry", "1f352"),
          new Emoji("cat face", "1f431"),
          new Emoji("dog face", "1f436"),
          new Emoji("panda face", "1f43c"),
          new Emoji("pig face", "1f437"),
          new Emoji("frog face", "1f438"),
          new Emoji("lion face", "1f981"),
          new Emoji("fox face", "1f98a"),
          new Emoji("unicorn", "1f984"),
          new Emoji("monkey face", "1f435"),
          new Emoji("rabbit face", "1f430"),
          new Emoji("tiger face", "1f42f"),
          new Emoji("owl", "1f989"),
          new Emoji("penguin", "1f427"),
          new Emoji("octopus", "1f419"),
          new Emoji("butterfly", "1f98b"),
          new Emoji("ladybug", "1f41e"),
          new Emoji("turtle", "1f422"),
          new Emoji("whale", "1f433"),
          new Emoji("fish", "1f420"),
          new Emoji("bee", "1f41d"),
          new Emoji("sun", "2600-fe0f"),
          new Emoji("moon", "1f319"),
          new Emoji("star", "2b50"),
          new Emoji("rainbow", "1f308"),
          new Emoji("fire", "1f525"),
          new Emoji("snowman", "26c4"),
          new Emoji("tree", "1f333"),
          new Emoji("cactus", "1f335"),
          new Emoji("sunflower", "1f33b"),
          new Emoji("rose", "1f339"),
          new Emoji("earth", "1f30d"),
          new Emoji("heart", "2764-fe0f"),
          new Emoji("rocket", "1f680"),
          new Emoji("car", "1f697"),
          new Emoji("airplane", "2708-fe0f"),
          new Emoji("sailboat", "26f5"),
          new Emoji("house", "1f3e0"),
          new Emoji("umbrella", "2602-fe0f"),
          new Emoji("gift", "1f381"),
          new Emoji("soccer ball", "26bd"),
          new Emoji("crown", "1f451"),
          new Emoji("robot", "1f916"),
          new Emoji("pumpkin", "1f383"));

  private static final List<Background> BACKGROUNDS =
      List.of(
          new Background("white", 255, 255, 255),
          new Background("gray", 150, 150, 150),
          new Background("red", 225, 85, 80),
          new Background("orange", 245, 160, 70),
          new Background("yellow", 250, 220, 90),
          new Background("green", 110, 190, 105),
          new Background("blue", 90, 150, 225),
          new Background("purple", 155, 110, 200));

  /** One combination in so many is held out. */
  private static final int HELD_OUT_EVERY = 10;

  private EmojiVocabulary() {}

  public static List<Emoji> emoji() {
    return EMOJI;
  }

  public static List<Background> backgrounds() {
    return BACKGROUNDS;
  }

  /** All combinations. */
  public static List<EmojiScene> scenes() {
    List<EmojiScene> scenes = new ArrayList<>();
    for (Emoji emoji : EMOJI) {
      for (Background background : BACKGROUNDS) {
        for (EmojiSize size : EmojiSize.values()) {
          scenes.add(new EmojiScene(emoji, background, size));
        }
      }
    }
    return scenes;
  }

  /** The combinations that are trained on. */
  public static List<EmojiScene> trainingScenes() {
    return scenes().stream().filter(scene -> !isHeldOut(scene)).toList();
  }

  /** The combinations never seen in training; each emoji, colour and size is seen in others. */
  public static List<EmojiScene> heldOutScenes() {
    return scenes().stream().filter(EmojiVocabulary::isHeldOut).toList();
  }

  /**
   * Whether a combination is held out: a tenth of all, spread over emoji and colours, one or two of
   * each emoji's sixteen. All are small ones; the same emoji on the same colour is trained on
   * large.
   */
  public static boolean isHeldOut(EmojiScene scene) {
    int combination =
        (EMOJI.indexOf(scene.emoji()) * BACKGROUNDS.size()
                    + BACKGROUNDS.indexOf(scene.background()))
                * EmojiSize.values().length
            + scene.size().ordinal();
    return combination % HELD_OUT_EVERY == 3;
  }

  /** Every word that a phrasing may hold, for the tokenizer. */
  public static List<String> words() {
    Set<String> words = new LinkedHashSet<>();
    for (EmojiScene scene : scenes()) {
      for (String phrasing : scene.phrasings()) {
        words.addAll(List.of(phrasing.split(" ")));
      }
    }
    return List.copyOf(words);
  }

  /** The file {@code vocabulary.json} of the model's folder: for programs, and for the demo. */
  static Map<String, Object> file() {
    Map<String, List<String>> groups = new LinkedHashMap<>();
    groups.put("nouns", EMOJI.stream().map(Emoji::name).toList());
    groups.put("background colors", BACKGROUNDS.stream().map(Background::name).toList());
    groups.put("sizes", Arrays.stream(EmojiSize.values()).map(EmojiSize::word).toList());
    Set<String> others = new LinkedHashSet<>(words());
    groups
        .values()
        .forEach(group -> group.forEach(each -> others.removeAll(List.of(each.split(" ")))));
    groups.put("other words", List.copyOf(others));
    Map<String, Object> file = new LinkedHashMap<>();
    file.put("form", "a SIZE NOUN on a COLOR background");
    file.put("guidance", GUIDANCE);
    file.put("prompts", PROMPTS);
    file.put("groups", groups);
    return file;
  }

  /**
   * An emoji.
   *
   * @param name what prompts call it
   * @param file name of its picture, without {@code .png}: the code points in hexadecimal
   */
  public record Emoji(String name, String file) {}

  /**
   * A background colour, 0..255 each.
   *
   * @param name what prompts call it
   */
  public record Background(String name, int red, int green, int blue) {}
}
