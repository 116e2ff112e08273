/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.examples.scenes.SceneReader.Reading;
import io.github.flinkdiffusion.examples.scenes.SceneReader.Thing;
import io.github.flinkdiffusion.ops.training.Batches;
import java.awt.Color;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SceneReaderTest {
  private static final int SIDE = 96;
  private static final List<Noun> NOUNS =
      List.of(Noun.parse("disc|disc"), Noun.parse("bar|bar"), Noun.parse("ring|ring"));

  @TempDir private Path folder;
  private IconLibrary icons;
  private SceneReader reader;

  @BeforeEach
  void drawIcons() throws Exception {
    icons =
        IconLibrary.open(
            List.of(set("noto", "#c00"), set("fluent-emoji-flat", "#04c")), NOUNS, SIDE);
    reader = new SceneReader(NOUNS, icons, SIDE);
  }

  private Path set(String prefix, String color) throws IOException {
    return Files.writeString(
        folder.resolve(prefix + ".json"),
        """
        {"prefix": "%1$s", "width": 10, "height": 10, "icons": {
          "disc": {"body": "<circle cx='5' cy='5' r='4.5' fill='%2$s'/>"},
          "bar": {"body": "<rect x='1' y='3.5' width='8' height='3' fill='%2$s'/>"},
          "ring": {"body": "<circle cx='5' cy='5' r='3.5' fill='none' stroke='%2$s' stroke-width='2'/>"}}}
        """
            .formatted(prefix, color));
  }

  private Reading read(Scene scene, int seed) {
    float[] image = scene.draw(icons, SIDE, Batches.random(1, seed));
    return reader.read(unit(image), scene.arrangement().places().size());
  }

  /** From -1..1 to 0..1. */
  private static float[] unit(float[] image) {
    for (int i = 0; i < image.length; i++) {
      image[i] = (image[i] + 1) / 2;
    }
    return image;
  }

  @Test
  void readsNounStyleColorSizeAndPlace() {
    int seed = 0;
    for (Noun noun : NOUNS) {
      for (SceneStyle style : SceneStyle.values()) {
        for (SceneSize size : SceneSize.values()) {
          Tone tone = Tone.plain().get(seed % 3);
          Reading reading = read(Scene.of(noun, size, style, tone), seed++);
          assertThat(reading.background()).isEqualTo(tone);
          assertThat(reading.things()).hasSize(1);
          Thing thing = reading.things().get(0);
          assertThat(thing.noun()).isEqualTo(noun);
          assertThat(thing.style()).isEqualTo(style);
          assertThat(thing.x()).isCloseTo(0.5, within(0.12));
          double side = size.cells() / (double) SceneModel.LATENT_SIDE;
          assertThat(thing.size()).isBetween(0.75 * side, 1.02 * side);
        }
      }
    }
  }

  @Test
  void readsSeveralThingsFromLeftToRight() {
    Tone white = Tone.plain().get(0);
    int side = SIDE / 3;
    List<PlacedIcon> placed = new ArrayList<>();
    placed.add(new PlacedIcon(icons.icon(NOUNS.get(1), SceneStyle.FLAT), 2 * side, side, side));
    placed.add(new PlacedIcon(icons.icon(NOUNS.get(2), SceneStyle.FLAT), 0, side, side));
    float[] image = SceneCanvas.draw(Color.WHITE, placed, SIDE);
    assertThat(reader.read(unit(image), 2).things())
        .extracting(Thing::noun)
        .containsExactly(NOUNS.get(2), NOUNS.get(1));
    Scene four = new Scene(NOUNS.get(0), Arrangement.FOUR, SceneSize.SMALL, SceneStyle.NOTO, white);
    assertThat(read(four, 4).things())
        .extracting(Thing::noun)
        .containsOnly(NOUNS.get(0))
        .hasSize(4);
  }

  @Test
  void anEmptyImageShowsNothing() {
    float[] gray = new float[3 * SIDE * SIDE];
    Arrays.fill(gray, 150 / 255f);
    Reading reading = reader.read(gray, 1);
    assertThat(reading.things()).isEmpty();
    assertThat(reading.background().name()).isEqualTo("gray");
  }

  @Test
  void aMissingStyleOrIconIsNamed() throws Exception {
    Path noto = folder.resolve("noto.json");
    assertThatThrownBy(() -> IconLibrary.open(List.of(noto), NOUNS, SIDE))
        .hasMessageContaining("Style flat needs the icon set fluent-emoji-flat; there are [noto]");
    List<Path> both = List.of(noto, folder.resolve("fluent-emoji-flat.json"));
    assertThatThrownBy(() -> IconLibrary.open(both, List.of(Noun.parse("cube|cube")), SIDE))
        .hasMessageContaining("noto has no icon 'cube'");
  }
}
