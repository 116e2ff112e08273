/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.fakes.FakeUpscaler;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.apache.flink.configuration.MemorySize;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Image tasks of several parts: tiles and samples, which share network calls and are put together.
 */
class ImageTaskPartsTest extends ImageTaskCase {
  @Test
  void aLargeImageIsCutIntoTilesThatShareCallsWithAnotherImagesTiles() throws Exception {
    Raster large = image(40, 37);
    Raster other = image(33, 50);
    try (ImageSubtask subtask = open()) {
      subtask.task(task("a", large, "image/tiff").build());
      subtask.task(task("b", other, "image/tiff").build());
      subtask.settle();

      assertThat(subtask.images())
          .extracting(ImageEvent::getId)
          .containsExactlyInAnyOrder("a", "b");
      for (ImageEvent event : subtask.images()) {
        assertThat(event.getMediaType()).isEqualTo("image/tiff");
        assertClose(picture(event), expected(event.getId().equals("a") ? large : other, 2, 3));
      }
      assertThat(subtask.meters().tiles.getCount()).isEqualTo(9 + 12);
      // 21 tiles of two steps each, in calls of 16 rows.
      assertThat(subtask.meters().steps.getCount()).isEqualTo(42);
    }
  }

  @Test
  void anEnsembleHasAMeanAndAnUncertainty() throws Exception {
    Raster image = image(20, 40);
    try (ImageSubtask subtask = open()) {
      subtask.task(task("a", image, "image/tiff").setEnsembleSize(3).build());
      subtask.settle();

      ImageEvent event = subtask.images().get(0);
      // Seeds 3, 4 and 5: their mean is seed 4's, their spread the root of 2/3 of a seed squared.
      assertClose(picture(event), expected(image, 2, 4));
      Raster spread = read(event.getUncertainty());
      assertThat(spread.width()).isEqualTo(40);
      assertThat(spread.format().type()).isEqualTo(SampleType.FLOAT32);
      for (float value : spread.data()) {
        assertThat(value)
            .isCloseTo(
                (float) Math.sqrt(2 / 3.0) * FakeUpscaler.SEED,
                org.assertj.core.data.Offset.offset(1e-5f));
      }
    }
  }

  @Test
  void tilesOfALargeResultWaitInTheStoreAndTheResultIsAReference(@TempDir Path folder)
      throws Exception {
    Raster image = image(900, 700);
    try (ImageSubtask subtask =
        open(
            PayloadOptions.STORE,
            folder.toUri().toString(),
            PayloadOptions.INLINE_LIMIT,
            MemorySize.parse("100 kb"),
            ImageTaskOptions.TILE_SIZE,
            128)) {
      subtask.task(task("a", image, "image/tiff").build());
      subtask.settle();

      assertThat(subtask.failures()).isEmpty();
      PayloadReference reference = subtask.images().get(0).getImageReference();
      Raster result =
          Images.read(
              Files.readAllBytes(Path.of(URI.create(reference.getUri()))), ReadOptions.DEFAULT);
      assertClose(result, expected(image, 2, 3));
      try (Stream<Path> files = Files.walk(folder)) {
        assertThat(files.filter(Files::isRegularFile).count())
            .isEqualTo(1 + subtask.meters().tiles.getCount());
      }
    }
  }

  @Test
  void moreThanMemoryHoldsNeedsAStore() throws Exception {
    try (ImageSubtask subtask =
        open(ImageTaskOptions.MEMORY, MemorySize.parse("10 kb"), ImageTaskOptions.TILE_SIZE, 16)) {
      subtask.task(task("a", image(64, 64), "image/tiff").build());
      subtask.settle();

      FailureEvent failure = subtask.failures().get(0);
      assertThat(failure.getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
      assertThat(failure.getMessage())
          .contains("diffusion.payload.store", "diffusion.image.memory", "10240");
    }
  }

  @Test
  void aSmallImageDoesNotWaitForAllTilesOfALargeOne() throws Exception {
    try (ImageSubtask subtask = open(ImageTaskOptions.PARTS_IN_FLIGHT, 4)) {
      subtask.task(task("large", image(160, 160), "image/tiff").build());
      subtask.task(task("small", image(8, 8), "image/tiff").build());
      while (subtask.images().isEmpty()) {
        assertThat(subtask.progress()).isTrue();
      }

      assertThat(subtask.images()).extracting(ImageEvent::getId).containsExactly("small");
      subtask.settle();
      assertThat(subtask.images()).hasSize(2);
    }
  }

  /** The first call asks what heap the model needs, the second is the task's own. */
  @Test
  void aPartThatIsReadAgainAfterAnErrorTakesNoSecondPlace() throws Exception {
    AtomicInteger calls = new AtomicInteger();
    FakeUpscaler pipeline = upscalers.pipeline();
    PipelineFactory pipelines = new OpenedBy(upscalers.model(), () -> pipeline);
    try (ImageSubtask subtask =
        new ImageSubtask(pipelines, settings(ImageTaskOptions.PARTS_IN_FLIGHT, 2), devices)
            .open()) {
      pipeline.beforePrepare =
          () -> {
            int call = calls.incrementAndGet();
            if (call == 3 || call == 4) {
              throw new OutOfMemoryError("Java heap space");
            }
          };
      Raster image = image(40, 8);
      subtask.task(task("a", image, "image/tiff").setSteps(2).build());
      subtask.settle();
      subtask.harness.setProcessingTime(60_000);
      subtask.settle();

      assertThat(calls).as("the model, the task, three parts, two of them again").hasValue(7);
      assertThat(subtask.failures()).isEmpty();
      assertThat(subtask.images()).hasSize(1);
      assertClose(picture(subtask.images().get(0)), expected(image, 2, 3));
    }
  }

  @Test
  void withoutTilesAResultIsAsLargeAsTheModelMakesIt() throws Exception {
    Raster image = image(40, 30);
    FakeUpscalers whole = new FakeUpscalers(1, DIGEST, false, null);
    try (ImageSubtask subtask = new ImageSubtask(whole, settings(), devices).open()) {
      subtask.task(task("a", image, "image/png").build());
      subtask.settle();

      assertThat(subtask.images().get(0).getWidth()).isEqualTo(80);
      assertClose(picture(subtask.images().get(0)), expected(image, 2, 3));
    }
  }
}
