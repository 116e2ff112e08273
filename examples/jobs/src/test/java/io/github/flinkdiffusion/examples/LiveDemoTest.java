/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Streams that examples/live sends, and what it leaves behind. */
class LiveDemoTest {
  private static final Path INPUTS = Path.of("../models/mini-satellite-x4/inputs");

  @TempDir private Path folder;

  @Test
  void camerasRestAndMove() throws IOException {
    List<LiveClip> clips = LiveClip.cameras(INPUTS, 24);
    assertThat(clips).extracting(LiveClip::name).hasSize(4).doesNotHaveDuplicates();
    for (LiveClip clip : clips) {
      assertThat(clip.frames()).hasSize(24);
      assertThat(clip.frames().get(1)).isEqualTo(clip.frames().get(0));
      assertThat(clip.frames().get(9)).isNotEqualTo(clip.frames().get(0));
      Raster frame = Images.read(clip.frames().get(0), ReadOptions.DEFAULT);
      assertThat(frame.width()).isEqualTo(16);
    }
  }

  @Test
  void aFolderIsAStreamAndSoIsAnAnimation() throws IOException {
    Path images = Files.createDirectories(folder.resolve("My Clip"));
    for (int i = 0; i < 3; i++) {
      Files.write(images.resolve(i + ".png"), PngCodec.encode(Raster.filled(3, 8, 8, i / 4f)));
    }
    Path gif = Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/frames/plain.gif");
    List<LiveClip> clips = LiveClip.of(List.of(images, gif), 3);
    assertThat(clips).extracting(LiveClip::name).containsExactly("01-my-clip", "02-plain");
    assertThat(clips.get(0).frames())
        .containsExactly(
            Files.readAllBytes(images.resolve("0.png")),
            Files.readAllBytes(images.resolve("1.png")),
            Files.readAllBytes(images.resolve("2.png")));
    assertThat(clips.get(1).frames()).as("of four").hasSize(3);
  }

  @Test
  void aModelThatReadsAPromptAsksForOne() {
    ModelFolder reads = ModelFolder.open(Path.of("../models/mini-emoji"));
    assertThat(LiveDemo.hintAtPrompt("", reads))
        .get()
        .asString()
        .contains("mini-emoji", "--prompt");
    assertThat(LiveDemo.hintAtPrompt("a heart", reads)).isEmpty();
    ModelFolder enlarges = ModelFolder.open(Path.of("../models/mini-satellite-x4"));
    assertThat(LiveDemo.hintAtPrompt("", enlarges)).isEmpty();
  }

  @Test
  void whatIsNoStreamIsRefusedByName() throws IOException {
    Path empty = Files.createDirectories(folder.resolve("empty"));
    assertThatThrownBy(() -> LiveClip.of(List.of(empty), 3))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining(empty.toString());
    assertThatThrownBy(() -> LiveClip.of(List.of(folder.resolve("none.gif")), 3))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining("none.gif");
  }

  @Test
  @Tag("nightly")
  void streamsComeBackInOrderWithATableOfWhatWasDone() throws IOException {
    Path out = folder.resolve("out");
    System.setProperty("flinkdiffusion.home", "../..");
    try {
      assertThat(LiveDemo.run("--frames", "8", "--out", out.toString())).isZero();
    } finally {
      System.clearProperty("flinkdiffusion.home");
    }
    for (int camera = 1; camera <= 4; camera++) {
      try (Stream<Path> files = Files.list(out.resolve("pictures/camera-" + camera))) {
        assertThat(files).hasSize(8);
      }
    }
    assertThat(out.resolve("summary.txt")).content().contains("camera-1").contains("32 frames in");
  }
}
