/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SpreadWatermark;
import io.github.flinkdiffusion.ops.image.WatermarkKey;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.operators.StreamFlatMap;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WatermarkDetectionTest {
  @Test
  void marksAreReadAndImagesWithoutOneAreToldApart(@TempDir Path folder) throws Exception {
    Path key = Files.writeString(folder.resolve("key"), "a secret of 16 bytes or more");
    Raster plain = Raster.filled(3, 256, 256, 0.4f);
    Raster marked = new SpreadWatermark(WatermarkKey.read(key)).embed(plain, 0xabc);
    try (var harness =
        new OneInputStreamOperatorTestHarness<>(
            new StreamFlatMap<>(
                new WatermarkDetector(
                    key.toString(), false, PayloadSettings.of(new Configuration()))))) {
      harness.open();
      harness.processElement(image("ours", PngCodec.encode(marked)), 0);
      harness.processElement(image("other", PngCodec.encode(plain)), 0);
      harness.processElement(image("broken", "no image".getBytes()), 0);

      assertThat(harness.extractOutputValues())
          .hasSize(2)
          .satisfiesExactly(
              reading -> {
                assertThat(reading.id()).isEqualTo("ours");
                assertThat(reading.payload()).isEqualTo("000000000abc");
                assertThat(reading.scale()).isEqualTo(1);
                assertThat(reading.score()).isPositive();
              },
              reading -> assertThat(reading.found()).isFalse());
    }
  }

  private static ImageEvent image(String id, byte[] content) {
    return ImageEvent.newBuilder()
        .setId(id)
        .setImage(ByteBuffer.wrap(content))
        .setWidth(256)
        .setHeight(256)
        .build();
  }
}
