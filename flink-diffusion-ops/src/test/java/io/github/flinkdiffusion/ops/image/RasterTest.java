/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Map;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class RasterTest {
  private static final PixelFormat UINT16 = PixelFormat.of(Bands.GRAY, SampleType.UINT16);

  private static Raster counts(PixelFormat format, int... numbers) {
    float[] data = new float[numbers.length];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) format.range().unit(numbers[i]);
    }
    return new Raster(1, 1, data.length, data, format, ImageMetadata.NONE);
  }

  @Property(tries = 500)
  void wholeNumbersOf16BitsSurviveAnyRange(
      @ForAll @IntRange(max = 65535) int number,
      @ForAll @IntRange(max = 65535) int low,
      @ForAll @IntRange(max = 65535) int high) {
    if (low == high) {
      return;
    }
    Raster moved = counts(UINT16, number).over(new ValueRange(low, high));
    Raster back = moved.over(SampleType.UINT16.fullRange());
    assertThat(moved.format().sample(moved.data()[0])).isEqualTo(number);
    assertThat(back.format().sample(back.data()[0])).isEqualTo(number);
  }

  @Example
  void aRangeSaysWhatIsBlackAndWhite() {
    Raster scene = counts(UINT16, 0, 5_000, 10_000, 20_000).over(new ValueRange(0, 10_000));
    assertThat(scene.data()).containsExactly(0, 0.5f, 1, 2);
    Raster view = scene.storedAs(SampleType.UINT8);
    assertThat(PngCodec.decode(PngCodec.encode(view)).data()).containsExactly(0, 128 / 255f, 1, 1);
    assertThat(PngCodec.decode(PngCodec.encode(scene)).over(new ValueRange(0, 10_000)).data())
        .as("the numbers, in 16 bits")
        .containsExactly(0, 0.5f, 1, 2);
  }

  @Example
  void aRangeOfBitsIsThatOfTheirWholeNumbers() {
    assertThat(ValueRange.ofBits(12)).isEqualTo(new ValueRange(0, 4095));
  }

  @Example
  void aResultIsInTheUnitsAndAtThePlaceOfItsSource() {
    ImageMetadata metadata =
        ImageMetadata.NONE
            .withGeoreference(Georeference.northUp(32633, 500_000, 4_000_000, 10))
            .withSpacing(new PixelSpacing(10_000, 10_000))
            .withTexts(Map.of("sensor", "MSI"));
    PixelFormat format = UINT16.withBands(Bands.RGB).withRange(new ValueRange(0, 10_000));
    Raster source = new Raster(3, 2, 2, new float[12], format, metadata);
    Raster result = Raster.filled(3, 8, 8, 0.5f).like(source);
    assertThat(result.format()).isEqualTo(format);
    assertThat(result.metadata().spacing()).contains(new PixelSpacing(2500, 2500));
    assertThat(result.metadata().texts()).containsEntry("sensor", "MSI");
    Georeference where = result.metadata().georeference().orElseThrow();
    assertThat(where.pixelScale()).containsExactly(2.5, 2.5, 0.0);
    assertThat(where.epsg()).hasValue(32633);
    assertThat(where.toModel(8, 8).orElseThrow())
        .containsExactly(
            source.metadata().georeference().orElseThrow().toModel(2, 2).orElseThrow());
    assertThat(Raster.filled(1, 8, 8, 0).like(source).format().bands()).isEqualTo(Bands.GRAY);
  }

  /** Whatever way a file says where it lies, a corner of the picture stays where it was. */
  @Property(tries = 200)
  void placesStayWhenAPictureIsEnlargedOrCut(
      @ForAll boolean point,
      @ForAll boolean matrix,
      @ForAll @IntRange(min = 1, max = 8) int factor,
      @ForAll @IntRange(max = 50) int cutX,
      @ForAll @IntRange(max = 50) int cutY,
      @ForAll @IntRange(max = 99) int x,
      @ForAll @IntRange(max = 99) int y) {
    List<Integer> keys = List.of(1, 1, 0, 1, 1025, 0, 1, point ? 2 : 1);
    Georeference where =
        matrix
            ? new Georeference(
                List.of(),
                List.of(),
                List.of(
                    3.0, 0.5, 0.0, 70.0, 0.25, -2.0, 0.0, 90.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
                    1.0),
                keys,
                List.of(),
                "")
            : new Georeference(
                List.of(3.0, 2.0, 0.0),
                List.of(5.0, 7.0, 0.0, 70.0, 90.0, 0.0),
                List.of(),
                keys,
                List.of(),
                "");
    double[] before = where.toModel(x, y).orElseThrow();
    double[] enlarged = where.scaled(factor, 2).toModel(x * factor, y * 2).orElseThrow();
    double[] cut = where.cropped(cutX, cutY).toModel(x - cutX, y - cutY).orElseThrow();
    assertThat(enlarged).containsExactly(before, within(1e-9));
    assertThat(cut).containsExactly(before, within(1e-9));
  }

  @Example
  void aPartIsWhatItSays() {
    Raster picture = PngCodecTest.noise(2, 5, 6, 1);
    Raster part = picture.crop(new Window(2, 1, 3, 4));
    assertThat(part.height()).isEqualTo(4);
    assertThat(part.width()).isEqualTo(3);
    assertThat(part.at(1, 3, 2)).isEqualTo(picture.at(1, 4, 4));
    assertThatThrownBy(() -> picture.crop(new Window(4, 0, 3, 1)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("reaches out of an image of 6 x 5");
  }

  @Example
  void refusesWhatHasNoMeaning() {
    assertThatThrownBy(() -> new ValueRange(1, 1)).isInstanceOf(ImageException.class);
    assertThatThrownBy(() -> new ValueRange(0, Double.NaN)).isInstanceOf(ImageException.class);
    assertThatThrownBy(() -> new PixelSpacing(0, 1)).isInstanceOf(ImageException.class);
    assertThatThrownBy(() -> new Window(0, 0, 0, 1)).isInstanceOf(ImageException.class);
    assertThatThrownBy(() -> ValueRange.ofBits(0)).isInstanceOf(ImageException.class);
    assertThatThrownBy(
            () -> counts(UINT16, 1).withFormat(PixelFormat.of(Bands.RGB, SampleType.UINT8)))
        .hasMessageContaining("1 channels cannot be RGB");
    assertThatThrownBy(
            () -> new Georeference(List.of(1.0), List.of(), List.of(), List.of(), List.of(), ""))
        .isInstanceOf(ImageException.class);
  }
}
