/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.connector.event.Box;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.Region;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.pipeline.MinimumCertainty;
import io.github.flinkdiffusion.ops.pipeline.Seeds;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What becomes of an image task: its image, or its failure. The operator in Flink's harness. */
class ImageTaskOperatorTest extends ImageTaskCase {
  @Test
  void aResultIsInTheUnitsOfItsImageAndTellsHowItWasMade() throws Exception {
    Raster image = image(12, 10);
    try (ImageSubtask subtask = open()) {
      RecordContext context =
          new RecordContext(
              ByteBuffer.wrap(new byte[] {1}),
              Map.of("traceparent", ByteBuffer.wrap(new byte[] {2})));
      subtask.task(
          task("a", image, "image/png")
              .setSteps(4)
              .setAttributes(Map.of("k", "v"))
              .setContext(context)
              .build());
      subtask.settle();

      ImageEvent event = subtask.images().get(0);
      assertThat(event.getId()).isEqualTo("a");
      assertThat(event.getMediaType()).isEqualTo("image/png");
      assertThat(event.getWidth()).isEqualTo(24);
      assertThat(event.getHeight()).isEqualTo(20);
      assertThat(event.getSeed()).isEqualTo(3);
      assertThat(event.getSteps()).isEqualTo(4);
      assertThat(event.getScheduler()).isEqualTo("FakeScheduler");
      assertThat(event.getModelDigest()).isEqualTo(DIGEST);
      assertThat(event.getAttributes()).isEqualTo(Map.of("k", "v"));
      assertThat(event.getContext()).isEqualTo(context);
      assertThat(event.getUncertainty()).isNull();
      assertThat(event.getMask()).isNull();
      Raster result = picture(event);
      assertThat(result.format().type()).isEqualTo(SampleType.UINT16);
      assertClose(result, expected(image, 4, 3));
    }
  }

  @Test
  void withoutASeedItComesFromTheId() throws Exception {
    try (ImageSubtask subtask = open()) {
      subtask.task(task("a", image(4, 4), "image/png").setSeed(null).build());
      subtask.settle();

      assertThat(subtask.images().get(0).getSeed()).isEqualTo(Seeds.fromId("a"));
    }
  }

  @Test
  void whatIsWrongWithARequestIsAFailureWithTheRequestInItAndOthersGoOn(@TempDir Path folder)
      throws Exception {
    Raster image = image(8, 8);
    ImageTaskEvent noImage =
        task("noImage", image, "image/png")
            .setImage(Payloads.inline(new byte[] {1, 2, 3}, "image/png"))
            .build();
    ImageTaskEvent climbs =
        task("climbs", image, "image/png")
            .setImage(
                Payloads.stored(
                    new PayloadReference(folder.toUri() + "../x", "0".repeat(64), 5L), ""))
            .build();
    ImageTaskEvent gone =
        task("gone", image, "image/png")
            .setImage(
                Payloads.stored(
                    new PayloadReference(
                        folder.resolve("gone").toUri().toString(), "0".repeat(64), 5L),
                    ""))
            .build();
    ImageTaskEvent prompt = task("prompt", image, "image/png").setPrompt("larger").build();
    ImageTaskEvent bands =
        task(
                "bands",
                new Raster(3, 4, 4, new float[48])
                    .withFormat(PixelFormat.of(Bands.MEASUREMENTS, SampleType.UINT8)),
                "image/tiff")
            .build();
    try (ImageSubtask subtask = open(PayloadOptions.STORE, folder.toUri().toString())) {
      for (ImageTaskEvent event :
          List.of(noImage, climbs, gone, prompt, bands, task("", image, "image/png").build())) {
        subtask.task(event);
      }
      subtask.task(task("good", image, "image/png").build());
      subtask.settle();

      assertThat(subtask.images()).extracting(ImageEvent::getId).containsExactly("good");
      assertThat(subtask.failures())
          .extracting(FailureEvent::getId)
          .containsExactly("noImage", "climbs", "gone", "prompt", "bands", "");
      assertThat(subtask.failures())
          .extracting(FailureEvent::getReason)
          .containsExactly(
              FailureReason.INVALID_REQUEST,
              FailureReason.PAYLOAD,
              FailureReason.PAYLOAD,
              FailureReason.INVALID_REQUEST,
              FailureReason.INVALID_REQUEST,
              FailureReason.INVALID_REQUEST);
      assertThat(subtask.failures().get(0).getMessage()).contains("image", "3 bytes");
      assertThat(subtask.failures().get(3).getMessage()).contains("prompt", "image");
      assertThat(subtask.failures().get(4).getMessage()).contains("3 bands", "sees 1");
      assertThat(subtask.failures().get(0).getOriginal())
          .isEqualTo(java.nio.ByteBuffer.wrap(EventCodec.imageTasks().encode(noImage)));
    }
  }

  @Test
  void anImageIsBroughtToTheSizeThatIsAskedFor() throws Exception {
    try (ImageSubtask subtask = open()) {
      subtask.task(task("a", image(8, 8), "image/png").setWidth(5).setHeight(3).build());
      subtask.settle();

      assertThat(picture(subtask.images().get(0)).width()).isEqualTo(10);
      assertThat(picture(subtask.images().get(0)).height()).isEqualTo(6);
    }
  }

