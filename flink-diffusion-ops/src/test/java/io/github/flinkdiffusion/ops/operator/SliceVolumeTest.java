/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.CtSlices;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SlicePlane;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A request of several frames, slices or files, whose result is a volume. */
class SliceVolumeTest {
  private static final int FRAMES = 6;
  private static final int SIDE = 16;
  private static final ClassMap ORGAN = ClassMap.binary("around", "Liver (10200004, SCT)");
  private static final FakeUpscalers ENHANCING = new FakeUpscalers(1, "d");
  private static final FakeUpscalers SEGMENTING = new FakeUpscalers(1, "d", false, ORGAN);

  @TempDir private Path folder;

  private final ManualDevices devices = new ManualDevices();

  private byte[] frames() throws IOException {
    Path file = folder.resolve("frames.dcm");
    CtSlices.writeFrames(file, FRAMES, SIDE);
    return Files.readAllBytes(file);
  }

  private static ImageTaskEvent task(Payload image, Map<String, String> parameters) {
    return ImageTaskCase.task("a", ImageTaskCase.image(8, 8), "image/png")
        .setImage(image)
        .setSeed(1L)
        .setParameters(parameters)
        .build();
  }

  private static ImageTaskEvent task(byte[] file, String pages) {
    return task(Payloads.inline(file, ""), Map.of("page", pages));
  }

  private DiffusionSettings with(ResultFormat format) {
    return settings(
        ImageTaskOptions.FORMAT,
        format,
        ImageTaskOptions.VALUE_RANGE,
        "-1024..476",
        PayloadOptions.STORE,
        folder.resolve("store").toUri().toString(),
        PayloadOptions.ALLOWED_PREFIXES,
        List.of(folder.toUri().toString()));
  }

  private ImageEvent result(ImageTaskEvent task, FakeUpscalers model, ResultFormat format)
      throws Exception {
    try (ImageSubtask subtask = new ImageSubtask(model, with(format), devices).open()) {
      subtask.task(task);
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      assertThat(subtask.images()).hasSize(1);
      return subtask.images().get(0);
    }
  }

  private String failure(ImageTaskEvent task, FakeUpscalers model, DiffusionSettings settings)
      throws Exception {
    try (ImageSubtask subtask = new ImageSubtask(model, settings, devices).open()) {
      subtask.task(task);
      subtask.settle();
      assertThat(subtask.images()).isEmpty();
      FailureEvent failure = subtask.failures().get(0);
      assertThat(failure.getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
      assertThat(subtask.failures()).hasSize(1);
      return failure.getMessage();
    }
  }

  private static byte[] bytes(Payload payload) {
    return Payloads.inlineBytes(payload)
        .orElseGet(
            () -> {
              try {
                return Files.readAllBytes(
                    Path.of(
                        java.net.URI.create(Payloads.reference(payload).orElseThrow().getUri())));
              } catch (IOException e) {
                throw new AssertionError(e);
              }
            });
  }

  private static Raster page(byte[] file, int page) {
    return Images.read(file, ReadOptions.DEFAULT.withPage(page));
  }

  private Payload stored(byte[] file, String name) throws IOException {
    Path path = Files.write(folder.resolve(name), file);
    return Payloads.stored(
        new PayloadReference(path.toUri().toString(), Payloads.sha256(file), (long) file.length),
        "");
  }

  private Payload list(List<CtSlices.Slice> slices) throws IOException {
    List<PayloadReference> files = new ArrayList<>();
    for (CtSlices.Slice slice : slices) {
      files.add(
          Payloads.reference(stored(CtSlices.file(slice), slice.instance() + ".dcm"))
              .orElseThrow());
    }
    return SliceList.of(files).payload();
  }

  private static List<CtSlices.Slice> series(int count) {
    List<CtSlices.Slice> slices = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      slices.add(CtSlices.Slice.of("1.2.3.2", i).ofSide(SIDE));
    }
    return slices;
  }

