/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Flags are those of diffusers, as in {@link SafetyCheckerParityTest}. */
class PictureSafetyTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/safety");
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");

  @TempDir private Path folder;

  private static List<Boolean> expected(String layout) {
    List<Boolean> flags = new ArrayList<>();
    try (TensorStore golden = Safetensors.open(FIXTURES.resolve(layout + "-golden.safetensors"))) {
      for (long flag : golden.longs("flags")) {
        flags.add(flag == 1);
      }
    }
    return flags;
  }

  private static List<Boolean> flags(Path folder) {
    try (PictureSafety safety = PictureSafety.open(folder, DeviceSpec.CPU)) {
      return SafetyCheckerParityTest.pictures().stream().map(safety::flags).toList();
    }
  }

  @Test
  void flagsWithACheckerOfAModelFolderWhatDiffusersFlags() {
    assertThat(flags(FIXTURES.resolve("old"))).isEqualTo(expected("old")).contains(true, false);
    assertThat(flags(FIXTURES.resolve("new"))).isEqualTo(expected("new"));
  }

  @Test
  void flagsTheSameWithTheCheckerAlone() throws IOException {
    for (String part : List.of("safety_checker", "feature_extractor")) {
      try (var files = Files.list(FIXTURES.resolve("new").resolve(part))) {
        for (Path file : files.toList()) {
          Files.copy(file, folder.resolve(file.getFileName()));
        }
      }
    }
    assertThat(flags(folder)).isEqualTo(expected("new"));
  }

  @Test
  void namesItsFolderAndWhatIsInIt() {
    try (PictureSafety safety = PictureSafety.open(FIXTURES.resolve("new"), DeviceSpec.CPU)) {
      assertThat(safety.name()).isEqualTo("new");
      assertThat(safety.digest()).matches("[0-9a-f]{64}");
    }
  }

  @Test
  void refusesFoldersWithoutACheckerAndImagesOfFiveChannels() {
    assertThatThrownBy(() -> PictureSafety.open(MODELS.resolve("tiny-ldm"), DeviceSpec.CPU))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("safety_checker");
    try (PictureSafety safety = PictureSafety.open(FIXTURES.resolve("new"), DeviceSpec.CPU)) {
      assertThatThrownBy(() -> safety.flags(Raster.filled(5, 40, 40, 0.5f)))
          .isInstanceOf(ImageException.class)
          .hasMessageContaining("an image of 5 channels; supported: 1 to 4");
    }
  }
}
