/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.CtSlices;
import io.github.flinkdiffusion.ops.serving.SeriesOptions;
import io.github.flinkdiffusion.ops.serving.SeriesSettings;
import io.github.flinkdiffusion.ops.serving.SeriesTime;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.functions.DefaultOpenContext;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.functions.async.CollectionSupplier;
import org.apache.flink.streaming.api.functions.async.ResultFuture;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A series' files, one request each, become one request. */
class SeriesGatheringTest {
  private static final String SERIES = "1.2.3.2";
  private static final long TIMEOUT = 60_000;
  private static final long RETENTION = 3_600_000;

  @TempDir private Path folder;

  private final Configuration config = new Configuration();
  private SliceHeaders headers;
  private SeriesOperator operator;
  private KeyedOneInputStreamOperatorTestHarness<String, ReadSlice, ImageTaskEvent> harness;

  @BeforeEach
  void prepare() {
    config.set(PayloadOptions.ALLOWED_PREFIXES, List.of(folder.toUri().toString()));
    headers = new SliceHeaders(SeriesSettings.of(config));
    headers.open(DefaultOpenContext.INSTANCE);
  }

  @AfterEach
  void close() throws Exception {
    headers.close();
    if (harness != null) {
      harness.close();
    }
  }

  private <T> void open(ConfigOption<T> option, T value) throws Exception {
    config.set(option, value);
    open((OperatorSubtaskState) null);
  }

  private void open(OperatorSubtaskState state) throws Exception {
    operator = new SeriesOperator(SeriesSettings.of(config));
    harness = new KeyedOneInputStreamOperatorTestHarness<>(operator, ReadSlice::key, Types.STRING);
    harness.setup();
    if (state != null) {
      harness.initializeState(state);
    }
    harness.open();
  }

  private ImageTaskEvent task(CtSlices.Slice slice, Map<String, String> parameters)
      throws IOException {
    byte[] bytes = CtSlices.file(slice);
    String sha256 = Payloads.sha256(bytes);
    Path file = Files.write(folder.resolve(sha256 + ".dcm"), bytes);
    return ImageTaskEvent.newBuilder()
        .setId("scan/" + slice.number())
        .setImage(
            Payloads.stored(
                new PayloadReference(file.toUri().toString(), sha256, (long) bytes.length),
                "application/dicom"))
        .setSeed(7L)
        .setParameters(parameters)
        .setAttributes(Map.of("ward", "3", "file", Integer.toString(slice.number())))
        .build();
  }

  private ReadSlice read(ImageTaskEvent task) throws Exception {
    CompletableFuture<ReadSlice> read = new CompletableFuture<>();
    headers.asyncInvoke(
        task,
        new ResultFuture<>() {
          @Override
          public void complete(java.util.Collection<ReadSlice> results) {
            read.complete(results.iterator().next());
          }

          @Override
          public void complete(CollectionSupplier<ReadSlice> supplier) {
            throw new UnsupportedOperationException();
          }

          @Override
          public void completeExceptionally(Throwable error) {
            read.completeExceptionally(error);
          }
        });
    return read.get(1, TimeUnit.MINUTES);
  }

  private void send(CtSlices.Slice slice, Map<String, String> parameters) throws Exception {
    harness.processElement(new StreamRecord<>(read(task(slice, parameters))));
  }

  private void send(CtSlices.Slice slice, long timestamp) throws Exception {
    harness.processElement(new StreamRecord<>(read(task(slice, Map.of())), timestamp));
  }

