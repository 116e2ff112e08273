/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class PngRoundTripTest {
  @Property(tries = 200)
  void readsBackWhatItWrote(
      @ForAll @IntRange(min = 1, max = 4) int channels,
      @ForAll @IntRange(min = 1, max = 40) int height,
      @ForAll @IntRange(min = 1, max = 40) int width,
      @ForAll long seed) {
    Raster picture = PngCodecTest.noise(channels, height, width, seed);
    byte[] png = PngCodec.encode(picture);
    assertThat(PngCodec.decode(png)).isEqualTo(picture);
    assertThat(PngCodec.encode(picture)).isEqualTo(png);
  }
}
