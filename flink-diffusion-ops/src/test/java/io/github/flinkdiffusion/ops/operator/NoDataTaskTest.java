/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.Region;
import io.github.flinkdiffusion.ops.fakes.FakeUpscaler;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

/** Images that hold no data in places, through the operator, which doubles their sides. */
class NoDataTaskTest {
  private final ManualDevices devices = new ManualDevices();
  private final FakeUpscalers upscalers = new FakeUpscalers(1, "d");

  /** Values from 1000 up; without data where x and y are both below a number. */
  private static Raster scene(int side, int without, SampleType type, double noData) {
    float[] values = new float[side * side];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) ((1000 + i * 7919L % 50_000) / 65_535.0);
    }
    PixelFormat format = PixelFormat.of(Bands.GRAY, type).withNoData(noData);
    return new Raster(1, side, side, values, format, ImageMetadata.NONE)
        .withNoData(corner(side, without));
  }

  private static BitSet corner(int side, int without) {
    BitSet missing = new BitSet();
    for (int y = 0; y < without; y++) {
      missing.set(y * side, y * side + without);
    }
    return missing;
  }

  private static Raster read(Payload payload) {
    return Images.read(Payloads.inlineBytes(payload).orElseThrow(), ReadOptions.DEFAULT);
  }

  private static void assertMissing(Raster raster, int without) {
    assertThat(raster.noData().orElseThrow().pixels()).isEqualTo(corner(raster.width(), without));
  }

  private ImageEvent result(FakeUpscalers model, Raster image, int samples) throws Exception {
    try (ImageSubtask subtask = new ImageSubtask(model, settings(), devices).open()) {
      subtask.task(ImageTaskCase.task("a", image, "image/tiff").setEnsembleSize(samples).build());
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      calls = subtask.meters().steps.getCount();
      tiles = subtask.meters().tiles.getCount();
      return subtask.images().get(0);
    }
  }

  private long calls;
  private long tiles;

  @Test
  void aResultLacksDataAtTheSamePlacesWhateverTheNumberForIt() throws Exception {
    Raster image = scene(40, 21, SampleType.UINT16, 0);
    Raster result = read(Payloads.image(result(upscalers, image, 1)));
    assertMissing(result, 42);
    assertThat(result.format().noData()).hasValue(0);

    Raster whole = upscalers.pipeline().expected(image, 2, 3);
    Raster other =
        read(Payloads.image(result(upscalers, scene(40, 21, SampleType.UINT16, 65_535), 1)));
    assertMissing(other, 42);
    for (int i = 0; i < result.data().length; i++) {
      if (!result.noData().get().isMissing(i)) {
        assertThat(result.data()[i]).isCloseTo(whole.data()[i], within(1 / 65_000f));
        assertThat(result.data()[i]).isEqualTo(other.data()[i]);
      }
    }
  }

  @Test
  void aTileWithoutAnyDataCostsNoCall() throws Exception {
    // 3 x 3 tiles of 16 pixels that begin at 0, 12 and 24, in two steps each.
    Raster result = read(Payloads.image(result(upscalers, scene(40, 30, SampleType.UINT16, 0), 1)));
    assertMissing(result, 60);
    assertThat(tiles).isEqualTo(9);
    assertThat(calls).isEqualTo(2 * (9 - 4));
  }

  @Test
  void anImageWithoutAnyDataCostsNoCallAtAll() throws Exception {
    for (int samples = 1; samples <= 2; samples++) {
      ImageEvent event = result(upscalers, scene(40, 40, SampleType.FLOAT32, -9999), samples);
      assertMissing(read(Payloads.image(event)), 80);
      assertThat(calls).isZero();
    }
  }

  @Test
  void anEnsemblesUncertaintyLacksItToo() throws Exception {
    ImageEvent event = result(upscalers, scene(40, 30, SampleType.UINT16, 0), 2);
    assertMissing(read(Payloads.image(event)), 60);
    Raster spread = read(event.getUncertainty());
    assertMissing(spread, 60);
    assertThat(spread.format().noData()).hasValue(Double.NaN);
    assertThat(spread.at(0, 70, 70)).isCloseTo(FakeUpscaler.SEED / 2, within(1e-5f));
  }

  /** Red, green and blue; clear where x and y are both below a number, else half so or not. */
  private static Raster opaque(int side, int without) {
    int plane = side * side;
    float[] values = new float[4 * plane];
    for (int i = 0; i < 3 * plane; i++) {
      values[i] = (1 + i * 31 % 250) / 255f;
    }
    for (int i = 0; i < plane; i++) {
      boolean clear = i / side < without && i % side < without;
      values[3 * plane + i] = clear ? 0 : i % side < side / 2 ? 1 : 100 / 255f;
    }
    PixelFormat format = PixelFormat.of(Bands.RGB_ALPHA, SampleType.UINT8);
    return new Raster(4, side, side, values, format, ImageMetadata.NONE);
  }

  @Test
  void anAlphaBandOfATiffFileIsAMaskAndIsKept() throws Exception {
    FakeUpscalers colors = new FakeUpscalers(3, "d");
    Raster image = opaque(40, 30);
    Raster result = read(Payloads.image(result(colors, image, 1)));
    assertThat(calls).as("tiles that are clear cost none").isEqualTo(2 * (9 - 4));
    assertMissing(result, 60);
    assertThat(result.format().bands()).isEqualTo(Bands.RGB_ALPHA);
    for (int y = 0; y < 80; y++) {
      for (int x = 0; x < 80; x++) {
        assertThat(result.at(3, y, x)).isEqualTo(image.at(3, y / 2, x / 2));
      }
    }
    // What the colors below no opacity are makes no difference.
    float[] other = image.data().clone();
    for (int i = 0; i < other.length - 1600; i++) {
      other[i] = image.data()[4800 + i % 1600] == 0 ? 1 : other[i];
    }
    Raster same = new Raster(4, 40, 40, other, image.format(), ImageMetadata.NONE);
    assertThat(read(Payloads.image(result(colors, same, 1))).data()).isEqualTo(result.data());
  }

  @Test
  void anAlphaBandWithoutClearPixelsIsKeptToo() throws Exception {
    Raster result = read(Payloads.image(result(new FakeUpscalers(3, "d"), opaque(40, 0), 1)));
    assertThat(result.format().bands()).isEqualTo(Bands.RGB_ALPHA);
    assertThat(result.noData()).isEmpty();
  }

  @Test
  void aSegmentationFindsNothingWhereAlphaIsZero() throws Exception {
    float[] values = new float[2 * 64];
    Arrays.fill(values, 0, 32, 1);
    Arrays.fill(values, 64 + 8, 128, 1);
    PixelFormat format = PixelFormat.of(Bands.GRAY_ALPHA, SampleType.UINT8);
    Raster image = new Raster(2, 8, 8, values, format, ImageMetadata.NONE);
    ImageEvent event =
        result(new FakeUpscalers(1, "d", false, ClassMap.binary("around", "organ")), image, 1);
    Region region = event.getRegions().getItems().get(0);
    assertThat(region.getAreaPixels()).isEqualTo(4 * (32 - 8));
    assertThat(read(event.getMask()).noData().orElseThrow().pixels().cardinality())
        .isEqualTo(4 * 8);
  }

  @Test
  void noRegionHasPixelsWithoutData() throws Exception {
    float[] values = new float[8 * 8];
    for (int i = 0; i < 32; i++) {
      values[i] = 1;
    }
    PixelFormat format = PixelFormat.of(Bands.GRAY, SampleType.UINT8).withNoData(7);
    Raster image = new Raster(1, 8, 8, values, format, ImageMetadata.NONE).withNoData(corner(8, 3));
    ImageEvent event =
        result(new FakeUpscalers(1, "d", false, ClassMap.binary("around", "organ")), image, 1);
    Region region = event.getRegions().getItems().get(0);
    assertThat(region.getAreaPixels()).isEqualTo(4 * (32 - 9));
    assertMissing(read(event.getMask()), 6);
    assertMissing(read(Payloads.image(event)), 6);
  }

  @Test
  void aMaskOfManyClassesHasANumberOfItsOwnForIt() throws Exception {
    float[] shares = new float[3 * 64];
    Arrays.fill(shares, 0, 64, 1);
    BitSet missing = new BitSet();
    for (int c = 0; c < 3; c++) {
      missing.set(c * 64, c * 64 + 3);
    }
    PixelFormat format = PixelFormat.of(Bands.RGB, SampleType.UINT8).withNoData(0);
    Raster image = new Raster(3, 8, 8, shares, format, ImageMetadata.NONE).withNoData(missing);
    ClassMap classes =
        new ClassMap(
            ClassMap.Encoding.ONE_HOT,
            List.of("sea", "sand", "wood"),
            ClassMap.colors(3),
            OptionalInt.empty());
    ImageEvent event = result(new FakeUpscalers(3, "d", false, classes), image, 1);
    Raster mask = read(event.getMask());
    assertThat(mask.format().noData()).hasValue(255);
    assertThat(mask.noData().orElseThrow().pixels().cardinality()).isEqualTo(12);
    assertThat(mask.channels()).as("numbers, in whatever colors they are shown").isEqualTo(1);
    assertThat(event.getRegions().getItems().get(0).getAreaPixels()).isEqualTo(256 - 12);
  }
}
