/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.noise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;

class TorchGeneratorTest {

  @Property(tries = 200)
  void aRestoredGeneratorContinuesToTheBit(
      @ForAll long seed,
      @ForAll("draws") List<Integer> before,
      @ForAll("draws") List<Integer> after) {
    TorchGenerator original = new TorchGenerator(seed);
    before.forEach(original::gaussian);
    byte[] state = original.saveState();
    TorchGenerator restored = TorchGenerator.restore(state);
    assertThat(restored.saveState()).isEqualTo(state);
    for (int n : after) {
      assertThat(restored.gaussian(n)).isEqualTo(original.gaussian(n));
    }
    assertThat(restored.saveState()).isEqualTo(original.saveState());
  }

  @Property(tries = 50)
  void onlyTheLow32BitsOfTheSeedMatter(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 64) int n) {
    assertThat(new TorchGenerator(seed).gaussian(n))
        .isEqualTo(new TorchGenerator(seed & 0xffffffffL).gaussian(n));
  }

  @Example
  void savingDoesNotDisturbTheStream() {
    TorchGenerator saved = new TorchGenerator(3);
    saved.gaussian(3);
    saved.saveState();
    TorchGenerator untouched = new TorchGenerator(3);
    untouched.gaussian(3);
    assertThat(saved.gaussian(100)).isEqualTo(untouched.gaussian(100));
  }

  @Example
  void theFirstValuesOfSeed0AreThoseThatPyTorchUsersKnow() {
    assertThat(new TorchGenerator(0).gaussian(3))
        .containsExactly(1.5409961f, -0.2934289f, -2.1787894f);
  }

  @Example
  void drawingNothingLeavesTheStreamAlone() {
    TorchGenerator generator = new TorchGenerator(5);
    assertThat(generator.gaussian(0)).isEmpty();
    assertThat(generator.gaussian(20)).isEqualTo(new TorchGenerator(5).gaussian(20));
  }

  @Example
  void valuesAreStandardNormal() {
    float[] values = new TorchGenerator(99).gaussian(200_000);
    double sum = 0;
    double squares = 0;
    for (float value : values) {
      sum += value;
      squares += value * value;
    }
    assertThat(Math.abs(sum / values.length)).isLessThan(0.01);
    assertThat(Math.abs(squares / values.length - 1)).isLessThan(0.02);
  }

  @Example
  void aNegativeSizeIsRefused() {
    assertThatThrownBy(() -> new TorchGenerator(1).gaussian(-1)).hasMessageContaining("-1");
  }

  @Example
  void aDamagedStateIsRefused() {
    byte[] state = new TorchGenerator(1).saveState();
    assertThatThrownBy(() -> TorchGenerator.restore(new byte[10])).hasMessageContaining("10 bytes");
    byte[] otherLayout = state.clone();
    otherLayout[3] = 9;
    assertThatThrownBy(() -> TorchGenerator.restore(otherLayout)).hasMessageContaining("54470009");
    byte[] badPosition = state.clone();
    badPosition[5] = 1;
    assertThatThrownBy(() -> TorchGenerator.restore(badPosition)).hasMessageContaining("position");
  }

  @Provide
  Arbitrary<List<Integer>> draws() {
    return Arbitraries.oneOf(
            Arbitraries.integers().between(0, 15), Arbitraries.integers().between(16, 700))
        .list()
        .ofMaxSize(6);
  }
}
