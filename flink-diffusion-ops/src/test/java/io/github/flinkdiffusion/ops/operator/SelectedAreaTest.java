/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.fakes.CountedFileSystem;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.Georeference;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.image.TiffWriter;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Parts of images: a request names an area, an overview and bands, and nothing else is read. */
class SelectedAreaTest {
  @TempDir Path folder;

  private final ManualDevices devices = new ManualDevices();
  private final FakeUpscalers upscalers = new FakeUpscalers(1, "d");

  /** Of four bands in UTM, 10 m a pixel; a sample's number is 1000 x band + its pixel's. */
  private static Raster scene(int side) {
    float[] data = new float[4 * side * side];
    for (int i = 0; i < data.length; i++) {
      data[i] = (1000 * (1 + i / (side * side)) + i % (side * side) % 997) / 65_535f;
    }
    return new Raster(
        4,
        side,
        side,
        data,
        PixelFormat.of(Bands.MEASUREMENTS, SampleType.UINT16),
        ImageMetadata.NONE.withGeoreference(Georeference.northUp(32633, 500_000, 5_800_000, 10)));
  }

  private ImageTaskEvent task(Raster image, Map<String, String> parameters) {
    return ImageTaskCase.task("a", image, "image/tiff")
        .setSeed(1L)
        .setParameters(parameters)
        .build();
  }

  private ImageEvent result(ImageTaskEvent task, Object... options) throws Exception {
    try (ImageSubtask subtask = new ImageSubtask(upscalers, settings(options), devices).open()) {
      subtask.task(task);
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      return subtask.images().get(0);
    }
  }

  private static Raster read(ImageEvent event) {
    return Images.read(
        Payloads.inlineBytes(Payloads.image(event)).orElseThrow(), ReadOptions.DEFAULT);
  }