  @ParameterizedTest
  @CsvSource({"all, 0, 6", "2-4, 2, 3"})
  void framesOfARangeAreOneVolumeInTheSourcesPlace(String pages, int first, int count)
      throws Exception {
    ImageEvent event = result(task(frames(), pages), ENHANCING, ResultFormat.AUTO);
    assertThat(event.getWidth()).isEqualTo(2 * SIDE);
    assertThat(event.getMediaType()).isEqualTo("application/x-nifti");
    byte[] volume = bytes(Payloads.image(event));
    for (int slice = 0; slice < count; slice++) {
      Raster alone =
          page(
              bytes(
                  Payloads.image(
                      result(
                          task(frames(), Integer.toString(first + slice)),
                          ENHANCING,
                          ResultFormat.NIFTI))),
              0);
      Raster within = page(volume, slice);
      assertThat(values(within)).isEqualTo(values(alone));
      assertThat(within.metadata().medical().orElseThrow().place().orElseThrow().position().z())
          .isEqualTo(2.0 * (first + slice));
      assertThat(within.metadata().spacing()).isEqualTo(alone.metadata().spacing());
    }
    assertThat(failureOfPage(volume, count)).contains("has " + count + ", counted from 0");
  }

  private static byte[] png() {
    return Images.write(ImageTaskCase.image(16, 16), "image/png");
  }

  private static List<Double> values(Raster raster) {
    List<Double> values = new ArrayList<>();
    for (float unit : raster.data()) {
      values.add((double) Math.round(raster.format().range().value(unit)));
    }
    return values;
  }

  private static String failureOfPage(byte[] file, int page) {
    try {
      page(file, page);
      return "none";
    } catch (ImageException e) {
      return e.getMessage();
    }
  }

  @Test
  void segmentedFramesAreOneDicomSegmentationWithEachFramesMask() throws Exception {
    ImageEvent event = result(task(frames(), "all"), SEGMENTING, ResultFormat.DICOM);
    byte[] bits = bytes(event.getMask());
    byte[] shares = bytes(Payloads.image(event));
    for (int frame = 0; frame < FRAMES; frame++) {
      ImageEvent alone =
          result(task(frames(), Integer.toString(frame)), SEGMENTING, ResultFormat.DICOM);
      Raster mask = page(bits, frame);
      assertThat(mask.data()).isEqualTo(page(bytes(alone.getMask()), 0).data()).contains(0f, 1f);
      assertThat(page(shares, frame).data())
          .isEqualTo(page(bytes(Payloads.image(alone)), 0).data());
      assertThat(mask.metadata().medical().orElseThrow().place().orElseThrow().position().z())
          .isEqualTo(2.0 * frame);
    }
    assertThat(failureOfPage(bits, FRAMES)).contains("has " + FRAMES);
    assertThat(new String(bits, java.nio.charset.StandardCharsets.ISO_8859_1))
        .doesNotContain("Doe");
    assertThat(bytes(result(task(frames(), "all"), SEGMENTING, ResultFormat.DICOM).getMask()))
        .as("the same request, the same bytes")
        .isEqualTo(bits);
  }

  @Test
  void aNiftiVolumeIsCutAnyWayAndPackedOrNot() throws Exception {
    byte[] packed =
        SliceVolumeTest.class
            .getResourceAsStream("/fixtures/nifti/LPS-qform.nii.gz")
            .readAllBytes();
    ReadOptions sagittal = ReadOptions.DEFAULT.withPlane(SlicePlane.SAGITTAL);
    Raster one = Images.read(packed, sagittal.withPage(1));
    ImageEvent event =
        result(
            task(Payloads.inline(packed, ""), Map.of("page", "0-1", "plane", "sagittal")),
            ENHANCING,
            ResultFormat.NIFTI);
    assertThat(event.getWidth()).isEqualTo(2 * one.width());
    byte[] volume = bytes(Payloads.image(event));
    Raster slice = Images.read(volume, sagittal.withPage(1));
    assertThat(slice.width()).isEqualTo(2 * one.width());
    assertThat(slice.metadata().medical().orElseThrow().place().orElseThrow().position().x())
        .isCloseTo(
            one.metadata().medical().orElseThrow().place().orElseThrow().position().x(),
            org.assertj.core.api.Assertions.within(1e-4));
  }

  @Test
  void filesOfAListAreOneVolume() throws Exception {
    ImageTaskEvent task = task(list(series(FRAMES)), Map.of());
    ImageEvent event = result(task, ENHANCING, ResultFormat.AUTO);
    byte[] volume = bytes(Payloads.image(event));
    byte[] ofFrames =
        bytes(Payloads.image(result(task(frames(), "all"), ENHANCING, ResultFormat.AUTO)));
    for (int slice = 0; slice < FRAMES; slice++) {
      assertThat(values(page(volume, slice))).isEqualTo(values(page(ofFrames, slice)));
    }
    assertThat(Payloads.references(task))
        .as("files that the store's clean-up has to keep")
        .hasSize(FRAMES);
    Audit audit = AuditRecords.audit(event.getAudit());
    ImageTaskEvent again = Replay.imageTask(audit, "b", Map.of("image", task.getImage()));
    assertThat(bytes(Payloads.image(result(again, ENHANCING, ResultFormat.AUTO))))
        .as("its record makes it again")
        .isEqualTo(volume);
  }

