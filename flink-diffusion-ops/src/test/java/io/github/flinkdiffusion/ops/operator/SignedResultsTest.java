/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.ops.credentials.CredentialsVerifier;
import io.github.flinkdiffusion.ops.credentials.TestCertificates;
import io.github.flinkdiffusion.ops.credentials.Verdict;
import io.github.flinkdiffusion.ops.credentials.Verdict.State;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SpreadWatermark;
import io.github.flinkdiffusion.ops.image.WatermarkKey;
import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Results of an operator that has a key. */
class SignedResultsTest {
  @TempDir private Path folder;
  private TestCertificates certificates;
  private Configuration config;

  @BeforeEach
  void makeKey() throws Exception {
    certificates = TestCertificates.ed25519();
    certificates.write(folder.resolve("key.p12"), "secret".toCharArray());
    Files.writeString(folder.resolve("password"), "secret\n");
    config =
        new Configuration()
            .set(DiffusionOptions.CREDENTIALS_KEY_FILE, folder.resolve("key.p12").toString())
            .set(DiffusionOptions.CREDENTIALS_PASSWORD_FILE, folder.resolve("password").toString());
  }

  private ImageEvent generated() throws Exception {
    ManualDevices devices = new ManualDevices();
    try (Subtask subtask =
        new Subtask(new FakePipelines(), DiffusionSettings.of(config), devices.services).open()) {
      subtask.harness.processElement(Subtask.prompt("a", 1), 0);
      subtask.settle(devices);
      assertThat(subtask.failures()).isEmpty();
      return subtask.images().get(0);
    }
  }

  private ImageEvent changed(ImageTaskEvent task) throws Exception {
    return changed(task, new FakeUpscalers(1, "d1"));
  }

  private ImageEvent changed(ImageTaskEvent task, FakeUpscalers model) throws Exception {
    ManualDevices devices = new ManualDevices();
    try (ImageSubtask subtask =
        new ImageSubtask(model, DiffusionSettings.of(config), devices).open()) {
      subtask.task(task);
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      return subtask.images().get(0);
    }
  }

  private Verdict verdict(Payload image) {
    byte[] file = Payloads.inlineBytes(image).orElseThrow();
    return new CredentialsVerifier(List.of(certificates.root())).verify(file);
  }

  @Test
  void aGeneratedImageIsSignedWithItsAuditRecord() throws Exception {
    ImageEvent result = generated();

    Verdict verdict = verdict(Payloads.picture(result));
    assertThat(verdict.state()).as("%s", verdict).isEqualTo(State.TRUSTED);
    assertThat(verdict.sourceTypes()).containsExactly("trainedAlgorithmicMedia");
    assertThat(verdict.audit()).contains(AuditRecords.audit(result.getAudit()).toJson());
    assertThat(result.getAudit().getParameters()).containsKey("credentials.certificate");
    assertThat(generated().getImage()).isEqualTo(result.getImage());
  }

  @ParameterizedTest
  @EnumSource(names = {"PNG", "TIFF", "JPEG"})
  void aChangedImageKeepsTheCredentialsOfItsInput(ResultFormat format) throws Exception {
    config.set(ImageTaskOptions.FORMAT, format);
    ImageEvent input = generated();
    ImageTaskEvent task =
        ImageTaskCase.task("b", ImageTaskCase.image(4, 4), "image/png")
            .setImage(Payloads.picture(input))
            .setEnsembleSize(2)
            .build();

    ImageEvent result = changed(task);

    Verdict verdict = verdict(Payloads.picture(result));
    assertThat(verdict.state()).as("%s", verdict).isEqualTo(State.TRUSTED);
    assertThat(verdict.sourceTypes()).containsExactly("compositeWithTrainedAlgorithmicMedia");
    assertThat(verdict.ingredients())
        .containsExactly(
            new Verdict.Ingredient(
                "image", "parentOf", verdict(Payloads.picture(input)).manifest()));
    assertThat(verdict(result.getUncertainty()).state()).isEqualTo(State.TRUSTED);
  }

