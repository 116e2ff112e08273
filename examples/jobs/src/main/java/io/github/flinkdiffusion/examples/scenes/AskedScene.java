/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * What of a prompt in anybody's words can be checked in an image: its nouns, how many things there
 * are, and the background's color.
 *
 * @param nouns in the prompt's order
 * @param things how many
 * @param background the color that follows the last "on"; empty without one
 */
record AskedScene(List<Noun> nouns, int things, Optional<Tone> background) {
  private static final List<String> NUMBERS = List.of("two", "three", "four");

  static AskedScene of(String prompt) {
    String text = " " + prompt.toLowerCase(Locale.ROOT).replaceAll("[^a-z-]+", " ").strip() + " ";
    int on = text.lastIndexOf(" on ");
    Optional<Tone> background =
        on < 0 ? Optional.empty() : longest(text.substring(on), Tone.all(), Tone::name);
    // The background's color is no adjective of a thing.
    String rest = background.isPresent() ? text.substring(0, on) + " " : text;
    Map<String, Noun> names = new HashMap<>();
    for (Noun noun : SceneVocabulary.nouns()) {
      noun.names().forEach(name -> names.put(name, noun));
      noun.plural().ifPresent(plural -> names.put(plural, noun));
    }
    List<Noun> nouns = new ArrayList<>();
    Map<Integer, Noun> places = new TreeMap<>();
    for (Optional<String> name = longest(rest, List.copyOf(names.keySet()), each -> each);
        name.isPresent();
        name = longest(rest, List.copyOf(names.keySet()), each -> each)) {
      int at = rest.indexOf(" " + name.get() + " ");
      places.put(at, names.get(name.get()));
      // Replaced by as many characters, so that places stay what they are.
      rest =
          rest.substring(0, at + 1)
              + "#".repeat(name.get().length())
              + rest.substring(at + 1 + name.get().length());
    }
    nouns.addAll(places.values());
    int things = nouns.size();
    for (int i = 0; i < NUMBERS.size(); i++) {
      things = text.contains(" " + NUMBERS.get(i) + " ") ? i + 2 : things;
    }
    return new AskedScene(nouns, things, background);
  }

  private static <T> Optional<T> longest(String text, List<T> all, Function<T, String> name) {
    return all.stream()
        .filter(each -> text.contains(" " + name.apply(each) + " "))
        .max(Comparator.comparingInt(each -> name.apply(each).length()));
  }

  /** Whether an image shows all of it. */
  boolean isShown(SceneReader.Reading reading) {
    return reading.things().size() == things
        && nouns.stream()
            .allMatch(
                noun -> reading.things().stream().anyMatch(thing -> thing.noun().equals(noun)))
        && background.map(reading.background()::equals).orElse(true);
  }
}
