/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.image.ValueRange;
import io.github.flinkdiffusion.ops.image.Window;
import java.util.BitSet;
import org.junit.jupiter.api.Test;

class UnrangedSceneTest {
  private static final Window ALL = new Window(0, 0, 2, 1);

  private static Raster floats(float... values) {
    return new Raster(1, 1, 2, values).withFormat(PixelFormat.of(Bands.GRAY, SampleType.FLOAT32));
  }

  private static Scene scene(Raster raster) {
    return Scene.of(raster, "image/tiff");
  }

  @Test
  void heightsWithoutARangeAreRefusedAndNamed() {
    Scene heights = scene(floats(0.5f, 147.5f)).asTheFileSays();
    assertThatThrownBy(() -> heights.read(ALL))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("147.5")
        .hasMessageContaining("valueRange")
        .hasMessageContaining("diffusion.image.value-range");
    assertThat(heights.over(new ValueRange(0, 295)).read(ALL).data()[1]).isEqualTo(0.5f);
  }

  @Test
  void sharesAndIndicesAreRead() {
    Raster shares = floats(-0.4f, 1.3f);
    assertThat(scene(shares).asTheFileSays().read(ALL).data()).isEqualTo(shares.data());
  }

  @Test
  void whatStandsWhereThereIsNoDataDoesNotCount() {
    BitSet missing = new BitSet();
    missing.set(0, 2);
    Raster nothing = floats(-9999, -9999).withNoData(missing);
    assertThat(scene(nothing).asTheFileSays().read(ALL).noData()).isPresent();
  }

  @Test
  void wholeNumbersHaveARangeByTheirType() {
    Scene bytes = scene(new Raster(1, 1, 2, new float[] {0, 1}));
    assertThat(bytes.asTheFileSays()).isSameAs(bytes);
  }
}
