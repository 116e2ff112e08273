/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.imaging.Audit;
import java.io.IOException;
import java.io.InputStream;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which image of a file that has several is worked on: the parameter {@code page}. */
class ImagePageTest {
  private final ManualDevices devices = new ManualDevices();
  private final FakeUpscalers upscalers = new FakeUpscalers(1, "d");

  private static byte[] fixture(String name) {
    try (InputStream in = ImagePageTest.class.getResourceAsStream("/fixtures/" + name)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static ImageTaskEvent task(byte[] file, Map<String, String> parameters) {
    return ImageTaskCase.task("a", ImageTaskCase.image(8, 8), "image/png")
        .setImage(Payloads.inline(file, ""))
        .setSeed(1L)
        .setParameters(parameters)
        .build();
  }

  private ImageEvent result(ImageTaskEvent task) throws Exception {
    try (ImageSubtask subtask = new ImageSubtask(upscalers, settings(), devices).open()) {
      subtask.task(task);
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      return subtask.images().get(0);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"dicom/explicit-frames.dcm", "formats/plain.nii"})
  void eachPageCanBeReached(String name) throws Exception {
    byte[] file = fixture(name);
    for (int page = 0; page < 3; page++) {
      ImageEvent event = result(task(file, Map.of("page", Integer.toString(page))));
      Raster image = Images.read(file, ReadOptions.DEFAULT.withPage(page));
      Raster expected = upscalers.pipeline().expected(image, 2, 1);
      Raster result =
          Images.read(
              Payloads.inlineBytes(Payloads.image(event)).orElseThrow(), ReadOptions.DEFAULT);
      for (int i = 0; i < expected.data().length; i += 97) {
        assertThat(result.format().range().value(result.data()[i]))
            .isCloseTo(image.format().range().value(expected.data()[i]), within(1.0));
      }
    }
  }

  @Test
  void theRecordNamesThePageSoThatTheResultIsMadeAgain() throws Exception {
    ImageTaskEvent task = task(fixture("dicom/explicit-frames.dcm"), Map.of("page", "2"));
    ImageEvent event = result(task);
    Audit audit = AuditRecords.audit(event.getAudit());
    assertThat(audit.parameters()).containsEntry("page", "2");
    ImageEvent again = result(Replay.imageTask(audit, "b", Map.of("image", task.getImage())));
    assertThat(again.getImage()).isEqualTo(event.getImage());
  }

  @Test
  void aVolumeIsCutTheWayThatIsAsked() throws Exception {
    ImageTaskEvent task = task(fixture("nifti/LPS.nii"), Map.of("page", "2", "plane", "sagittal"));
    ImageEvent event = result(task);
    assertThat(event.getWidth()).isEqualTo(2 * 5);
    assertThat(event.getHeight()).isEqualTo(2 * 4);
    Audit audit = AuditRecords.audit(event.getAudit());
    assertThat(audit.parameters()).containsEntry("plane", "sagittal");
    ImageEvent again = result(Replay.imageTask(audit, "b", Map.of("image", task.getImage())));
    assertThat(again.getImage()).isEqualTo(event.getImage());
  }

  @Test
  void aPageThatIsNotThereIsAFailure() throws Exception {
    for (String page : new String[] {"3", "-1", "first"}) {
      try (ImageSubtask subtask = new ImageSubtask(upscalers, settings(), devices).open()) {
        subtask.task(task(fixture("dicom/explicit-frames.dcm"), Map.of("page", page)));
        subtask.settle();
        FailureEvent failure = subtask.failures().get(0);
        assertThat(failure.getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
        assertThat(failure.getMessage())
            .contains(
                page.equals("3")
                    ? "Frame 3 of a DICOM file that has 3, counted from 0"
                    : "page is '" + page + "'; a whole number from 0 is expected");
      }
    }
  }
}
