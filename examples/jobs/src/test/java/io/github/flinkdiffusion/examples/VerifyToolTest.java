/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.image.SpreadWatermark;
import io.github.flinkdiffusion.ops.image.WatermarkKey;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VerifyToolTest {
  @Test
  void aFileWithoutCredentialsHasAnExitCodeOfItsOwn(@TempDir Path folder) throws Exception {
    Raster image =
        Raster.filled(3, 4, 4, 0.5f).withFormat(PixelFormat.of(Bands.RGB, SampleType.UINT8));
    Path file = folder.resolve("plain.png");
    Files.write(file, PngCodec.encode(image));
    Path text = folder.resolve("text.txt");
    Files.writeString(text, "no image at all");

    assertThat(VerifyTool.run(file.toString())).isEqualTo(4);
    assertThat(VerifyTool.run(text.toString())).isEqualTo(1);
    assertThat(VerifyTool.run()).isEqualTo(2);
  }

  @Test
  void aWatermarkCountsAsProof(@TempDir Path folder) throws Exception {
    Path secret = Files.writeString(folder.resolve("key"), "a secret of 16 bytes or more");
    Raster plain = Raster.filled(3, 256, 256, 0.4f);
    Raster marked = new SpreadWatermark(WatermarkKey.read(secret)).embed(plain, 42);
    Path file = Files.write(folder.resolve("marked.png"), PngCodec.encode(marked));
    Path other = Files.write(folder.resolve("plain.png"), PngCodec.encode(plain));

    String option = "--watermark-key=" + secret;
    assertThat(VerifyTool.run(option, file.toString())).isZero();
    assertThat(VerifyTool.run(option, other.toString())).isEqualTo(4);
    assertThat(VerifyTool.run("--watermark-key=" + folder.resolve("none"), file.toString()))
        .isEqualTo(1);
  }
}