  @Test
  void aFileThatHoldsNoCredentialsIsAResultAllTheSame() throws Exception {
    config.set(ImageTaskOptions.FORMAT, ResultFormat.NIFTI);
    byte[] nifti = Images.write(ImageTaskCase.image(4, 4), "application/x-nifti");
    ImageTaskEvent task =
        ImageTaskCase.task("b", ImageTaskCase.image(4, 4), "image/png")
            .setImage(Payloads.inline(nifti, ""))
            .build();

    assertThat(Payloads.picture(changed(task)).getMediaType()).isEqualTo("application/x-nifti");
  }

  @Test
  void aKeyThatCannotBeReadStopsTheJobWhenItStarts() throws Exception {
    Files.writeString(folder.resolve("password"), "wrong");
    assertThatThrownBy(this::generated)
        .hasStackTraceContaining("Cannot read the signing key of " + folder.resolve("key.p12"));

    config.removeConfig(DiffusionOptions.CREDENTIALS_KEY_FILE);
    assertThatThrownBy(() -> DiffusionSettings.of(config))
        .hasMessageContaining(
            "diffusion.credentials.password-file is set without diffusion.credentials.key-file");
  }

  @Test
  void aResultOfAnImageIsLabelledAndMarkedAndNamesTheConsent() throws Exception {
    Path key = Files.writeString(folder.resolve("mark"), "a secret of 16 bytes or more");
    config
        .set(DiffusionOptions.WATERMARK_KEY_FILE, key.toString())
        .set(DiffusionOptions.LABEL_TEXT, "AI generated")
        .set(DiffusionOptions.AUDIT_ATTRIBUTES, List.of("consent", "absent"));
    float[] data = new float[3 * 160 * 160];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) (0.5 + 0.3 * Math.sin(i % 160 / 9.0) * Math.cos(i / 160 % 160 / 13.0));
    }
    ImageTaskEvent task =
        ImageTaskCase.task("b", ImageTaskCase.image(4, 4), "image/png")
            .setImage(Payloads.inline(PngCodec.encode(new Raster(3, 160, 160, data)), "image/png"))
            .setAttributes(Map.of("consent", "form 17", "other", "x"))
            .build();

    ImageEvent result = changed(task, new FakeUpscalers(3, "d1", false, null));

    Map<String, String> record = result.getAudit().getParameters();
    assertThat(record)
        .containsEntry("attribute.consent", "form 17")
        .containsEntry("diffusion.label.text", "AI generated")
        .containsKey("watermark.payload")
        .doesNotContainKeys("attribute.absent", "attribute.other");
    Raster image =
        Images.read(
            Payloads.inlineBytes(Payloads.image(result)).orElseThrow(), ReadOptions.DEFAULT);
    assertThat(
            new SpreadWatermark(WatermarkKey.read(key))
                .read(image, SpreadWatermark.Search.COMMON)
                .map(found -> String.format("%012x", found.payload())))
        .contains(record.get("watermark.payload"));
    // The corner has dark ground and bright letters, which the image has not.
    float darkest = 1;
    float brightest = 0;
    for (int y = image.height() - 15; y < image.height() - 3; y++) {
      for (int x = 4; x < 100; x++) {
        darkest = Math.min(darkest, image.at(1, y, x));
        brightest = Math.max(brightest, image.at(1, y, x));
      }
    }
    assertThat(darkest).isLessThan(0.18f);
    assertThat(brightest).isGreaterThan(0.85f);
    Verdict verdict = verdict(Payloads.image(result));
    assertThat(verdict.state()).as("%s", verdict).isEqualTo(State.TRUSTED);
    assertThat(verdict.audit()).get().asString().contains("\"attribute.consent\":\"form 17\"");
  }

  @Test
  void aMeasurementIsNeitherLabelledNorMarked() throws Exception {
    Path key = Files.writeString(folder.resolve("mark"), "a secret of 16 bytes or more");
    config
        .set(DiffusionOptions.WATERMARK_KEY_FILE, key.toString())
        .set(DiffusionOptions.LABEL_TEXT, "AI");
    ImageEvent result =
        changed(ImageTaskCase.task("b", ImageTaskCase.image(40, 40), "image/png").build());

    assertThat(result.getAudit().getParameters())
        .doesNotContainKeys("watermark.payload", "diffusion.label.text");
  }
}
