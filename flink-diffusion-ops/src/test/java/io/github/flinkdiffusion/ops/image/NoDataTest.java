/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.util.BitSet;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files that say where they hold no data; {@code src/test/python/make_no_data_fixtures.py}. */
class NoDataTest {

  static byte[] file(String path) {
    try (InputStream in = NoDataTest.class.getResourceAsStream("/fixtures/" + path)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static Raster read(String path) {
    return Images.read(file(path), ReadOptions.DEFAULT);
  }

  private static Raster written(Raster raster) {
    return Images.read(Images.write(raster, "image/tiff"), ReadOptions.DEFAULT);
  }

  /** A value in the numbers of its file. */
  private static double number(Raster raster, int channel, int y, int x) {
    return raster.format().withoutNoData().sample(raster.at(channel, y, x));
  }

  private static int missing(Raster raster) {
    int count = 0;
    for (int i = 0; i < raster.data().length; i++) {
      count += raster.noData().isPresent() && raster.noData().get().isMissing(i) ? 1 : 0;
    }
    return count;
  }

  @ParameterizedTest
  @CsvSource({
    "geotiff-nodata-0-u16.tif, 4800, 0",
    "geotiff-nodata-9999-float.tif, 4800, -9999",
    "geotiff-nodata-float-min.tif, 36, -3.4028234663852886e38"
  })
  void samplesOfTheFilesNumberHoldNoData(String file, int count, double number) {
    Raster raster = read("image-cases/" + file);
    assertThat(missing(raster)).isEqualTo(count);
    assertThat(raster.format().noData()).isEqualTo(OptionalDouble.of(number));
    assertThat(written(raster)).isEqualTo(raster);
  }

  @Test
  void theirValuesAreThoseOfTheNearestData() {
    // 40 x 40 of 96 x 96 pixels in the upper left corner have no data.
    Raster raster = read("image-cases/geotiff-nodata-9999-float.tif");
    assertThat(missing(raster)).isEqualTo(3 * 40 * 40);
    assertThat(raster.at(1, 39, 0)).isEqualTo(raster.at(1, 40, 0));
    assertThat(raster.at(1, 0, 39)).isEqualTo(raster.at(1, 0, 40));
    for (float value : raster.data()) {
      assertThat(value).isBetween(0f, 10_000f);
    }
  }

  @Test
  void anotherNumberForNoDataGivesTheSameValues() {
    float[] data = {5, 1, 5, 2, 3, 5};
    BitSet missing = new BitSet();
    missing.set(0);
    missing.set(2);
    missing.set(5);
    Raster filled = new Raster(1, 2, 3, data).withNoData(missing);
    assertThat(filled.data()).containsExactly(1, 1, 1, 2, 3, 3);
    assertThat(data[0]).as("the array that was handed in").isEqualTo(5);
    float[] other = {-9, 1, 77, 2, 3, 0};
    assertThat(new Raster(1, 2, 3, other).withNoData(missing)).isEqualTo(filled);
  }

  @Test
  void aPartKnowsItsOwn() {
    Raster raster = read("image-cases/geotiff-nodata-0-u16.tif");
    assertThat(missing(raster.crop(new Window(38, 39, 10, 10)))).isEqualTo(3 * 2);
    assertThat(raster.crop(new Window(50, 50, 10, 10)).noData()).isEmpty();
    assertThat(raster.crop(new Window(0, 0, 40, 40)).noData().orElseThrow().isWhole()).isTrue();
    try (TiffReader reader =
        TiffReader.open(
            new ByteArrayChannel(file("image-cases/geotiff-nodata-0-u16.tif")),
            ReadOptions.DEFAULT)) {
      Window window = new Window(38, 39, 10, 10);
      assertThat(reader.noData(window)).isEqualTo(reader.read(window).noData()).isPresent();
    }
  }

  @Test
  void noSampleWithDataIsWrittenAsTheNumberForNoData() {
    PixelFormat dark = PixelFormat.of(Bands.GRAY, SampleType.UINT16).withNoData(0);
    assertThat(dark.sample(0)).isEqualTo(1);
    assertThat(dark.sample(-3)).isEqualTo(1);
    PixelFormat bright = PixelFormat.of(Bands.GRAY, SampleType.UINT8).withNoData(255);
    assertThat(bright.sample(2)).isEqualTo(254);
    PixelFormat middle = PixelFormat.of(Bands.GRAY, SampleType.UINT8).withNoData(100);
    assertThat(middle.sample(99.8f / 255)).isEqualTo(99);
    assertThat(middle.sample(100.2f / 255)).isEqualTo(101);
    PixelFormat floats = PixelFormat.of(Bands.GRAY, SampleType.FLOAT32).withNoData(-9999);
    assertThat(floats.sample(-9999)).isEqualTo(Math.nextUp(-9999f));
    PixelFormat least = floats.withNoData(-Float.MAX_VALUE);
    assertThat(least.sample(-Float.MAX_VALUE)).isEqualTo(Math.nextUp(-Float.MAX_VALUE));
    assertThatThrownBy(() -> bright.withNoData(-9999)).hasMessageContaining("UINT8");
  }

  @Test
  void aResultHasThemAtTheSamePlaceAndScaled() {
    Raster source = read("image-cases/geotiff-nodata-0-u16.tif");
    Raster result = written(Raster.filled(3, 192, 192, 0).like(source));
    assertThat(missing(result)).isEqualTo(3 * 80 * 80);
    assertThat(number(result, 0, 80, 80)).as("dark, but data").isEqualTo(1);
    assertThat(result.format().noData()).hasValue(0);
  }

  @Test
  void notANumberMayBeTheNumber() {
    Raster raster = read("no-data/nan.tif");
    assertThat(missing(raster)).isEqualTo(2);
    assertThat(raster.noData().get().isMissing(3)).isTrue();
    assertThat(written(raster)).isEqualTo(raster);
  }

  @Test
  void whatNoSampleCanBeSaysNothing() {
    Raster raster = read("no-data/text.tif");
    assertThat(raster.noData()).isEmpty();
    assertThat(raster.format().noData()).isEmpty();
    assertThat(number(raster, 0, 0, 0)).isEqualTo(0);
    assertThat(raster.metadata().tags()).noneMatch(tag -> tag.number() == Tiff.GDAL_NODATA);
  }

  @Test
  void bandsMayDifferAndAPixelLacksDataWhereAllDo() {
    Raster raster = read("no-data/bands.tif");
    assertThat(missing(raster)).isEqualTo(8);
    assertThat(raster.noData().get().pixels().stream()).containsExactly(2, 3);
  }

  @Test
  void aMaskSaysItAndIsWritten() {
    Raster raster = read("no-data/mask.tif");
    assertThat(raster.format().noData()).isEmpty();
    assertThat(missing(raster)).isEqualTo(2 * 32 * 12);
    assertThat(raster.at(0, 5, 31)).isEqualTo(raster.at(0, 5, 19));
    assertThat(written(raster)).isEqualTo(raster);
    Raster sparse = read("no-data/sparse-mask.tif");
    assertThat(missing(sparse)).isEqualTo(2 * 32 * 16);
    assertThat(written(sparse)).isEqualTo(sparse);
  }

  @Test
  void opacitySaysItAsGdalHasIt() {
    Raster raster = read("no-data/alpha.tif");
    assertThat(raster.format().bands()).isEqualTo(Bands.RGB_ALPHA);
    assertThat(missing(raster)).isEqualTo(4 * 32 * 12);
    assertThat(raster.at(1, 5, 31)).as("of the nearest data").isEqualTo(raster.at(1, 5, 19));
    assertThat(number(raster, 3, 5, 31)).isEqualTo(0);
    assertThat(number(raster, 3, 30, 5)).as("data that is half clear").isEqualTo(100);
    assertThat(written(raster)).isEqualTo(raster);
    Raster measured = read("no-data/alpha-measured.tif");
    assertThat(measured.format().bands()).isEqualTo(Bands.MEASUREMENTS_ALPHA);
    assertThat(missing(measured)).isEqualTo(5 * 2 * 8);
    assertThat(written(measured)).isEqualTo(measured);
    try (TiffReader reader =
        TiffReader.open(new ByteArrayChannel(file("no-data/alpha.tif")), ReadOptions.DEFAULT)) {
      Window window = new Window(18, 22, 9, 5);
      assertThat(reader.mayLackData()).isTrue();
      assertThat(reader.noData(window)).isEqualTo(reader.read(window).noData()).isPresent();
    }
  }

  @Test
  void opacityBesideANumberOrOfFloatsSaysNothing() {
    assertThat(missing(read("no-data/alpha-number.tif"))).isEqualTo(8);
    assertThat(missing(read("no-data/alpha-float.tif"))).isZero();
  }

  @Test
  void aMaskOfManyTilesIsWrittenForThoseThatNeedIt() {
    BitSet missing = new BitSet();
    missing.set(300 * 600 + 10, 300 * 600 + 500);
    Raster raster =
        PngCodecTest.noise(1, 600, 600, 3).withNoData(missing).storedAs(SampleType.UINT16);
    assertThat(written(raster)).isEqualTo(raster);
  }

  @Test
  void pngFilesHoldTheNumberOrElseOpacity() {
    Raster numbered = read("image-cases/geotiff-nodata-0-u16.tif");
    Raster png = PngCodec.decode(PngCodec.encode(numbered));
    assertThat(number(png, 0, 0, 0)).isEqualTo(0);
    assertThat(png.channels()).isEqualTo(3);
    BitSet missing = new BitSet();
    missing.set(1);
    Raster masked = new Raster(1, 1, 3, new float[] {0.2f, 0.4f, 1}).withNoData(missing);
    Raster clear = PngCodec.decode(PngCodec.encode(masked));
    assertThat(clear.data()).containsExactly(0.2f, 0, 1, 1, 0, 1);
  }

  // ---------------------------------------------------------------- sparse files, strips, pages

  @Test
  void whatASparseFileLeavesOutHoldsNoData() {
    Raster raster = read("image-cases/tiff-sparse-tile.tif");
    assertThat(missing(raster)).isEqualTo(128 * 128);
    assertThat(raster.noData().get().isMissing(0)).isTrue();
    assertThat(raster.format().noData()).hasValue(0);
  }

  @Test
  void withoutANumberForNoDataItIsZero() {
    byte[] file = file("image-cases/tiff-sparse-tile.tif");
    // The tag's number, 42113 little-endian, becomes one that nobody knows.
    int at = indexOf(file, (byte) 0x81, (byte) 0xA4, (byte) 2, (byte) 0);
    file[at] = (byte) 0x83;
    Raster raster = Images.read(file, ReadOptions.DEFAULT);
    assertThat(raster.noData()).isEmpty();
    assertThat(number(raster, 0, 0, 0)).isEqualTo(0);
    assertThat(number(raster, 0, 255, 255)).isGreaterThan(0);
  }

  private static int indexOf(byte[] file, byte... mark) {
    for (int at = 0; at < file.length - mark.length; at++) {
      int same = 0;
      while (same < mark.length && file[at + same] == mark[same]) {
        same++;
      }
      if (same == mark.length) {
        return at;
      }
    }
    throw new AssertionError("not there");
  }

  @Test
  void aStripMayHaveMoreRowsThanTheImage() {
    Raster raster = read("image-cases/tiff-rowsperstrip-max.tif");
    assertThat(number(raster, 0, 0, 0)).isEqualTo(31);
    assertThat(number(raster, 0, 2, 5)).isEqualTo(137);
  }

  @Test
  void pagesAreCountedWithoutWhatBelongsToThem() {
    byte[] file = file("no-data/multi-page.tif");
    for (int page = 0; page < 3; page++) {
      Raster raster = Images.read(file, ReadOptions.DEFAULT.withPage(page));
      assertThat(raster.width()).isEqualTo(8);
      assertThat(number(raster, 0, 0, 0)).isEqualTo(10 * page);
    }
    assertThatThrownBy(() -> Images.read(file, ReadOptions.DEFAULT.withPage(3)))
        .isInstanceOf(ImageException.class)
        .hasMessage("The TIFF file has no page 3; it has 3, counted from 0");
  }

  @Test
  void aNumberThatIsNotFiniteIsRefusedByTheOptionsName() {
    Raster raster = read("no-data/nan.tif");
    byte[] file = file("no-data/nan.tif");
    int at = indexOf(file, (byte) 'n', (byte) 'a', (byte) 'n');
    file[at] = 'x';
    assertThatThrownBy(() -> Images.read(file, ReadOptions.DEFAULT))
        .hasMessage(
            "The TIFF file holds the value NaN; finite numbers are accepted. Set"
                + " diffusion.image.not-finite-as to the number to take instead");
    Raster replaced = Images.read(file, ReadOptions.DEFAULT.replacingNotFinite(0.5));
    assertThat(replaced.at(0, 0, 3)).isEqualTo(0.5f);
    assertThat(replaced.at(0, 5, 5)).isEqualTo(raster.at(0, 5, 5));
  }
}
