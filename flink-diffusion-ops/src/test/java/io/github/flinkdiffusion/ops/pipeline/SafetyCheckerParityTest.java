/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ClipVisionConfig;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Against diffusers' StableDiffusionSafetyChecker and transformers' CLIPImageProcessor, with
 * pictures on both sides of the thresholds: {@code src/test/python/make_safety_fixtures.py}. The
 * folders have the two layouts of weights and preprocessor config that checkpoints have.
 */
class SafetyCheckerParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/safety");

  static List<Raster> pictures() {
    List<Raster> pictures = new ArrayList<>();
    try (TensorStore store = Safetensors.open(FIXTURES.resolve("pictures.safetensors"))) {
      for (int i = 0; i < store.names().size(); i++) {
        long[] levels = store.longs(String.valueOf(i));
        float[] data = new float[levels.length];
        for (int k = 0; k < data.length; k++) {
          data[k] = levels[k] / 255f;
        }
        long[] shape = store.info(String.valueOf(i)).shape();
        pictures.add(new Raster(3, (int) shape[1], (int) shape[2], data));
      }
    }
    assertThat(pictures).hasSize(10);
    return pictures;
  }

  private static TensorStore golden(String layout) {
    return Safetensors.open(FIXTURES.resolve(layout + "-golden.safetensors"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"old", "new"})
  void picturesArePreparedAsTransformersDoes(String layout) {
    ModelFolder folder = ModelFolder.open(FIXTURES.resolve(layout));
    HostTensor.Floats pixels =
        ClipImageProcessor.from(
                folder.component("feature_extractor").config(),
                ClipVisionConfig.fromClip(folder.component("safety_checker").config()).imageSize())
            .pixels(pictures());
    try (TensorStore golden = golden(layout)) {
      assertThat(pixels.shape()).isEqualTo(golden.info("pixel_values").shape());
      float[] expected = golden.floats("pixel_values");
      for (int i = 0; i < expected.length; i++) {
        assertThat(Math.abs(pixels.data()[i] - expected[i])).as("value %d", i).isLessThan(2e-6f);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"old", "new"})
  void scoresAndFlagsAreTheReferences(String layout) {
    ModelFolder folder = ModelFolder.open(FIXTURES.resolve(layout));
    List<Raster> pictures = pictures();
    List<SafetyVerdict> verdicts;
    try (SafetyChecker checker =
        SafetyChecker.open(
            folder.component("safety_checker"),
            folder.component("feature_extractor"),
            new NetworkLoader(DeviceSpec.CPU, Precision.FLOAT32),
            weights -> {})) {
      verdicts = checker.check(pictures);
      assertThat(checker.check(pictures.subList(3, 4))).containsExactly(verdicts.get(3));
    }
    try (TensorStore golden = golden(layout)) {
      float[] special = golden.floats("special_scores");
      float[] concept = golden.floats("concept_scores");
      long[] flags = golden.longs("flags");
      assertThat(verdicts).hasSize(flags.length);
      for (int i = 0; i < flags.length; i++) {
        SafetyVerdict verdict = verdicts.get(i);
        assertThat(verdict.flagged()).as("flag of picture %d", i).isEqualTo(flags[i] == 1);
        float sharpening = 0;
        for (int k = 0; k < 3; k++) {
          checkRounded(verdict.specialScores()[k], special[i * 3 + k] + sharpening);
          sharpening = verdict.specialScores()[k] > 0 ? 0.01f : sharpening;
        }
        for (int k = 0; k < 17; k++) {
          checkRounded(verdict.conceptScores()[k], concept[i * 17 + k] + sharpening);
        }
        Raster shown = verdict.shown(pictures.get(i));
        assertThat(shown)
            .isEqualTo(
                verdict.flagged()
                    ? Raster.filled(3, shown.height(), shown.width(), 0)
                    : pictures.get(i));
      }
    }
    assertThat(verdicts.stream().filter(SafetyVerdict::flagged)).hasSize(3);
  }

  /** Half a thousandth is what rounding may change, the rest what float32 may. */
  private static void checkRounded(float actual, float exact) {
    assertThat(Math.abs(actual - exact)).isLessThan(0.0005f + 5e-6f);
    assertThat(Math.abs(actual * 1000 - Math.rint(actual * 1000))).isLessThan(1e-3);
  }
}
