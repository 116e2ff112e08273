/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

class DecisionTest {
  private static final ClassMap BINARY = ClassMap.binary("background", "brain");
  private static final ClassMap ONE_HOT = of(ClassMap.Encoding.ONE_HOT);
  private static final ClassMap PALETTE = of(ClassMap.Encoding.PALETTE);

  private static ClassMap of(ClassMap.Encoding encoding) {
    return new ClassMap(
        encoding,
        List.of("nothing", "water", "forest"),
        List.of(new Rgb(0, 0, 0), new Rgb(0, 0, 255), new Rgb(0, 200, 0)),
        OptionalInt.of(0));
  }

  @Test
  void aBinarySampleIsInsideFromOneHalfOn() {
    Raster sample = new Raster(1, 1, 4, new float[] {0.49f, 0.5f, 1.2f, -0.1f});
    Decision decision = Decision.of(BINARY, BINARY.shares(sample));
    assertThat(decision.classes().numbers()).containsExactly(0, 1, 1, 0);
    assertThat(decision.score().data()).containsExactly(0.51f, 0.5f, 1, 1);
  }

  @Test
  void theGreatestChannelNamesTheClass() {
    Raster sample =
        new Raster(3, 1, 3, new float[] {0.9f, 0.1f, 0.5f, 0.2f, 0.3f, 0.5f, 0.1f, 0.7f, 0.4f});
    Raster shares = ONE_HOT.shares(sample);
    assertThat(shares.data()).containsExactly(1, 0, 1, 0, 0, 0, 0, 1, 0);
    assertThat(Decision.of(ONE_HOT, shares).classes().numbers()).containsExactly(0, 2, 0);
  }

  @Test
  void theNearestColorNamesTheClass() {
    Raster sample = new Raster(3, 1, 2, new float[] {0.2f, 0.1f, 0.1f, 0.6f, 0.9f, 0.3f});
    assertThat(Decision.of(PALETTE, PALETTE.shares(sample)).classes().numbers())
        .containsExactly(1, 2);
  }

  @Test
  void theClassOfAnEnsembleIsThatOfTheMostSamples() {
    List<Raster> votes =
        List.of(vote(1, 2), vote(1, 0), vote(2, 2), vote(1, 1)).stream()
            .map(PALETTE::shares)
            .toList();
    Decision decision = Decision.of(PALETTE, Ensemble.of(votes).mean());
    assertThat(decision.classes().numbers()).containsExactly(1, 2);
    assertThat(decision.score().data()).containsExactly(0.75f, 0.5f);
  }

  private static Raster vote(int... classes) {
    byte[] numbers = new byte[classes.length];
    for (int i = 0; i < classes.length; i++) {
      numbers[i] = (byte) classes[i];
    }
    return ClassPictures.painted(new ClassRaster(classes.length, 1, numbers), PALETTE);
  }

  @Test
  void sharesOfUnevenSumsCountAsParts() {
    Decision decision =
        Decision.of(ONE_HOT, new Raster(3, 1, 2, new float[] {0.2f, 0, 0.2f, 0, -0.1f, 0}));
    assertThat(decision.score().data()).containsExactly(0.5f, (float) (1 / 3.0));
  }

  @Test
  void rowsCanBeDecidedAsTheyCome() {
    float[] likely = {0.1f, 0.6f, 0.7f, 0.2f, 0.5f, 0.4f};
    Decision whole = Decision.of(BINARY, new Raster(1, 3, 2, likely));
    Decision last = Decision.of(BINARY, new Raster(1, 1, 2, new float[] {0.5f, 0.4f}));
    assertThat(last.classes().numbers())
        .containsExactly(whole.classes().numbers()[4], whole.classes().numbers()[5]);
    assertThat(last.score().data()[1]).isEqualTo(whole.score().data()[5]);
  }

  @Test
  void aPictureOfClassNumbersComesBackFromAFile() {
    byte[] numbers = new byte[256];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = (byte) i;
    }
    ClassRaster classes = new ClassRaster(16, 16, numbers);
    byte[] png = Images.write(classes.toRaster(), "image/png");
    ClassRaster read = ClassRaster.of(Images.read(png, ReadOptions.DEFAULT));
    assertThat(read.numbers()).isEqualTo(numbers);
    assertThat(read.at(15, 15)).isEqualTo(255);
  }

  @Test
  void colorsOfClassesAreAllDifferent() {
    List<Rgb> colors = ClassMap.colors(256);
    assertThat(new HashSet<>(colors)).hasSize(256);
    assertThat(colors.subList(0, 4))
        .containsExactly(
            new Rgb(0, 0, 0), new Rgb(128, 0, 0), new Rgb(0, 128, 0), new Rgb(128, 128, 0));
  }

  @Test
  void outlinesAreDrawnOnAGrayPicture() {
    byte[] numbers = {0, 0, 0, 0, 0, 0, 2, 2, 2, 0, 0, 2, 2, 2, 0, 0, 2, 2, 2, 0};
    Raster drawn =
        ClassPictures.outlined(
            Raster.filled(1, 4, 5, 0.25f), new ClassRaster(5, 4, numbers), PALETTE);
    assertThat(drawn.at(1, 1, 1)).isEqualTo(200 / 255f);
    assertThat(drawn.at(0, 1, 1)).isZero();
    // In the middle, and at the picture's own edge, nothing changes.
    assertThat(drawn.at(1, 2, 2)).isEqualTo(0.25f);
    assertThat(drawn.at(1, 3, 2)).isEqualTo(0.25f);
    assertThat(drawn.at(2, 0, 0)).isEqualTo(0.25f);
  }

  @Test
  void whatDoesNotFitIsRefused() {
    assertThatThrownBy(() -> PALETTE.shares(Raster.filled(1, 2, 2, 0)))
        .hasMessageContaining("3 channels of PALETTE");
    assertThatThrownBy(() -> Decision.of(ONE_HOT, Raster.filled(1, 2, 2, 0)))
        .hasMessageContaining("shares of 3 classes");
    assertThatThrownBy(
            () ->
                new ClassMap(
                    ClassMap.Encoding.PALETTE,
                    List.of("a", "b"),
                    List.of(new Rgb(1, 2, 3), new Rgb(1, 2, 3)),
                    OptionalInt.empty()))
        .hasMessageContaining("same color");
    assertThatThrownBy(
            () ->
                new ClassMap(
                    ClassMap.Encoding.ONE_HOT,
                    List.of("a", "b"),
                    ClassMap.colors(2),
                    OptionalInt.of(2)))
        .hasMessageContaining("class 2 of 2");
  }
}