  @Test
  void progressCountsTheStepsOfAllParts() throws Exception {
    try (ImageSubtask subtask = open(DiffusionOptions.PROGRESS_EVERY_STEPS, 1)) {
      subtask.task(task("a", image(40, 8), "image/tiff").setSteps(2).build());
      subtask.settle();

      assertThat(subtask.progressEvents())
          .isNotEmpty()
          .allSatisfy(event -> assertThat(event.getTotalSteps()).isEqualTo(6));
      assertThat(subtask.progressEvents().get(subtask.progressEvents().size() - 1).getStep())
          .isEqualTo(6);
    }
  }

  @Test
  void aSegmentationHasAMaskAndRegions() throws Exception {
    float[] values = new float[8 * 6];
    for (int y = 1; y < 4; y++) {
      values[y * 8 + 2] = 1;
      values[y * 8 + 3] = 1;
    }
    Raster image = new Raster(1, 6, 8, values);
    FakeUpscalers masks = new FakeUpscalers(1, DIGEST, false, ClassMap.binary("around", "organ"));
    try (ImageSubtask subtask = new ImageSubtask(masks, settings(), devices).open()) {
      subtask.task(task("a", image, "image/png").setEnsembleSize(2).build());
      subtask.settle();

      ImageEvent event = subtask.images().get(0);
      Raster mask = read(event.getMask());
      assertThat(mask.format().type()).isEqualTo(SampleType.UINT8);
      for (int y = 0; y < 12; y++) {
        for (int x = 0; x < 16; x++) {
          assertThat(mask.at(0, y, x)).isEqualTo(image.at(0, y / 2, x / 2));
        }
      }
      assertThat(picture(event).format().type()).isEqualTo(SampleType.UINT16);
      assertThat(event.getUncertainty()).isNotNull();
      assertThat(event.getRegions().getCrs()).isNull();
      Region region = event.getRegions().getItems().get(0);
      assertThat(event.getRegions().getItems()).hasSize(1);
      assertThat(region.getLabel()).isEqualTo("organ");
      assertThat(region.getAreaPixels()).isEqualTo(24);
      assertThat(region.getBox()).isEqualTo(new Box(4.0, 2.0, 4.0, 6.0));
      assertThat(region.getScore()).isCloseTo(1, within(1e-6));
      assertThat(region.getGeometry()).contains("Polygon", "[4", "8]");
    }
  }

  @Test
  void ofManyClassesTheMaskHoldsTheirNumbersAndThePictureTheirColors() throws Exception {
    float[] shares = new float[3 * 4 * 4];
    for (int i = 0; i < 16; i++) {
      shares[(i < 4 ? 0 : i < 8 ? 1 : 2) * 16 + i] = 1;
    }
    ClassMap classes =
        new ClassMap(
            ClassMap.Encoding.ONE_HOT,
            List.of("sea", "sand", "wood"),
            ClassMap.colors(3),
            OptionalInt.empty());
    FakeUpscalers masks = new FakeUpscalers(3, DIGEST, false, classes);
    try (ImageSubtask subtask = new ImageSubtask(masks, settings(), devices).open()) {
      subtask.task(task("a", new Raster(3, 4, 4, shares), "image/png").build());
      subtask.settle();

      ImageEvent event = subtask.images().get(0);
      Raster mask = read(event.getMask());
      Raster painted = picture(event);
      for (int y = 0; y < 8; y++) {
        int number = y < 2 ? 0 : y < 4 ? 1 : 2;
        assertThat(Math.round(mask.at(0, y, 5) * 255)).isEqualTo(number);
        for (int c = 0; c < 3; c++) {
          assertThat(painted.at(c, y, 5)).isEqualTo(ClassMap.colors(3).get(number).band(c));
        }
      }
      assertThat(event.getRegions().getItems())
          .extracting(Region::getLabel, Region::getAreaPixels)
          .containsExactly(tuple("wood", 32L), tuple("sea", 16L), tuple("sand", 16L));
    }
  }

  @Test
  void areasBelowTheModelsLeastAreNoRegionsAndStayInTheMask() throws Exception {
    float[] shares = new float[3 * 4 * 4];
    for (int i = 0; i < 16; i++) {
      shares[(i < 4 ? 0 : i < 8 ? 1 : 2) * 16 + i] = 1;
    }
    ClassMap classes =
        new ClassMap(
            ClassMap.Encoding.ONE_HOT,
            List.of("sea", "sand", "wood"),
            ClassMap.colors(3),
            OptionalInt.empty(),
            17,
            MinimumCertainty.NONE);
    FakeUpscalers masks = new FakeUpscalers(3, DIGEST, false, classes);
    try (ImageSubtask subtask = new ImageSubtask(masks, settings(), devices).open()) {
      subtask.task(task("a", new Raster(3, 4, 4, shares), "image/png").build());
      subtask.settle();
      ImageEvent event = subtask.images().get(0);
      assertThat(event.getRegions().getItems())
          .extracting(Region::getLabel)
          .containsExactly("wood");
      assertThat(Math.round(read(event.getMask()).at(0, 3, 5) * 255)).isEqualTo(1);
    }
  }
}
