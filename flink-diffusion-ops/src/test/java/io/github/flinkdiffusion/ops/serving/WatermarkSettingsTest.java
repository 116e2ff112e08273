/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SpreadWatermark;
import io.github.flinkdiffusion.ops.image.WatermarkKey;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WatermarkSettingsTest {
  private static final Raster PICTURE = Raster.filled(3, 256, 320, 0.5f);

  @TempDir private Path folder;
  private Path key;
  private DiffusionSettings settings;

  @BeforeEach
  void makeKey() throws Exception {
    key = Files.writeString(folder.resolve("key"), "a secret of 16 bytes or more");
    settings = of(key);
  }

  private static DiffusionSettings of(Path key) {
    return DiffusionSettings.of(
        new Configuration().set(DiffusionOptions.WATERMARK_KEY_FILE, key.toString()));
  }

  private static Audit audit(Map<String, String> parameters) {
    return new Audit(
        "m", "d", "t", "s", 3, 5, new TreeMap<>(parameters), new TreeMap<>(), "version");
  }

  @Test
  void aMarkLeadsToItsAuditRecord() {
    Audit audit = settings.marked(audit(Map.of("prompt", "a cat")), PICTURE, ResultMeaning.PICTURE);

    Raster marked = settings.mark(PICTURE, audit);

    long payload =
        new SpreadWatermark(WatermarkKey.read(key))
            .read(marked, SpreadWatermark.Search.COMMON)
            .orElseThrow()
            .payload();
    assertThat(audit.parameters())
        .containsEntry("watermark.payload", String.format("%012x", payload))
        .containsEntry("watermark.key", WatermarkKey.read(key).id());
    assertThat(settings.marked(audit(Map.of("prompt", "a dog")), PICTURE, ResultMeaning.PICTURE))
        .isNotEqualTo(audit);
  }

  @Test
  void whoSignsTheFileDoesNotChangeItsPixels() {
    assertThat(
            settings
                .marked(
                    audit(Map.of("credentials.certificate", "a")), PICTURE, ResultMeaning.PICTURE)
                .parameters()
                .get("watermark.payload"))
        .isEqualTo(
            settings
                .marked(audit(Map.of()), PICTURE, ResultMeaning.PICTURE)
                .parameters()
                .get("watermark.payload"));
  }

  @Test
  void whatIsNoColorPictureOrTooSmallIsNotMarked() {
    Audit audit = audit(Map.of());
    for (Raster other :
        new Raster[] {Raster.filled(1, 256, 256, 0), Raster.filled(3, 255, 256, 0)}) {
      assertThat(settings.marked(audit, other, ResultMeaning.PICTURE)).isSameAs(audit);
      assertThat(settings.mark(other, audit)).isSameAs(other);
    }
    assertThat(settings.marked(audit, PICTURE, ResultMeaning.NORMALS)).isSameAs(audit);
    DiffusionSettings off = DiffusionSettings.of(new Configuration());
    off.watermark().requireKey();
    assertThat(off.marked(audit, PICTURE, ResultMeaning.PICTURE)).isSameAs(audit);
  }

  @Test
  void aJobWithoutItsKeyFailsAtOnce() {
    assertThatThrownBy(() -> of(folder.resolve("none")).watermark().requireKey())
        .hasMessageContaining("Cannot read the watermark key file " + folder.resolve("none"));
  }
}
