/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.examples.scenes.Arrangement.Kind;
import io.github.flinkdiffusion.ops.training.Batches;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SceneVocabularyTest {
  private static final int SCENES = 5_000;

  @Test
  void knowsMoreThanThreeHundredNounsEachByNamesOfItsOwn() {
    Set<String> names = new HashSet<>();
    for (Noun noun : SceneVocabulary.all()) {
      for (String name : noun.names()) {
        assertThat(names.add(name)).as("%s names one thing only", name).isTrue();
      }
    }
    assertThat(SceneVocabulary.all())
        .hasSizeGreaterThan(300)
        .startsWith(SceneVocabulary.nouns().toArray(new Noun[0]));
    assertThat(SceneVocabulary.nouns()).hasSize(SceneVocabulary.LEARNED);
  }

  @Test
  void everyWordOfEveryPhraseIsInTheVocabulary() {
    Set<String> words = SceneVocabulary.words();
    for (int i = 0; i < SCENES; i++) {
      Scene scene = SceneVocabulary.training(i);
      String phrase = scene.phrase(Batches.random(1, i));
      String both = phrase.replace(",", "") + " " + scene.prompt();
      assertThat(words.containsAll(List.of(both.split(" ")))).as(both).isTrue();
    }
  }

  @Test
  void neverTrainsOnHeldOutScenesAndSeesTheirPartsElsewhere() {
    Set<Noun> nouns = new HashSet<>();
    Map<Arrangement, Integer> arrangements = new HashMap<>();
    for (int i = 0; i < SCENES; i++) {
      Scene scene = SceneVocabulary.training(i);
      assertThat(SceneVocabulary.isHeldOut(scene)).isFalse();
      nouns.add(scene.noun());
      arrangements.merge(scene.arrangement(), 1, Integer::sum);
    }
    assertThat(nouns).hasSameSizeAs(SceneVocabulary.nouns());
    assertThat(arrangements).containsOnlyKeys(Arrangement.values());
    int combinations =
        SceneVocabulary.nouns().size() * Tone.all().size() * SceneSize.values().length;
    List<Scene> held = heldOut();
    assertThat(held.size()).isCloseTo(combinations / 11, within(1));
    assertThat(held.stream().map(Scene::size)).contains(SceneSize.values());
    assertThat(held.stream().map(Scene::background).distinct()).hasSameElementsAs(Tone.all());
  }

  private static List<Scene> heldOut() {
    List<Scene> held = new ArrayList<>();
    for (Noun noun : SceneVocabulary.nouns()) {
      for (Tone tone : Tone.all()) {
        for (SceneSize size : SceneSize.values()) {
          Scene scene = Scene.of(noun, size, SceneStyle.NOTO, tone);
          if (SceneVocabulary.isHeldOut(scene)) {
            held.add(scene);
          }
        }
      }
    }
    return held;
  }

  @Test
  void aSceneFollowsFromItsNumber() {
    assertThat(SceneVocabulary.training(7)).isEqualTo(SceneVocabulary.training(7));
    assertThat(SceneVocabulary.training(7)).isNotEqualTo(SceneVocabulary.training(8));
  }

  @Test
  void promptsSayAllOfASceneInPlainEnglish() {
    Noun apple = noun("apple");
    Noun cat = noun("cat");
    Tone blue = tone("blue");
    assertThat(Scene.of(apple, SceneSize.LARGE, SceneStyle.NOTO, blue).prompt())
        .isEqualTo("a large apple in noto style on a blue background");
    assertThat(
            new Scene(cat, Arrangement.THREE, SceneSize.SMALL, SceneStyle.FLAT, tone("orange"))
                .prompt())
        .isEqualTo("three cats in flat style on an orange background");
    assertThat(new Scene(cat, Arrangement.TOP, SceneSize.SMALL, SceneStyle.FLAT, blue).prompt())
        .isEqualTo("a small cat in flat style at the top on a blue background");
  }

  @Test
  void makesPlurals() {
    assertThat(noun("strawberry").plural()).contains("strawberries");
    assertThat(noun("mouse").plural()).contains("mice");
    assertThat(noun("fox").plural()).contains("foxes");
    assertThat(noun("maple leaf").plural()).contains("maple leaves");
    assertThat(noun("wine glass").plural()).contains("wine glasses");
    assertThat(noun("scissors").plural()).isEmpty();
    for (Noun noun : SceneVocabulary.nouns()) {
      assertThat(noun.plural())
          .as(noun.name())
          .satisfiesAnyOf(
              plural -> assertThat(plural).isNotEqualTo(Optional.of(noun.name())),
              plural -> assertThat(plural).contains("deer"));
    }
  }

  @Test
  void refusesALineThatIsNoNoun() {
    assertThatThrownBy(() -> Noun.parse("red-apple"))
        .hasMessageContaining("'red-apple' is no noun: expected icon|names");
  }

  @Test
  void thingsOfAnArrangementDoNotTouch() {
    for (Arrangement arrangement : Arrangement.values()) {
      List<Arrangement.Place> places = arrangement.places();
      for (int i = 0; i < places.size(); i++) {
        for (int j = 0; j < i; j++) {
          double apart =
              Math.max(
                  Math.abs(places.get(i).x() - places.get(j).x()),
                  Math.abs(places.get(i).y() - places.get(j).y()));
          assertThat(apart).isGreaterThan(0.45);
        }
      }
      assertThat(arrangement.kind() == Kind.ONE).isEqualTo(places.size() == 1);
    }
  }

  @Test
  void readsWhatAPromptInAnybodysWordsAsksFor() {
    assertThat(AskedScene.of("a cat above a house"))
        .isEqualTo(new AskedScene(List.of(noun("cat"), noun("house")), 2, Optional.empty()));
    assertThat(AskedScene.of("blue heart on a white background"))
        .isEqualTo(new AskedScene(List.of(noun("blue heart")), 1, Optional.of(tone("white"))));
    assertThat(AskedScene.of("Three stars on a dark background"))
        .isEqualTo(new AskedScene(List.of(noun("star")), 3, Optional.of(tone("dark"))));
    assertThat(AskedScene.of("A LARGE ROBOT ON A BLUE BACKGROUND"))
        .isEqualTo(new AskedScene(List.of(noun("robot")), 1, Optional.of(tone("blue"))));
    assertThat(AskedScene.of("a big red apple on a blue background").nouns())
        .containsExactly(noun("apple"));
  }

  @Test
  void aPromptAsksForAHeldOutSceneHoweverItIsWritten() {
    int asked = 0;
    for (Noun noun : SceneVocabulary.nouns()) {
      for (Tone tone : Tone.all()) {
        for (SceneSize size : SceneSize.values()) {
          Scene scene = Scene.of(noun, size, SceneStyle.FLAT, tone);
          boolean heldOut = SceneVocabulary.isHeldOut(scene);
          asked += heldOut ? 1 : 0;
          String words = size.words().get(1) + " " + noun.name();
          assertThat(
                  List.of(
                      scene.prompt(),
                      "A  " + words.toUpperCase(Locale.ROOT) + " on " + tone.name()))
              .allSatisfy(
                  prompt ->
                      assertThat(HeldOutScenes.isAskedFor(prompt)).as(prompt).isEqualTo(heldOut));
          assertThat(HeldOutScenes.isAskedFor("a " + noun.name() + " on " + tone.name())).isFalse();
        }
      }
    }
    assertThat(asked).isPositive();
  }

  @Test
  void promptsOfTheDemoAreOfDifferentThingsAndHalfOfThemHeldOut() {
    @SuppressWarnings("unchecked")
    List<String> prompts = (List<String>) SceneVocabulary.file().get("prompts");
    assertThat(prompts)
        .hasSize(16)
        .allSatisfy(
            prompt ->
                assertThat(SceneVocabulary.words())
                    .as(prompt)
                    .containsAll(List.of(prompt.split(" "))));
    assertThat(prompts)
        .extracting(prompt -> AskedScene.of(prompt).nouns())
        .doesNotHaveDuplicates()
        .allSatisfy(nouns -> assertThat(nouns).isNotEmpty());
    assertThat(prompts).filteredOn(HeldOutScenes::isAskedFor).hasSize(8);
  }

  private static Noun noun(String name) {
    return SceneVocabulary.nouns().stream()
        .filter(noun -> noun.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private static Tone tone(String name) {
    return Tone.all().stream().filter(tone -> tone.name().equals(name)).findFirst().orElseThrow();
  }
}
