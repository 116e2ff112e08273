/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelSpacing;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** A CT slice through the operator, whose results are medical files. */
class MedicalResultTest {
  private final ManualDevices devices = new ManualDevices();

  private static ImageTaskEvent task() {
    try (InputStream in =
        MedicalResultTest.class.getResourceAsStream("/fixtures/dicom/placed.dcm")) {
      return ImageTaskCase.task("a", ImageTaskCase.image(8, 8), "image/png")
          .setImage(Payloads.inline(in.readAllBytes(), ""))
          .setSeed(1L)
          .build();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private ImageEvent result(FakeUpscalers model, ResultFormat format) throws Exception {
    try (ImageSubtask subtask =
        new ImageSubtask(model, settings(ImageTaskOptions.FORMAT, format), devices).open()) {
      subtask.task(task());
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      return subtask.images().get(0);
    }
  }

  private static byte[] bytes(Payload payload) {
    return Payloads.inlineBytes(payload).orElseThrow();
  }

  @Test
  void anEnhancedSliceIsADicomImageOfItsModality() throws Exception {
    byte[] file = bytes(Payloads.image(result(new FakeUpscalers(1, "d"), ResultFormat.DICOM)));
    assertThat(Images.mediaType(file)).contains("application/dicom");
    Raster image = Images.read(file, ReadOptions.DEFAULT);
    assertThat(image.width()).isEqualTo(2 * 37);
    assertThat(image.format().type()).isEqualTo(SampleType.INT16);
    assertThat(image.metadata().spacing()).contains(new PixelSpacing(0.25, 0.375));
    assertThat(image.metadata().texts()).containsEntry("Modality", "CT");
    assertThat(Audit.of(image.metadata()).orElseThrow().model()).isEqualTo("fake-upscaler");
    assertThat(new String(file, StandardCharsets.ISO_8859_1)).doesNotContain("Doe", "4711");
    assertThat(bytes(Payloads.image(result(new FakeUpscalers(1, "d"), ResultFormat.DICOM))))
        .isEqualTo(file);
  }

  @Test
  void aSegmentedSliceIsADicomSegmentationOfSharesAndOneOfBits() throws Exception {
    FakeUpscalers model =
        new FakeUpscalers(1, "d", false, ClassMap.binary("around", "Liver (10200004, SCT)"));
    ImageEvent event = result(model, ResultFormat.DICOM);
    byte[] shares = bytes(Payloads.image(event));
    byte[] bits = bytes(event.getMask());
    for (byte[] file : new byte[][] {shares, bits}) {
      assertThat(new String(file, StandardCharsets.ISO_8859_1)).contains("SEG", "10200004");
    }
    float[] mask = Images.read(bits, ReadOptions.DEFAULT).data();
    float[] likely = Images.read(shares, ReadOptions.DEFAULT).data();
    assertThat(mask).contains(0f, 1f);
    for (int i = 0; i < mask.length; i++) {
      assertThat(mask[i]).isEqualTo(likely[i] > 0.5f ? 1 : 0);
    }
  }

  @Test
  void aResultIsANiftiVolume() throws Exception {
    byte[] file = bytes(Payloads.image(result(new FakeUpscalers(1, "d"), ResultFormat.NIFTI)));
    assertThat(Images.mediaType(file)).contains("application/x-nifti");
    assertThat(Images.read(file, ReadOptions.DEFAULT).metadata().spacing())
        .contains(new PixelSpacing(0.25, 0.375));
  }

  @Test
  void aMaskIsANiftiVolumeOfClassNumbers() throws Exception {
    FakeUpscalers model = new FakeUpscalers(1, "d", false, ClassMap.binary("around", "organ"));
    Raster mask =
        Images.read(bytes(result(model, ResultFormat.NIFTI).getMask()), ReadOptions.DEFAULT);
    for (float value : mask.data()) {
      assertThat(255 * value).isBetween(0f, 1f);
    }
  }

  @Test
  void whatIsNoMedicalImageCannotBecomeOne() throws Exception {
    try (ImageSubtask subtask =
        new ImageSubtask(
                new FakeUpscalers(1, "d"),
                settings(ImageTaskOptions.FORMAT, ResultFormat.DICOM),
                devices)
            .open()) {
      subtask.task(ImageTaskCase.task("a", ImageTaskCase.image(8, 8), "image/png").build());
      subtask.settle();
      assertThat(subtask.failures().get(0).getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
      assertThat(subtask.failures().get(0).getMessage()).contains("made of a DICOM or NIfTI image");
    }
  }
}