  @Test
  void aRequestOfSlicesGoesOnWhereACheckpointHasIt() throws Exception {
    ImageTaskEvent task = task(list(series(FRAMES)), Map.of());
    byte[] expected = bytes(Payloads.image(result(task, ENHANCING, ResultFormat.AUTO)));
    OperatorSubtaskState state;
    try (ImageSubtask subtask =
        new ImageSubtask(ENHANCING, with(ResultFormat.AUTO), new ManualDevices()).open()) {
      subtask.task(task);
      while (subtask.meters().tiles.getCount() < 3) {
        assertThat(subtask.progress()).isTrue();
      }
      state = subtask.snapshot();
      assertThat(subtask.images()).isEmpty();
    }
    ManualDevices after = new ManualDevices();
    try (ImageSubtask subtask =
        new ImageSubtask(ENHANCING, with(ResultFormat.AUTO), after).restore(state)) {
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      assertThat(bytes(Payloads.image(subtask.images().get(0)))).isEqualTo(expected);
      assertThat(subtask.meters().tiles.getCount()).as("tiles that were left").isEqualTo(3);
    }
  }

  @Test
  void whatIsNoVolumeIsRefusedBeforeAnythingIsComputed() throws Exception {
    DiffusionSettings auto = with(ResultFormat.AUTO);
    assertThat(failure(task(frames(), "0-6"), ENHANCING, auto))
        .contains("page is '0-6', but the file has 6");
    assertThat(failure(task(frames(), "4-2"), ENHANCING, auto)).contains("page is '4-2'");
    assertThat(failure(task(frames(), "all"), ENHANCING, with(ResultFormat.DICOM)))
        .contains("6 slices", "diffusion.image.format");
    assertThat(failure(task(frames(), "all"), ENHANCING, with(ResultFormat.PNG)))
        .contains("Send a request for each slice");
    ImageTaskEvent masked = task(frames(), "all");
    masked.setMask(Payloads.inline(png(), ""));
    assertThat(failure(masked, ENHANCING, auto)).contains("a mask is for one");
    assertThat(failure(task(png(), "all"), ENHANCING, auto)).contains("image/png");
    byte[] four =
        SliceVolumeTest.class.getResourceAsStream("/fixtures/nifti/four.nii.gz").readAllBytes();
    assertThat(failure(task(four, "all"), ENHANCING, auto)).contains("those of one volume");
    assertThat(failure(task(frames(), "all"), ENHANCING, settings(ImageTaskOptions.MAX_SLICES, 5)))
        .contains("6 of the file; at most 5", "diffusion.image.max-slices");
    assertThat(
            failure(
                task(Payloads.inline("{\"slices\": 3}".getBytes(), SliceList.MEDIA_TYPE), Map.of()),
                ENHANCING,
                auto))
        .contains("Cannot read the request's list of slices");
  }

  @Test
  void aSliceThatDoesNotFitIsNamed() throws Exception {
    List<CtSlices.Slice> smaller = series(4);
    smaller.set(2, smaller.get(2).ofSide(8));
    DiffusionSettings auto = with(ResultFormat.AUTO);
    assertThat(failure(task(list(smaller), Map.of()), ENHANCING, auto))
        .contains("Slice 2 of the request's image is 8 x 8 pixels");
    List<CtSlices.Slice> gap = series(4);
    gap.set(3, gap.get(3).at(12));
    assertThat(failure(task(list(gap), Map.of()), ENHANCING, auto))
        .contains("slice 2 and slice 3 are 8 mm apart, others 2 mm");
    List<CtSlices.Slice> turned = series(4);
    turned.set(1, turned.get(1).turnedRound());
    assertThat(failure(task(list(turned), Map.of()), ENHANCING, auto))
        .contains("slice 1 is not parallel to slice 0");
    List<CtSlices.Slice> elsewhere = series(4);
    elsewhere.set(3, elsewhere.get(3).in("1.2.3.10"));
    assertThat(failure(task(list(elsewhere), Map.of()), SEGMENTING, with(ResultFormat.DICOM)))
        .contains("Slice 3 has another frame of reference");
  }
}