  private String refusal(Raster image, Map<String, String> parameters) throws Exception {
    try (ImageSubtask subtask = new ImageSubtask(upscalers, settings(), devices).open()) {
      subtask.task(task(image, parameters));
      subtask.settle();
      FailureEvent failure = subtask.failures().get(0);
      assertThat(failure.getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
      return failure.getMessage();
    }
  }

  @Test
  void aWindowOfABandIsWhatTheModelSeesAndTheResultLiesThere() throws Exception {
    Raster image = scene(40);
    Raster result = read(result(task(image, Map.of("window", "6,4,12,10", "bands", "B3"))));
    assertThat(result.width()).isEqualTo(24);
    assertThat(result.height()).isEqualTo(20);
    Georeference where = result.metadata().georeference().orElseThrow();
    assertThat(where.toModel(0, 0).orElseThrow()).containsExactly(500_060, 5_799_960);
    float[] data = new float[120];
    for (int i = 0; i < data.length; i++) {
      data[i] = image.at(2, 4 + i / 12, 6 + i % 12);
    }
    Raster expected = upscalers.pipeline().expected(new Raster(1, 10, 12, data), 2, 1);
    for (int i = 0; i < expected.data().length; i++) {
      assertThat(result.data()[i]).isCloseTo(expected.data()[i], within(1.01f / 65_535));
    }
  }

  @Test
  void anAreaInDegreesAndOneOfTheMapAreTheSame() throws Exception {
    Raster image = scene(40);
    Raster map =
        read(
            result(
                task(image, Map.of("mapBounds", "500060,5799860,500180,5799960", "bands", "B1"))));
    assertThat(map.width()).isEqualTo(24);
    assertThat(map.height()).isEqualTo(20);
    // Half a pixel smaller, which is extended to whole pixels.
    Raster degrees =
        read(
            result(
                task(
                    image,
                    Map.of("bounds", "15.00093,52.34906,15.00259,52.34990", "bands", "B1"))));
    assertThat(degrees.metadata().georeference()).isEqualTo(map.metadata().georeference());
    assertThat(degrees.data()).isEqualTo(map.data());
  }

  @Test
  void anAreaThatReachesOutOfTheImageIsCutAndOneBesideItIsRefused() throws Exception {
    Raster image = scene(40);
    Raster corner =
        read(
            result(
                task(image, Map.of("mapBounds", "400000,5799980,500050,6000000", "bands", "B1"))));
    assertThat(corner.width()).isEqualTo(10);
    assertThat(corner.height()).isEqualTo(4);
    assertThat(refusal(image, Map.of("bounds", "7,40,8,41", "bands", "B1")))
        .contains("lie outside of the image, which reaches from 15.000000,52.3");
    assertThat(refusal(image, Map.of("window", "30,30,11,5", "bands", "B1")))
        .contains("The window 30,30,11,5 reaches out of the image of 40 x 40 pixels");
  }

  @Test
  void anOverviewIsChosenByLevelOrByTheSizeOfAPixel() throws Exception {
    Raster image = scene(2048);
    for (Map<String, String> how :
        List.of(Map.of("level", "2"), Map.of("pixelSize", "40"), Map.of("pixelSize", "79.9"))) {
      Map<String, String> all = new TreeMap<>(how);
      all.put("bands", "B2");
      all.put("window", "401,400,400,200");
      Raster result = read(result(task(image, all)));
      // Pixels 100.25 to 200.25 of the overview.
      assertThat(result.width()).isEqualTo(2 * 101);
      assertThat(result.height()).isEqualTo(2 * 50);
      Georeference where = result.metadata().georeference().orElseThrow();
      assertThat(where.toModel(0, 0).orElseThrow()).containsExactly(504_000, 5_796_000);
      assertThat(where.pixelScale().get(0)).isEqualTo(20);
    }
    assertThat(refusal(image, Map.of("level", "9", "bands", "B1")))
        .contains("has no level 9; it has 4, counted from 0");
    assertThat(refusal(scene(8), Map.of("level", "1", "bands", "B1"))).contains("it has 1");
  }

  @Test
  void anIndexIsComputedOfWhatTheFilesNumbersMeasureAndLacksDataWhereABandDoes() throws Exception {
    Raster plain = scene(16);
    BitSet missing = new BitSet();
    missing.set(2 * 256 + 5); // of B3
    Raster image =
        new Raster(
                4,
                16,
                16,
                plain.data(),
                plain.format().withNoData(0),
                plain
                    .metadata()
                    .withTexts(
                        Map.of(
                            "SCALE|sample=2|role=scale", "0.0001",
                            "OFFSET|sample=2|role=offset", "-0.1",
                            "SCALE|sample=3|role=scale", "0.0001",
                            "OFFSET|sample=3|role=offset", "-0.1",
                            "UNITTYPE|sample=3|role=unittype", "reflectance",
                            "STATISTICS_MEAN|sample=3", "7")))
            .withNoData(missing);
    Map<String, String> parameters = Map.of("bands", "(B4-B3)/(B4+B3)", "valueRange", "-1..1");
    ImageEvent event = result(task(image, parameters));
    Raster result = read(event);
    assertThat(result.format().type()).isEqualTo(SampleType.FLOAT32);
    assertThat(result.metadata().texts().keySet()).noneMatch(name -> name.contains("sample="));
    assertThat(result.noData().orElseThrow().pixels().cardinality()).isEqualTo(4);
    float[] index = new float[256];
    for (int i = 0; i < 256; i++) {
      double red = (3000 + i) * 0.0001 - 0.1;
      double infrared = (4000 + i) * 0.0001 - 0.1;
      index[i] = (float) (((infrared - red) / (infrared + red) + 1) / 2);
    }
    Raster expected = upscalers.pipeline().expected(new Raster(1, 16, 16, index), 2, 1);
    for (int i = 0; i < expected.data().length; i++) {
      if (!result.noData().get().isMissing(i)) {
        double shown = 2 * expected.data()[i] - 1;
        assertThat(result.format().range().value(result.data()[i])).isCloseTo(shown, within(1e-5));
      }
    }
    Audit audit = AuditRecords.audit(event.getAudit());
    assertThat(audit.parameters()).containsAllEntriesOf(parameters);
    ImageEvent again =
        result(Replay.imageTask(audit, "b", Map.of("image", task(image, Map.of()).getImage())));
    assertThat(again.getImage()).isEqualTo(event.getImage());
  }

  @Test
  void aBandKeepsItsScaleAndAnotherOnesIsNotTakenForIt() throws Exception {
    Raster image = scene(16);
    Raster scaled =
        image.withMetadata(
            image
                .metadata()
                .withTexts(
                    Map.of(
                        "SCALE|sample=2|role=scale", "0.0001",
                        "SCALE|sample=0|role=scale", "5",
                        "STATISTICS_MEAN|sample=2", "7",
                        "AREA_OR_POINT", "Area")));
    for (Raster result :
        List.of(
            read(result(task(scaled, Map.of("bands", "B3")))),
            read(result(task(scaled, Map.of()), ImageTaskOptions.BANDS, List.of(3))))) {
      assertThat(result.metadata().texts())
          .containsEntry("SCALE|sample=0|role=scale", "0.0001")
          .containsEntry("AREA_OR_POINT", "Area")
          .doesNotContainKeys(
              "SCALE|sample=2|role=scale", "STATISTICS_MEAN|sample=2", "STATISTICS_MEAN|sample=0");
    }
  }

  @Test
  void whatCannotBeSelectedIsRefusedByName() throws Exception {
    Raster image = scene(16);
    assertThat(refusal(image, Map.of("window", "1,2,3")))
        .contains("window is '1,2,3'; x,y,width,height in whole pixels is expected");
    assertThat(refusal(image, Map.of("bounds", "5,1,4,2"))).contains("west is less than east");
    assertThat(refusal(image, Map.of("bounds", "1,1,2,2", "window", "0,0,1,1")))
        .contains("more than one of window, bounds and mapBounds");
    assertThat(refusal(image, Map.of("level", "1", "pixelSize", "5"))).contains("one of them");
    assertThat(refusal(image, Map.of("valueRange", "3"))).contains("numbers such as 0..10000");
    assertThat(refusal(image, Map.of("bands", "B5"))).contains("no band B5; it has B1 to B4");
    Raster elsewhere =
        image.withMetadata(
            ImageMetadata.NONE.withGeoreference(Georeference.northUp(27700, 0, 0, 1)));
    assertThat(refusal(elsewhere, Map.of("bounds", "1,1,2,2", "bands", "B1")))
        .contains("coordinate system is EPSG:27700; bounds in degrees are accepted for EPSG:4326");
    assertThat(
            refusal(
                image.withMetadata(ImageMetadata.NONE),
                Map.of("mapBounds", "1,1,2,2", "bands", "B1")))
        .contains("does not say where on Earth it lies");
  }

  // ------------------------------------------------------------------ by ranges

  private Path largeFile(int side) {
    Path file = folder.resolve("large.tif");
    Random random = new Random(5);
    ImageMetadata place =
        ImageMetadata.NONE.withGeoreference(Georeference.northUp(32633, 500_000, 5_800_000, 10));
    try (TiffWriter writer =
        TiffWriter.create(
            file, side, side, 1, PixelFormat.of(Bands.GRAY, SampleType.UINT8), place)) {
      for (int top = 0; top < side; top += 256) {
        float[] rows = new float[256 * side];
        for (int i = 0; i < rows.length; i++) {
          rows[i] = random.nextInt(256) / 255f;
        }
        writer.append(new Raster(1, 256, side, rows));
      }
    }
    return file;
  }

  private ImageTaskEvent referenced(Path file, Map<String, String> parameters) throws Exception {
    // Nobody has to know the digest of what is not read.
    return ImageTaskEvent.newBuilder(task(scene(8), parameters))
        .setImage(
            Payloads.stored(
                new PayloadReference("counted://" + file, "0".repeat(64), Files.size(file)), ""))
        .build();
  }

  private DiffusionSettingsAndScratch byRanges() throws Exception {
    return new DiffusionSettingsAndScratch(
        Files.createDirectories(folder.resolve("scratch")),
        new Object[] {
          PayloadOptions.ALLOWED_PREFIXES,
          List.of("counted://" + folder),
          PayloadOptions.READ_BY_RANGES,
          true,
          PayloadOptions.STORE,
          folder.resolve("store").toUri().toString(),
          ImageTaskOptions.TILE_SIZE,
          256
        });
  }

  private record DiffusionSettingsAndScratch(Path scratch, Object[] options) {}

  @Test
  void anAreaOfFivePercentReadsAtMostSevenPercentOfTheBytes() throws Exception {
    int side = 4096;
    Path file = largeFile(side);
    // Begins and ends within tiles.
    Window area = new Window(600, 900, 1000, 839);
    assertThat((double) area.width() * area.height() / side / side).isBetween(0.05, 0.051);
    DiffusionSettingsAndScratch how = byRanges();
    CountedFileSystem.reset();
    try (ImageSubtask subtask =
        new ImageSubtask(upscalers, settings(how.options()), devices, how.scratch()).open()) {
      subtask.task(referenced(file, Map.of("window", "600,900,1000,839")));
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      assertThat(subtask.images().get(0).getWidth()).isEqualTo(2 * 1000);
      double share = (double) CountedFileSystem.bytes() / Files.size(file);
      System.out.printf(
          "%d of %d bytes (%.2f %%) in %d reads%n",
          CountedFileSystem.bytes(), Files.size(file), 100 * share, CountedFileSystem.reads());
      assertThat(share).isLessThanOrEqualTo(0.07);
      assertThat(AuditRecords.audit(subtask.images().get(0).getAudit()).parameters())
          .containsKey("imageRead");
    }
    try (var left = Files.list(how.scratch())) {
      assertThat(left).isEmpty();
    }
  }

  @Test
  void whatIsReadByRangesIsWhatIsReadAsAWhole() throws Exception {
    Raster image = scene(64);
    Path file = Files.write(folder.resolve("a.tif"), Images.write(image, "image/tiff"));
    DiffusionSettingsAndScratch how = byRanges();
    Map<String, String> part =
        Map.of("window", "3,5,40,50", "bands", "B4-B1", "valueRange", "0..6000");
    try (ImageSubtask subtask =
        new ImageSubtask(upscalers, settings(how.options()), devices, how.scratch()).open()) {
      subtask.task(referenced(file, part));
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      Raster far = read(subtask.images().get(0));
      Raster near = read(result(task(image, part)));
      assertThat(far.data()).isEqualTo(near.data());
    }
  }

  @Test
  void aFileThatIsReplacedWhileItIsReadFailsItsRequest() throws Exception {
    Path file = Files.write(folder.resolve("a.tif"), Images.write(scene(64), "image/tiff"));
    DiffusionSettingsAndScratch how = byRanges();
    try (ImageSubtask subtask =
        new ImageSubtask(upscalers, settings(how.options()), devices, how.scratch()).open()) {
      subtask.task(referenced(file, Map.of("bands", "B1")));
      while (devices.encodeOne() || subtask.deliverMail()) {
        // until the first call is due
      }
      Files.setLastModifiedTime(file, FileTime.fromMillis(1_000_000));
      subtask.settle();
      FailureEvent failure = subtask.failures().get(0);
      assertThat(failure.getReason()).isEqualTo(FailureReason.PAYLOAD);
      assertThat(failure.getMessage()).contains("was replaced while parts of it were read");
    }
  }

  @Test
  void aFileOfAnotherKindIsStillVerified() throws Exception {
    Path file =
        Files.write(
            folder.resolve("a.png"), Images.write(Raster.filled(1, 8, 8, 0.5f), "image/png"));
    DiffusionSettingsAndScratch how = byRanges();
    try (ImageSubtask subtask =
        new ImageSubtask(upscalers, settings(how.options()), devices, how.scratch()).open()) {
      subtask.task(referenced(file, Map.of()));
      subtask.settle();
      assertThat(subtask.failures().get(0).getMessage()).contains("has the SHA-256");
    }
  }
}