  private static List<CtSlices.Slice> slices(int count) {
    List<CtSlices.Slice> slices = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      slices.add(CtSlices.Slice.of(SERIES, i));
    }
    return slices;
  }

  private List<ImageTaskEvent> volumes() {
    return harness.extractOutputValues();
  }

  private List<FailureEvent> failures() {
    Queue<StreamRecord<FailureEvent>> all = harness.getSideOutput(DiffusionOperator.FAILURES);
    return all == null ? List.of() : all.stream().map(StreamRecord::getValue).toList();
  }

  private String onlyFailure() {
    assertThat(volumes()).isEmpty();
    assertThat(failures()).hasSize(1);
    assertThat(failures().get(0).getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
    return failures().get(0).getMessage();
  }

  /** The files of a volume by their slices' numbers. */
  private List<String> listed(ImageTaskEvent volume) {
    PayloadStore payloads = new PayloadStore(PayloadSettings.of(config));
    return SliceList.of(volume.getImage(), payloads, 10_000, "").orElseThrow().slices().stream()
        .map(SliceList.File::sha256)
        .toList();
  }

  private static List<String> digests(List<CtSlices.Slice> slices) {
    return slices.stream().map(slice -> Payloads.sha256(CtSlices.file(slice))).toList();
  }

  private void timeIsUp() throws Exception {
    harness.setProcessingTime(harness.getProcessingTime() + TIMEOUT);
  }

  @Test
  void slicesInAnyOrderAreOneRequestInTheOrderOfTheirPlaces() throws Exception {
    open((OperatorSubtaskState) null);
    List<CtSlices.Slice> slices = slices(12);
    List<CtSlices.Slice> shuffled = new ArrayList<>(slices);
    Collections.shuffle(shuffled, new Random(5));
    for (CtSlices.Slice slice : shuffled) {
      assertThat(volumes()).isEmpty();
      send(slice, Map.of("slices", "12", "eta", "0"));
    }
    ImageTaskEvent volume = volumes().get(0);
    assertThat(volume.getId()).isEqualTo(SERIES);
    assertThat(listed(volume)).isEqualTo(digests(slices));
    assertThat(volume.getSeed()).isEqualTo(7);
    assertThat(volume.getParameters()).isEqualTo(Map.of("eta", "0"));
    assertThat(volume.getAttributes()).as("those that all have").isEqualTo(Map.of("ward", "3"));
    assertThat(failures()).isEmpty();
    assertThat(operator.openSeries()).isZero();
  }

  @Test
  void recordsMayHaveKeysOfTheirOwn() throws Exception {
    open((OperatorSubtaskState) null);
    for (CtSlices.Slice slice : slices(3)) {
      String own = "key-" + slice.number();
      ImageTaskEvent task =
          ImageTaskEvent.newBuilder(task(slice, Map.of("slices", "3")))
              .setContext(
                  new RecordContext(
                      bytes(own), Map.of("ward", bytes("3"), "traceparent", bytes(own))))
              .build();
      harness.processElement(new StreamRecord<>(read(task)));
    }
    assertThat(failures()).isEmpty();
    RecordContext context = volumes().get(0).getContext();
    assertThat(context.getKey()).as("none that all have").isNull();
    assertThat(context.getHeaders()).isEqualTo(Map.of("ward", bytes("3")));
  }

  @Test
  void aKeyThatAllRecordsHaveIsTheVolumes() throws Exception {
    open((OperatorSubtaskState) null);
    for (CtSlices.Slice slice : slices(3)) {
      ImageTaskEvent task =
          ImageTaskEvent.newBuilder(task(slice, Map.of("slices", "3")))
              .setContext(new RecordContext(bytes("patient-4"), Map.of()))
              .build();
      harness.processElement(new StreamRecord<>(read(task)));
    }
    assertThat(volumes().get(0).getContext().getKey()).isEqualTo(bytes("patient-4"));
  }

  private static ByteBuffer bytes(String text) {
    return ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
  }

  @Test
  void whatTheFilesSayOfTheirNumberCountsWhereRequestsDoNot() throws Exception {
    open((OperatorSubtaskState) null);
    for (CtSlices.Slice slice : slices(3)) {
      send(slice.ofExpected(3), Map.of());
    }
    assertThat(volumes()).hasSize(1);
  }

  @Test
  void anAcquisitionOfOneImageIsNoSeriesOfOne() throws Exception {
    open((OperatorSubtaskState) null);
    for (CtSlices.Slice slice : slices(3)) {
      send(slice.ofExpected(1), Map.of());
    }
    assertThat(volumes()).isEmpty();
    timeIsUp();
    assertThat(listed(volumes().get(0))).hasSize(3);
  }

  @Test
  void withoutANumberASeriesIsCompleteWhenNoSliceHasComeForATime() throws Exception {
    open((OperatorSubtaskState) null);
    for (CtSlices.Slice slice : slices(3)) {
      send(slice, Map.of());
      harness.setProcessingTime(harness.getProcessingTime() + TIMEOUT - 1);
    }
    assertThat(volumes()).isEmpty();
    harness.setProcessingTime(harness.getProcessingTime() + 1);
    assertThat(listed(volumes().get(0))).hasSize(3);
  }

  @Test
  void aSeriesThatLacksASliceFailsAndNamesTheGap() throws Exception {
    open((OperatorSubtaskState) null);
    for (CtSlices.Slice slice : slices(5)) {
      if (slice.number() != 2) {
        send(slice, Map.of("slices", "5"));
      }
    }
    timeIsUp();
    assertThat(onlyFailure())
        .contains("4 of 5 slices are there")
        .contains("slice 'scan/1' and slice 'scan/3' are 4 mm apart, others 2 mm");
    FailureEvent failure = failures().get(0);
    assertThat(failure.getId()).isEqualTo(SERIES);
    ByteBuffer original = failure.getOriginal();
    byte[] request = new byte[original.remaining()];
    original.get(request);
    assertThat(listed(EventCodec.imageTasks().decode(request)))
        .as("it can be sent again")
        .hasSize(4);
  }

  @Test
  void slicesThatAreNoVolumeAreNamed() throws Exception {
    open((OperatorSubtaskState) null);
    Map<String, java.util.function.UnaryOperator<CtSlices.Slice>> wrong =
        Map.of(
            "slice 'scan/2' and slice 'scan/4' are 4 mm apart, others 2 mm", slice -> slice.at(13),
            "slice 'scan/3' has 8 x 8 gray pixels of [0.7, 0.7] mm", slice -> slice.spaced(0.7),
            "slice 'scan/3' has 16 x 16 gray pixels", slice -> slice.ofSide(16),
            "slice 'scan/3' has another frame of reference", slice -> slice.in("1.2.3.10"),
            "slice 'scan/3' is not parallel", CtSlices.Slice::turnedRound,
            "lie in the same place", slice -> slice.at(4));
    int series = 10;
    for (var one : wrong.entrySet()) {
      String uid = "1.2.3." + series++;
      for (int i = 0; i < 5; i++) {
        CtSlices.Slice slice = CtSlices.Slice.of(uid, i);
        send(i == 3 ? one.getValue().apply(slice) : slice, Map.of("slices", "5"));
      }
      assertThat(volumes()).isEmpty();
      assertThat(failures().get(failures().size() - 1).getMessage()).contains(one.getKey());
    }
    assertThat(failures()).hasSize(wrong.size());
  }

  @Test
  void twoFilesOfOneInstanceFailTheSeriesAndACopyFailsAlone() throws Exception {
    open((OperatorSubtaskState) null);
    for (CtSlices.Slice slice : slices(2)) {
      send(slice, Map.of("slices", "3"));
    }
    send(slices(2).get(1), Map.of("slices", "3"));
    assertThat(onlyFailure()).contains("Request 'scan/1' has already sent this slice");
    send(slices(2).get(1).at(4), Map.of("slices", "3"));
    assertThat(failures().get(1).getMessage())
        .contains("slice 'scan/1' and slice 'scan/1' have one SOPInstanceUID");
    assertThat(volumes()).isEmpty();
  }

  @Test
  void aSliceThatComesAfterTheEndFailsAsLateForATime() throws Exception {
    open((OperatorSubtaskState) null);
    for (CtSlices.Slice slice : slices(3)) {
      send(slice, Map.of("slices", "3"));
    }
    assertThat(volumes()).hasSize(1);
    send(slices(4).get(3), Map.of("slices", "3"));
    assertThat(failures().get(0).getId()).isEqualTo("scan/3");
    assertThat(failures().get(0).getMessage()).contains("came late: its series was complete");
    harness.setProcessingTime(harness.getProcessingTime() + RETENTION);
    assertThat(harness.numKeyedStateEntries()).as("nothing is left").isZero();
    for (CtSlices.Slice slice : slices(3)) {
      send(slice, Map.of("slices", "3"));
    }
    assertThat(volumes()).as("the same series, sent again").hasSize(2);
  }

  @Test
  void aRequestThatAsksForSomethingElseFailsAlone() throws Exception {
    open((OperatorSubtaskState) null);
    send(slices(3).get(0), Map.of("slices", "3"));
    send(slices(3).get(1), Map.of("slices", "3", "eta", "1"));
    send(slices(3).get(1), Map.of("slices", "many"));
    assertThat(failures())
        .extracting(FailureEvent::getMessage)
        .satisfiesExactly(
            message -> assertThat(message).contains("differs from earlier ones"),
            message -> assertThat(message).contains("slices is 'many'"));
    send(slices(3).get(1), Map.of("slices", "3"));
    send(slices(3).get(2), Map.of("slices", "3"));
    assertThat(volumes()).hasSize(1);
  }

  @Test
  void aSeriesOfTooManySlicesOrBytesFailsOnce() throws Exception {
    open(SeriesOptions.MAX_SLICES, 3);
    for (CtSlices.Slice slice : slices(4)) {
      send(slice, Map.of());
    }
    assertThat(onlyFailure()).contains("more than 3 slices (diffusion.series.max-slices)");
    harness.close();
    config.removeConfig(SeriesOptions.MAX_SLICES);
    open(SeriesOptions.MAX_SIZE, new MemorySize(2000));
    for (CtSlices.Slice slice : slices(4)) {
      send(slice, Map.of("slices", "4"));
    }
    assertThat(failures().get(0).getMessage())
        .contains("2000 bytes of files (diffusion.series.max-size)");
  }

  @Test
  void furtherSeriesThanAreAcceptedFailAndTheOthersGoOn() throws Exception {
    open(SeriesOptions.MAX_OPEN, 2);
    send(CtSlices.Slice.of("1.2.3.1", 0), Map.of("slices", "2"));
    send(CtSlices.Slice.of("1.2.3.2", 0), Map.of("slices", "2"));
    send(CtSlices.Slice.of("1.2.3.3", 0), Map.of("slices", "2"));
    assertThat(onlyFailure()).contains("2 series are open", "diffusion.series.max-open");
    send(CtSlices.Slice.of("1.2.3.1", 1), Map.of("slices", "2"));
    send(CtSlices.Slice.of("1.2.3.3", 0), Map.of("slices", "2"));
    assertThat(volumes()).hasSize(1);
    assertThat(failures()).as("there is room again").hasSize(1);
  }

  @Test
  void aRestartForgetsNoSliceNoTimerAndNoBound() throws Exception {
    open(SeriesOptions.MAX_OPEN, 2);
    harness.setProcessingTime(1000);
    List<CtSlices.Slice> slices = slices(4);
    send(slices.get(0), Map.of());
    send(slices.get(1), Map.of());
    send(CtSlices.Slice.of("1.2.3.77", 0), Map.of("slices", "1"));
    send(CtSlices.Slice.of("1.2.3.78", 0), Map.of("slices", "9"));
    OperatorSubtaskState state = harness.snapshot(1, 1);
    harness.close();

    open(state);
    assertThat(operator.openSeries()).isEqualTo(2);
    harness.setProcessingTime(2000);
    send(CtSlices.Slice.of("1.2.3.79", 0), Map.of());
    assertThat(onlyFailure()).contains("2 series are open");
    send(CtSlices.Slice.of("1.2.3.77", 1), Map.of());
    assertThat(failures().get(1).getMessage()).contains("came late");
    send(slices.get(2), Map.of());
    harness.setProcessingTime(2000 + TIMEOUT);
    assertThat(listed(volumes().get(0))).isEqualTo(digests(slices.subList(0, 3)));
    assertThat(failures().get(2).getMessage()).contains("1 of 9 slices are there");
    assertThat(operator.openSeries()).isZero();
  }

  @Test
  void byEventTimeTheWatermarkSaysWhenTimeIsUp() throws Exception {
    open(SeriesOptions.TIME, SeriesTime.EVENT);
    send(slices(3).get(0), 100_000);
    send(slices(3).get(2), 130_000);
    send(slices(3).get(1), 110_000);
    harness.setProcessingTime(10 * TIMEOUT);
    harness.processWatermark(130_000 + TIMEOUT - 1);
    assertThat(volumes()).isEmpty();
    harness.processWatermark(130_000 + TIMEOUT);
    assertThat(listed(volumes().get(0))).isEqualTo(digests(slices(3)));
    send(slices(4).get(3), 131_000);
    assertThat(failures().get(0).getMessage()).contains("came late");
    harness.processElement(new StreamRecord<>(read(task(slices(4).get(3), Map.of()))));
    assertThat(failures().get(1).getMessage()).contains("has no timestamp");
  }

  @Test
  void whatIsThereWhenTheInputEndsIsDone() throws Exception {
    open((OperatorSubtaskState) null);
    send(slices(2).get(0), Map.of());
    send(slices(2).get(1), Map.of());
    send(CtSlices.Slice.of("1.2.3.78", 0), Map.of("slices", "2"));
    harness.endInput();
    assertThat(volumes()).hasSize(1);
    assertThat(failures()).hasSize(1);
  }

  @Test
  void aFileThatIsNoSliceIsAFailureOfItsRequest() throws Exception {
    open((OperatorSubtaskState) null);
    ImageTaskEvent good = task(slices(1).get(0), Map.of());
    byte[] frames;
    Path file = folder.resolve("frames.dcm");
    CtSlices.writeFrames(file, 3, 8);
    frames = Files.readAllBytes(file);
    List<ImageTaskEvent> bad =
        List.of(
            ImageTaskEvent.newBuilder(good)
                .setImage(Payloads.inline(CtSlices.file(slices(1).get(0)), ""))
                .build(),
            ImageTaskEvent.newBuilder(good)
                .setImage(
                    Payloads.stored(
                        new PayloadReference(
                            file.toUri().toString(), Payloads.sha256(frames), (long) frames.length),
                        ""))
                .build(),
            ImageTaskEvent.newBuilder(good)
                .setImage(
                    Payloads.stored(
                        new PayloadReference(
                            folder.resolve("none.dcm").toUri().toString(), "0".repeat(64), 7L),
                        ""))
                .build());
    for (ImageTaskEvent task : bad) {
      harness.processElement(new StreamRecord<>(read(task)));
    }
    assertThat(failures().get(0).getMessage()).contains("must be references");
    assertThat(failures().get(1).getMessage()).contains("3 frames", "page all");
    assertThat(failures().get(2).getReason()).isEqualTo(FailureReason.PAYLOAD);
    assertThat(operator.openSeries()).isZero();
  }
}
