/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.prompt;
import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static io.github.flinkdiffusion.ops.operator.Subtask.undisturbed;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.connector.event.AuditRecord;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.SoftwareVersion;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.pipeline.Seeds;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.OutageAction;
import io.github.flinkdiffusion.ops.serving.OutputOrder;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.LatencyMarker;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The operator in Flink's harness; the device works call by call as the test says. */
class DiffusionOperatorTest {
  private final ManualDevices devices = new ManualDevices();
  private final FakePipelines pipelines = new FakePipelines();

  private Subtask open(Object... optionsAndValues) throws Exception {
    return new Subtask(pipelines, settings(optionsAndValues), devices.services).open();
  }

  @Test
  void aPictureCarriesAllThatIsNeededToMakeItAgain() throws Exception {
    PromptEvent prompt =
        PromptEvent.newBuilder()
            .setId("poster")
            .setPrompt("a lighthouse")
            .setNegativePrompt("fog")
            .setSeed(42L)
            .setSteps(3)
            .setGuidanceScale(7.5)
            .setScheduler("DDIMScheduler")
            .setWidth(16)
            .setHeight(8)
            .setAttributes(Map.of("campaign", "winter"))
            .build();
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt, 1234);
      subtask.settle(devices);

      StreamRecord<?> record = (StreamRecord<?>) subtask.harness.getOutput().poll();
      assertThat(record.getTimestamp()).isEqualTo(1234);
      ImageEvent image = (ImageEvent) record.getValue();
      byte[] png = undisturbed(prompt);
      assertThat(image)
          .isEqualTo(
              ImageEvent.newBuilder()
                  .setId("poster")
                  .setImage(ByteBuffer.wrap(png))
                  .setMediaType("image/png")
                  .setDigest(
                      HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(png)))
                  .setWidth(16)
                  .setHeight(8)
                  .setPrompt("a lighthouse")
                  .setNegativePrompt("fog")
                  .setPromptTruncated(false)
                  .setSeed(42)
                  .setSteps(3)
                  .setGuidanceScale(7.5)
                  .setScheduler("DDIMScheduler")
                  .setModel("fake")
                  .setModelDigest("digest-of-fake")
                  .setAttributes(Map.of("campaign", "winter"))
                  .setOriginal(Events.original(RequestEvent.of(prompt)))
                  .setAudit(
                      AuditRecord.newBuilder()
                          .setModel("fake")
                          .setModelDigest("digest-of-fake")
                          .setTask("text-to-image")
                          .setScheduler("DDIMScheduler")
                          .setSteps(3)
                          .setSeed(42)
                          .setParameters(
                              Map.of(
                                  "prompt", "a lighthouse",
                                  "negativePrompt", "fog",
                                  "guidanceScale", "7.5",
                                  "width", "16",
                                  "height", "8"))
                          .setSoftwareVersion(SoftwareVersion.CURRENT)
                          .build())
                  .setDeviceSeconds(0.0) // its clock stands still
                  .build());
      Raster picture = PngCodec.decode(png);
      assertThat(picture.width()).isEqualTo(16);
      assertThat(Audit.of(picture.metadata())).contains(AuditRecords.audit(image.getAudit()));
    }
  }

  @Test
  void whatARequestLeavesOpenComesFromTheJobsSettings() throws Exception {
    try (Subtask subtask =
        open(
            DiffusionOptions.DEFAULT_STEPS, 7,
            DiffusionOptions.DEFAULT_GUIDANCE_SCALE, 3.0,
            DiffusionOptions.DEFAULT_SCHEDULER, "LCMScheduler",
            DiffusionOptions.DEFAULT_WIDTH, 24,
            DiffusionOptions.DEFAULT_HEIGHT, 32)) {
      subtask.harness.processElement(
          new StreamRecord<>(PromptEvent.newBuilder().setId("a").setPrompt("a").build()));
      subtask.settle(devices);

      assertThat(((StreamRecord<?>) subtask.harness.getOutput().peek()).hasTimestamp()).isFalse();
      ImageEvent image = subtask.images().get(0);
      assertThat(image.getSteps()).isEqualTo(7);
      assertThat(image.getGuidanceScale()).isEqualTo(3.0);
      assertThat(image.getScheduler()).isEqualTo("LCMScheduler");
      assertThat(image.getWidth()).isEqualTo(24);
      assertThat(image.getHeight()).isEqualTo(32);
      assertThat(image.getSeed()).isEqualTo(Seeds.fromId("a"));
    }
  }

  @Test
  void aRequestThatCanNotBeDoneBecomesAFailureWithTheRequestInIt() throws Exception {
    PromptEvent invalid =
        PromptEvent.newBuilder()
            .setId("invalid")
            .setPrompt("a cat")
            .setSteps(0)
            .setAttributes(Map.of("k", "v"))
            .setContext(
                new RecordContext(
                    ByteBuffer.wrap(new byte[] {1}),
                    Map.of("traceparent", ByteBuffer.wrap(new byte[] {2}))))
            .build();
    try (Subtask subtask = open()) {
      subtask.harness.processElement(invalid, 5);
      subtask.harness.processElement(prompt("", 1), 6);
      subtask.harness.processElement(prompt("x".repeat(513), 1), 7);
      subtask.harness.processElement(prompt("steps", 10_000), 8);
      subtask.harness.processElement(
          PromptEvent.newBuilder(prompt("good", 1)).setContext(invalid.getContext()).build(), 9);
      subtask.settle(devices);

      assertThat(subtask.imageIds()).containsExactly("good");
      assertThat(subtask.failures())
          .allMatch(failure -> failure.getReason() == FailureReason.INVALID_REQUEST)
          .extracting(FailureEvent::getMessage)
          .containsExactly(
              "steps is 0; use 1 to 1000.",
              "The request's id has 0 characters; an id has 1 to 512.",
              "The request's id has 513 characters; an id has 1 to 512.",
              "The request takes 10000 network steps; at most 1000 are accepted"
                  + " (diffusion.request.max-steps).");
      FailureEvent first = subtask.failures().get(0);
      assertThat(first.getId()).isEqualTo("invalid");
      assertThat(first.getAttributes()).containsEntry("k", "v");
      assertThat(first.getContext()).isNotNull().isEqualTo(invalid.getContext());
      assertThat(subtask.images().get(0).getContext()).isEqualTo(invalid.getContext());
      assertThat(EventCodec.prompts().decode(first.getOriginal().array())).isEqualTo(invalid);
      assertThat(subtask.harness.getSideOutput(DiffusionOperator.FAILURES).peek().getTimestamp())
          .isEqualTo(5);
    }
  }

  @Test
  void failuresOnTheDeviceKeepTheirReason() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.REQUEST_TIMEOUT, Duration.ofSeconds(10))) {
      pipelines.last().notFinite.add("nan@1");
      pipelines.last().invalidAtStart.add("refused");
      subtask.harness.processElement(prompt("nan", 3), 0);
      subtask.harness.processElement(prompt("refused", 3), 0);
      subtask.settle(devices);
      pipelines.last().rowsThatFit = 0;
      subtask.harness.processElement(prompt("large", 3), 0);
      subtask.settle(devices);
      pipelines.last().rowsThatFit = 100;
      subtask.harness.processElement(prompt("slow", 3), 0);
      devices.deviceCall();
      devices.ticker.advance(Duration.ofSeconds(10));
      subtask.settle(devices);

      assertThat(subtask.failures())
          .extracting(FailureEvent::getId, FailureEvent::getReason)
          .containsExactlyInAnyOrder(
              tuple("nan", FailureReason.NOT_FINITE),
              tuple("refused", FailureReason.INVALID_REQUEST),
              tuple("large", FailureReason.OUT_OF_MEMORY),
              tuple("slow", FailureReason.TIMEOUT));
      assertThat(subtask.images()).isEmpty();
    }
  }

  @Test
  void aFailureNamesThePlaceOfItsRequestInKafkaEvenAfterARestart() throws Exception {
    PromptEvent prompt = prompt("a", 3);
    prompt.setOrigin(new RecordPosition("prompts", 5, 1L << 40));
    OperatorSubtaskState state;
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt, 0);
      devices.deviceCall();
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    FakePipelines failing = new FakePipelines();
    try (Subtask subtask = new Subtask(failing, settings(), after.services).restore(state)) {
      failing.last().notFinite.add("a@1");
      subtask.settle(after);

      assertThat(subtask.failures())
          .extracting(FailureEvent::getTopic, FailureEvent::getPartition, FailureEvent::getOffset)
          .containsExactly(tuple("prompts", 5, 1L << 40));
    }
  }

  @Test
  void aRequestIsBegunAnewAsOftenAsAskedForAndCounted() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.REQUEST_RETRIES, 2)) {
      pipelines.last().notFinite.add("nan@1");
      subtask.harness.processElement(prompt("nan", 3), 0);
      subtask.settle(devices);

      assertThat(subtask.failures()).extracting(FailureEvent::getId).containsExactly("nan");
      assertThat(pipelines.last().calls).filteredOn("start[nan]"::equals).hasSize(3);
      assertThat(subtask.meters().retries.getCount()).isEqualTo(2);
    }
  }

  @Test
  void theEarlierDeadlineGoesFirstAndAPastOneIsToldWithoutWork() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.BATCH_ROWS, 1)) {
      subtask.harness.setProcessingTime(1_000_000);
      Map<String, Long> deadlines = new LinkedHashMap<>();
      deadlines.put("never", null);
      deadlines.put("later", 1_020_000L);
      deadlines.put("soon", 1_010_000L);
      deadlines.put("past", 1_000_000L);
      deadlines.put("long ago", Long.MIN_VALUE);
      deadlines.put("far away", Long.MAX_VALUE);
      for (Map.Entry<String, Long> each : deadlines.entrySet()) {
        PromptEvent prompt = prompt(each.getKey(), 1);
        prompt.setDeadline(each.getValue());
        subtask.harness.processElement(prompt, 0);
      }
      subtask.settle(devices);

      assertThat(pipelines.last().calls)
          .filteredOn(call -> call.startsWith("step"))
          .containsExactly("step[soon@0]", "step[later@0]", "step[never@0]", "step[far away@0]");
      assertThat(subtask.failures())
          .allMatch(failure -> failure.getReason() == FailureReason.TIMEOUT)
          .extracting(FailureEvent::getId)
          .containsExactly("past", "long ago");
      assertThat(subtask.failures().get(0).getMessage())
          .isEqualTo(
              "Request past arrived after its deadline 1970-01-01T00:16:40Z; the time is"
                  + " 1970-01-01T00:16:40Z.");
    }
  }

  @Test
  void aDeadlineHoldsOnTheDeviceToo() throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.setProcessingTime(5_000);
      PromptEvent prompt = prompt("a", 9);
      prompt.setDeadline(7_000L);
      subtask.harness.processElement(prompt, 0);
      devices.deviceCall();
      devices.ticker.advance(Duration.ofSeconds(2));
      subtask.settle(devices);

      assertThat(subtask.failures())
          .extracting(FailureEvent::getReason)
          .containsExactly(FailureReason.TIMEOUT);
    }
  }

  @Test
  void anErrorOfTheDeviceFailsTheTask() throws Exception {
    try (Subtask subtask = open()) {
      pipelines.last().deviceErrors.add("a@0");
      subtask.harness.processElement(prompt("a", 1), 0);
      devices.deviceCall();
      devices.deviceCall();

      assertThatThrownBy(subtask::deliverAllMail)
          .isInstanceOf(DiffusionException.class)
          .hasMessageContaining("The device broke.");
      assertThat(subtask.snapshot()).as("what was left before the call is not lost").isNotNull();
      assertThatThrownBy(() -> subtask.harness.processElement(prompt("b", 1), 0))
          .hasMessageContaining("The device broke.");
    }
  }

  static List<Throwable> errors() {
    return List.of(
        new OutOfMemoryError("Java heap space"),
        new StackOverflowError(),
        new IllegalStateException("a bug"));
  }

  private static void fail(Throwable error) {
    if (error instanceof Error e) {
      throw e;
    }
    throw (RuntimeException) error;
  }

  @ParameterizedTest
  @MethodSource("errors")
  void anErrorWhileAnImageIsEncodedIsTriedAgainAndThenOnlyItsRequestFails(Throwable error)
      throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("a", 1), 0);
      while (devices.deviceCall()) {}
      pipelines.last().whenAskedForItsModel = () -> fail(error);
      for (int attempt = 1; attempt <= 3; attempt++) {
        assertThat(subtask.failures()).isEmpty();
        assertThat(devices.encodeOne()).as("attempt %d", attempt).isTrue();
        subtask.deliverAllMail();
        subtask.harness.setProcessingTime(attempt * 60_000);
        subtask.deliverAllMail();
      }
      pipelines.last().whenAskedForItsModel = () -> {};
      subtask.harness.processElement(prompt("b", 1), 0);
      subtask.settle(devices);

      assertThat(subtask.failures())
          .extracting(FailureEvent::getId, FailureEvent::getReason)
          .containsExactly(tuple("a", FailureReason.POISON));
      assertThat(EventCodec.prompts().decode(subtask.failures().get(0).getOriginal().array()))
          .isEqualTo(prompt("a", 1));
      assertThat(subtask.imageIds()).containsExactly("b");
    }
  }

  @Test
  void anErrorThatPassesCostsNothing() throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("a", 1), 0);
      while (devices.deviceCall()) {}
      pipelines.last().whenAskedForItsModel = () -> fail(new OutOfMemoryError());
      devices.encodeOne();
      pipelines.last().whenAskedForItsModel = () -> {};
      subtask.deliverAllMail();
      subtask.harness.setProcessingTime(1_000);
      subtask.settle(devices);

      assertThat(subtask.imageIds()).containsExactly("a");
    }
  }

  @Test
  void orderedResultsLeaveAsTheirRequestsCame() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.OUTPUT_ORDER, OutputOrder.ORDERED)) {
      subtask.harness.processElement(prompt("long", 5), 0);
      subtask.harness.processElement(prompt("short", 1), 1);
      subtask.harness.processElement(prompt("refused", 0), 2);
      subtask.harness.processElement(prompt("middle", 3), 3);
      subtask.settle(devices);

      assertThat(subtask.imageIds()).containsExactly("long", "short", "middle");
      assertThat(subtask.failures()).extracting(FailureEvent::getId).containsExactly("refused");
    }
  }

  @Test
  void unorderedResultsLeaveAsTheyGetDone() throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("long", 5), 0);
      subtask.harness.processElement(prompt("short", 1), 1);
      subtask.harness.processElement(prompt("middle", 3), 2);
      subtask.settle(devices);

      assertThat(subtask.imageIds()).containsExactly("short", "middle", "long");
    }
  }

  @ParameterizedTest
  @EnumSource(OutputOrder.class)
  void noResultCrossesAWatermarkOrAChangeToIdle(OutputOrder order) throws Exception {
    try (Subtask subtask = open(DiffusionOptions.OUTPUT_ORDER, order)) {
      subtask.harness.processElement(prompt("long", 9), 10);
      subtask.harness.processWatermark(10);
      subtask.harness.processElement(prompt("short", 1), 20);
      subtask.harness.processWatermark(20);
      subtask.harness.processWatermarkStatus(WatermarkStatus.IDLE);
      assertThat(subtask.harness.getOutput()).isEmpty();
      subtask.settle(devices);

      assertThat(subtask.harness.getOutput().stream().map(DiffusionOperatorTest::name))
          .containsExactly("long", "W10", "short", "W20", "IDLE");
    }
  }

  @Test
  void watermarksWithNothingBeforeThemLeaveAtOnce() throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.processWatermark(1);
      subtask.harness.processWatermarkStatus(WatermarkStatus.IDLE);
      subtask.harness.processWatermarkStatus(WatermarkStatus.ACTIVE);
      subtask.harness.processWatermark(2);

      assertThat(subtask.harness.getOutput().stream().map(DiffusionOperatorTest::name))
          .containsExactly("W1", "IDLE", "ACTIVE", "W2");
    }
  }

  @Test
  void ofManyWatermarksBetweenTwoRequestsTheLastIsEnough() throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("a", 1), 0);
      for (int i = 0; i < 1000; i++) {
        subtask.harness.processWatermark(i);
      }
      subtask.settle(devices);

      assertThat(subtask.harness.getOutput().stream().map(DiffusionOperatorTest::name))
          .containsExactly("a", "W999");
    }
  }

  @Test
  void latencyMarkersAreForwarded() throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("a", 1), 0);
      LatencyMarker marker = new LatencyMarker(1, subtask.harness.getOperator().getOperatorID(), 0);
      subtask.harness.getOneInputOperator().processLatencyMarker(marker);

      assertThat(subtask.harness.getOutput()).containsExactly(marker);
    }
  }

  @Test
  void betweenTwoResultsOtherMailGetsItsTurn() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.OUTPUT_ORDER, OutputOrder.ORDERED)) {
      subtask.harness.processElement(prompt("long", 5), 0);
      subtask.harness.processElement(prompt("short", 1), 0);
      subtask.harness.processElement(prompt("too", 1), 0);
      while (devices.deviceCall() || devices.encodeOne()) {}
      int before = 0;
      while (subtask.deliverMail()) {
        assertThat(subtask.images().size() - before).isLessThanOrEqualTo(1);
        before = subtask.images().size();
      }
      assertThat(before).isEqualTo(3);
    }
  }

  @Test
  void anEventThatIsReusedByFlinkIsCopied() throws Exception {
    Subtask subtask = new Subtask(pipelines, settings(), devices.services);
    subtask.harness.getExecutionConfig().enableObjectReuse();
    try (subtask) {
      subtask.open();
      PromptEvent reused = prompt("first", 2);
      subtask.harness.processElement(reused, 0);
      reused.setId("second");
      reused.setPrompt("another");
      subtask.harness.processElement(reused, 0);
      subtask.settle(devices);

      assertThat(subtask.images()).extracting(ImageEvent::getId).containsExactly("first", "second");
      assertThat(subtask.images())
          .extracting(ImageEvent::getPrompt)
          .containsExactly("a first", "another");
    }
  }

  @Test
  void progressIsToldEverySoManySteps() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.PROGRESS_EVERY_STEPS, 2)) {
      subtask.harness.processElement(prompt("a", 5), 77);
      subtask.settle(devices);

      assertThat(subtask.progress())
          .extracting(ProgressEvent::getId, ProgressEvent::getStep, ProgressEvent::getTotalSteps)
          .containsExactly(tuple("a", 2, 5), tuple("a", 4, 5), tuple("a", 5, 5));
    }
  }

  @Test
  void progressMayCarryASmallPicture() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.PREVIEW_EVERY_STEPS, 2)) {
      subtask.harness.processElement(prompt("a", 5), 77);
      subtask.settle(devices);

      assertThat(subtask.progress())
          .extracting(ProgressEvent::getStep, ProgressEvent::getTotalSteps)
          .containsExactly(tuple(2, 5), tuple(4, 5));
      assertThat(PngCodec.decode(subtask.progress().get(0).getPreview().array()).width())
          .isEqualTo(1);
      assertThat(subtask.images().get(0).getImage().array()).isEqualTo(undisturbed(prompt("a", 5)));
      assertThat(pipelines.last().calls).contains("preview[a@2]", "preview[a@4]");
    }
  }

  @Test
  void aPreviewThatComesAfterThePictureIsLeftOut() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.PREVIEW_EVERY_STEPS, 4)) {
      subtask.harness.processElement(prompt("a", 5), 77);
      while (devices.deviceCall()) {}
      while (devices.encodeOne()) {}
      subtask.deliverAllMail();

      assertThat(subtask.progress()).isEmpty();
      assertThat(subtask.imageIds()).containsExactly("a");
    }
  }

  @Test
  void aTaskThatDoesNotReadItsMailIsNotBuriedUnderProgress() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.PROGRESS_EVERY_STEPS, 1)) {
      subtask.harness.processElement(prompt("a", 900), 0);
      while (devices.deviceCall()) {}
      int mails = 0;
      while (subtask.deliverMail()) {
        mails++;
      }
      assertThat(mails).isEqualTo(1);
      assertThat(subtask.progress()).extracting(ProgressEvent::getStep).containsExactly(900);
    }
  }

  // ------------------------------------------------------------------ checkpoints

  /** Requests of different length and kind, so that a snapshot catches each at another point. */
  private static List<PromptEvent> mixture() {
    List<PromptEvent> prompts = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      PromptEvent prompt = prompt("r" + i, 1 + (i * 5) % 7);
      prompt.setGuidanceScale(i % 3 == 0 ? 7.5 : 1.0);
      prompt.setWidth(i % 4 == 0 ? 16 : 8);
      prompts.add(prompt);
    }
    return prompts;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void whereverItIsSavedAndHoweverManySubtasksRestoreAllPicturesAreEqual(int newParallelism)
      throws Exception {
    List<PromptEvent> prompts = mixture();
    Map<String, byte[]> expected = new HashMap<>();
    prompts.forEach(prompt -> expected.put(prompt.getId(), undisturbed(prompt)));
    int savedMidWay = 0;
    for (int callsBefore = 0; callsBefore <= 24; callsBefore++) {
      ManualDevices before = new ManualDevices();
      List<ImageEvent> images = new ArrayList<>();
      OperatorSubtaskState state;
      try (Subtask subtask =
          new Subtask(
                  new FakePipelines(), settings(DiffusionOptions.BATCH_ROWS, 4), before.services)
              .open()) {
        for (PromptEvent prompt : prompts) {
          subtask.harness.processElement(prompt, 0);
        }
        for (int i = 0; i < callsBefore; i++) {
          before.deviceCall();
        }
        while (before.encodeOne()) {}
        for (int i = 0; i < callsBefore / 6; i++) {
          subtask.deliverMail(); // some results are out, some are finished and still inside
        }
        images.addAll(subtask.images());
        state = subtask.snapshot();
      }
      assertThat(before.services.models().size()).isZero();

      ManualDevices after = new ManualDevices();
      FakePipelines restoring = new FakePipelines();
      for (int i = 0; i < newParallelism; i++) {
        OperatorSubtaskState share =
            AbstractStreamOperatorTestHarness.repartitionOperatorState(
                state, 16, 1, newParallelism, i);
        try (Subtask subtask =
            new Subtask(restoring, settings(), after.services, newParallelism, i).restore(share)) {
          subtask.settle(after);
          images.addAll(subtask.images());
          savedMidWay +=
              (int) restoring.last().calls.stream().filter(c -> c.startsWith("restore")).count();
        }
      }
      assertThat(images).as("after %d calls", callsBefore).hasSize(prompts.size());
      for (ImageEvent image : images) {
        assertThat(image.getImage().array())
            .as("%s after %d calls", image.getId(), callsBefore)
            .isEqualTo(expected.get(image.getId()));
      }
    }
    assertThat(savedMidWay).isPositive();
  }

  @Test
  void aRestoredTrajectoryGoesOnAtItsStepAndAFinishedPictureIsNotMadeAgain() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = open(DiffusionOptions.CAPACITY, 3)) {
      subtask.harness.processElement(prompt("done", 1), 1);
      subtask.harness.processElement(prompt("half", 4), 2);
      devices.deviceCall(); // start
      devices.deviceCall(); // step
      devices.deviceCall(); // decode "done"
      devices.deviceCall(); // step
      while (devices.encodeOne()) {}
      subtask.harness.processElement(prompt("waiting", 2), 3);
      state = subtask.snapshot();
      assertThat(subtask.images()).isEmpty();
    }
    ManualDevices after = new ManualDevices();
    FakePipelines restoring = new FakePipelines();
    try (Subtask subtask = new Subtask(restoring, settings(), after.services).restore(state)) {
      subtask.settle(after);

      assertThat(restoring.last().calls)
          .contains("restore[half@2]", "start[waiting]")
          .doesNotContain("start[done]")
          .noneMatch(call -> call.contains("half@0") || call.contains("half@1"));
      assertThat(subtask.harness.extractOutputStreamRecords())
          .extracting(StreamRecord::getTimestamp)
          .containsExactlyInAnyOrder(1L, 2L, 3L);
    }
  }

  @Test
  void aPictureThatIsNotEncodedYetIsSavedAsItsFinishedTrajectory() throws Exception {
    PromptEvent prompt = prompt("a", 3);
    OperatorSubtaskState state;
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt, 7);
      while (devices.deviceCall()) {}
      assertThat(devices.encodings).hasSize(1);
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    FakePipelines restoring = new FakePipelines();
    try (Subtask subtask = new Subtask(restoring, settings(), after.services).restore(state)) {
      subtask.settle(after);

      assertThat(restoring.last().calls).containsExactly("restore[a@3]", "finish[a]");
      assertThat(subtask.images().get(0).getImage().array()).isEqualTo(undisturbed(prompt));
    }
  }

  @Test
  void aCheckpointBeforeTheRestoredRequestsAreTakenUpHoldsThemAll() throws Exception {
    List<PromptEvent> prompts = mixture();
    OperatorSubtaskState state;
    try (Subtask subtask = open(DiffusionOptions.BATCH_ROWS, 4)) {
      for (PromptEvent prompt : prompts) {
        subtask.harness.processElement(prompt, 0);
      }
      for (int call = 0; call < 9; call++) {
        devices.deviceCall();
      }
      state = subtask.snapshot();
    }
    List<OperatorSubtaskState> saved = new ArrayList<>();
    ManualDevices restoring = new ManualDevices();
    FakePipelines pipelines = new FakePipelines();
    try (Subtask subtask = new Subtask(pipelines, settings(), restoring.services)) {
      subtask.harness.initializeState(state);
      saved.add(subtask.snapshot()); // before it is open
      subtask.harness.open();
      saved.add(subtask.snapshot()); // before the device knows
      pipelines.last().beforeCall = () -> saved.add(snapshotOf(subtask)); // while it takes them up
      restoring.deviceCall();
      assertThat(pipelines.last().calls.get(0)).startsWith("restore[");
    }
    assertThat(saved).hasSize(3);
    for (OperatorSubtaskState again : saved) {
      ManualDevices after = new ManualDevices();
      try (Subtask subtask =
          new Subtask(new FakePipelines(), settings(), after.services).restore(again)) {
        subtask.settle(after);
        assertThat(subtask.images()).hasSize(prompts.size());
        for (PromptEvent prompt : prompts) {
          assertThat(subtask.images())
              .filteredOn(image -> image.getId().equals(prompt.getId()))
              .singleElement()
              .satisfies(
                  image -> assertThat(image.getImage().array()).isEqualTo(undisturbed(prompt)));
        }
      }
    }
  }

  private static OperatorSubtaskState snapshotOf(Subtask subtask) {
    try {
      return subtask.snapshot();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void aTrajectoryOfAnotherModelBeginsAgain() throws Exception {
    OperatorSubtaskState state;
    PromptEvent prompt = prompt("a", 4);
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt, 0);
      devices.deviceCall();
      devices.deviceCall();
      devices.deviceCall();
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    FakePipelines changed = new FakePipelines("digest of the next version");
    try (Subtask subtask = new Subtask(changed, settings(), after.services).restore(state)) {
      subtask.settle(after);

      assertThat(changed.last().calls).startsWith("start[a]", "step[a@0]");
      ImageEvent image = subtask.images().get(0);
      assertThat(image.getImage().array())
          .isEqualTo(undisturbed(prompt, new ModelInfo("fake", "digest of the next version")));
      assertThat(image.getModelDigest()).isEqualTo("digest of the next version");
    }
  }

  private static ModelInfo loadedAs(String... namesAndValues) {
    SortedMap<String, String> loadedAs = new TreeMap<>();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      loadedAs.put(namesAndValues[i], namesAndValues[i + 1]);
    }
    return new ModelInfo("fake", FakePipeline.MODEL.digest(), loadedAs);
  }

  /** The steps of a request that was saved at step 2 of 4, on the model that it is restored on. */
  private List<String> callsAfterRestore(ModelInfo before, ModelInfo after) throws Exception {
    PromptEvent prompt = prompt("a", 4);
    ManualDevices saving = new ManualDevices();
    OperatorSubtaskState state;
    try (Subtask subtask =
        new Subtask(new FakePipelines(before), settings(), saving.services).open()) {
      subtask.harness.processElement(prompt, 0);
      saving.deviceCall();
      saving.deviceCall();
      saving.deviceCall();
      state = subtask.snapshot();
    }
    ManualDevices restoring = new ManualDevices();
    FakePipelines pipelines = new FakePipelines(after);
    try (Subtask subtask = new Subtask(pipelines, settings(), restoring.services).restore(state)) {
      subtask.settle(restoring);
      assertThat(subtask.images().get(0).getImage().array()).isEqualTo(undisturbed(prompt, after));
      boolean begunAnew = pipelines.last().calls.get(0).equals("start[a]");
      assertThat(subtask.meters().restartedTrajectories.getCount()).isEqualTo(begunAnew ? 1 : 0);
      assertThat(subtask.meters().restoredTrajectories.getCount()).isEqualTo(begunAnew ? 0 : 1);
    }
    return pipelines.last().calls;
  }

  @Test
  void whatDecidesAnImageIsTheSameForAllItsStepsOrTheyAreMadeAgain() throws Exception {
    ModelInfo single = loadedAs("precision", "FLOAT32");
    assertThat(callsAfterRestore(single, single)).startsWith("restore[a@2]");
    assertThat(callsAfterRestore(single, loadedAs("precision", "BFLOAT16")))
        .startsWith("start[a]", "step[a@0]");
    assertThat(callsAfterRestore(single, loadedAs("precision", "FLOAT32", "loras", "x=0.5")))
        .startsWith("start[a]");
    assertThat(
            callsAfterRestore(
                loadedAs("precision", "FLOAT32", "loras", "x=0.5"),
                loadedAs("precision", "FLOAT32", "loras", "x=0.7")))
        .startsWith("start[a]");
    assertThat(callsAfterRestore(loadedAs(), single))
        .as("of earlier versions' states the digest alone is known")
        .startsWith("restore[a@2]");
  }

  @Test
  void afterAScaleInNothingIsTakenInUntilThereIsRoom() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = open(DiffusionOptions.CAPACITY, 10)) {
      for (int i = 0; i < 10; i++) {
        subtask.harness.processElement(prompt("r" + i, 2), i);
      }
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    try (Subtask subtask =
        new Subtask(new FakePipelines(), settings(DiffusionOptions.CAPACITY, 4), after.services)
            .restore(state)) {
      // Work off the results without delivering them: the mail is read by processElement itself.
      while (after.deviceCall() || after.encodeOne()) {}
      assertThat(subtask.images()).isEmpty();
      subtask.harness.processElement(prompt("next", 2), 10);

      assertThat(subtask.images()).hasSizeGreaterThanOrEqualTo(7);
    }
  }

  @Test
  void restoredResultsAreSavedAgainBeforeTheyAreOut() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("a", 1), 0);
      subtask.harness.processElement(prompt(" ", 0), 0);
      while (devices.deviceCall() || devices.encodeOne()) {}
      state = subtask.snapshot();
    }
    for (int i = 0; i < 2; i++) {
      try (Subtask subtask =
          new Subtask(new FakePipelines(), settings(), new ManualDevices().services)
              .restore(state)) {
        state = subtask.snapshot();
      }
    }
    FakePipelines unused = new FakePipelines();
    try (Subtask subtask =
        new Subtask(unused, settings(), new ManualDevices().services).restore(state)) {
      subtask.deliverAllMail();
      assertThat(subtask.imageIds()).containsExactly("a");
      assertThat(subtask.failures()).hasSize(1);
      assertThat(unused.last().calls).isEmpty();
    }
  }

  @Test
  void whatIsOutIsInNoLaterCheckpoint() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("a", 1), 0);
      subtask.settle(devices);
      assertThat(subtask.images()).hasSize(1);
      state = subtask.snapshot();
    }
    try (Subtask subtask =
        new Subtask(new FakePipelines(), settings(), new ManualDevices().services).restore(state)) {
      subtask.deliverAllMail();
      assertThat(subtask.images()).isEmpty();
    }
  }

  // ------------------------------------------------------------------ large pictures

  private static Object[] storingIn(Path folder) {
    return new Object[] {
      PayloadOptions.STORE,
      folder.toUri().toString(),
      PayloadOptions.INLINE_LIMIT,
      new MemorySize(800)
    };
  }

  @Test
  void aPictureAboveTheInlineLimitIsStoredAndNamed(@TempDir Path folder) throws Exception {
    PromptEvent small = prompt("small", 1);
    small.setWidth(1);
    small.setHeight(1);
    PromptEvent large = prompt("large", 2);
    large.setWidth(32);
    large.setHeight(32);
    try (Subtask subtask = open(storingIn(folder))) {
      subtask.harness.processElement(small, 0);
      subtask.harness.processElement(large, 0);
      subtask.settle(devices);

      ImageEvent inline = subtask.images().get(0);
      assertThat(inline.getImageReference()).isNull();
      assertThat(inline.getImage().array()).isEqualTo(undisturbed(small));
      ImageEvent stored = subtask.images().get(1);
      byte[] png = undisturbed(large);
      assertThat(stored.getImage().remaining()).isZero();
      assertThat(stored.getDigest()).isEqualTo(stored.getImageReference().getSha256());
      assertThat(Files.readAllBytes(Path.of(URI.create(stored.getImageReference().getUri()))))
          .isEqualTo(png);
    }
  }

  @Test
  void aFinishedPictureIsInACheckpointByItsReferenceAlone(@TempDir Path folder) throws Exception {
    OperatorSubtaskState state;
    DiffusionSettings settings = settings(storingIn(folder));
    PromptEvent prompt = prompt("large", 1);
    prompt.setWidth(128);
    prompt.setHeight(128);
    try (Subtask subtask = new Subtask(pipelines, settings, devices.services).open()) {
      subtask.harness.processElement(prompt, 0);
      while (devices.deviceCall() || devices.encodeOne()) {}
      state = subtask.snapshot();
      assertThat(state.getStateSize()).isLessThan(undisturbed(prompt).length / 4);
    }
    FakePipelines unused = new FakePipelines();
    try (Subtask subtask =
        new Subtask(unused, settings, new ManualDevices().services).restore(state)) {
      subtask.deliverAllMail();

      assertThat(unused.last().calls).isEmpty();
      assertThat(subtask.images().get(0).getImageReference().getLength())
          .isEqualTo(undisturbed(prompt).length);
    }
  }

  @Test
  void aStoreThatDoesNotAnswerIsTriedAgainForATimeAndThenFailsTheTask(@TempDir Path folder)
      throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "");
    try (Subtask subtask = open(storingIn(file.resolve("store")))) {
      subtask.harness.processElement(large("a"), 0);
      work(subtask);
      subtask.harness.setProcessingTime(299_000);
      work(subtask);
      assertThat(devices.encodeOne()).as("a thread is occupied").isFalse();
      assertThat(subtask.inFlight()).isOne();

      subtask.harness.setProcessingTime(400_000);
      assertThatThrownBy(() -> work(subtask))
          .isInstanceOf(DiffusionException.class)
          .hasMessageContaining("image of request a could not be encoded or stored");
    }
  }

  @Test
  void aStoreThatIsBackIsUsed(@TempDir Path folder) throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "");
    try (Subtask subtask = open(storingIn(file.resolve("store")))) {
      subtask.harness.processElement(large("a"), 0);
      subtask.harness.processElement(prompt("b", 1), 0); // small, needs no store
      work(subtask);
      assertThat(subtask.imageIds()).containsExactly("b");
      subtask.harness.snapshot(1, 1);

      Files.delete(file);
      subtask.harness.setProcessingTime(1_000);
      work(subtask);
      assertThat(subtask.imageIds()).containsExactly("b", "a");
    }
  }

  @Test
  void anOwnerMayLetTheRequestFailInstead(@TempDir Path folder) throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "");
    List<Object> options = new ArrayList<>(List.of(storingIn(file.resolve("store"))));
    options.addAll(
        List.of(
            DiffusionOptions.OUTAGE_RETRY_TIME,
            Duration.ZERO,
            DiffusionOptions.OUTAGE_ACTION,
            OutageAction.FAIL_REQUEST));
    try (Subtask subtask = open(options.toArray())) {
      subtask.harness.processElement(large("a"), 0);
      work(subtask);

      assertThat(subtask.failures())
          .extracting(FailureEvent::getId, FailureEvent::getReason)
          .containsExactly(tuple("a", FailureReason.PAYLOAD));
    }
  }

  private static PromptEvent large(String id) {
    PromptEvent large = prompt(id, 1);
    large.setWidth(32);
    large.setHeight(32);
    return large;
  }

  private void work(Subtask subtask) throws Exception {
    while (devices.deviceCall() || devices.encodeOne()) {
      subtask.deliverAllMail();
    }
    subtask.deliverAllMail();
  }

  // ------------------------------------------------------------------ sharing and closing

  @Test
  void aRestartedTaskFindsItsModelAndContinues() throws Exception {
    DiffusionSettings kept = settings(DiffusionOptions.DEVICE_KEEP_MODEL, Duration.ofSeconds(30));
    OperatorSubtaskState state;
    try (Subtask before = new Subtask(pipelines, kept, devices.services).open()) {
      before.harness.processElement(prompt("a", 3), 0);
      devices.deviceCall();
      devices.deviceCall();
      state = before.snapshot();
    }
    try (Subtask after = new Subtask(pipelines, kept, devices.services).restore(state)) {
      after.settle(devices);
      assertThat(after.imageIds()).containsExactly("a");
    }
    assertThat(pipelines.opened).hasSize(1);
    assertThat(pipelines.last().closed).isFalse();

    devices.alarms.forEach(Runnable::run);
    assertThat(pipelines.last().closed).isTrue();
  }

  @Test
  void subtasksShareTheModelAndItsCalls() throws Exception {
    try (Subtask one = new Subtask(pipelines, settings(), devices.services, 2, 0).open();
        Subtask two = new Subtask(pipelines, settings(), devices.services, 2, 1).open()) {
      one.harness.processElement(prompt("a", 1), 0);
      two.harness.processElement(prompt("b", 1), 0);
      while (devices.deviceCall() || devices.encodeOne()) {}
      one.deliverAllMail();
      two.deliverAllMail();

      assertThat(pipelines.opened).hasSize(1);
      assertThat(pipelines.last().calls).contains("step[a@0, b@0]");
      assertThat(one.imageIds()).containsExactly("a");
      assertThat(two.imageIds()).containsExactly("b");
    }
    assertThat(pipelines.last().closed).isTrue();
  }

  @Test
  void closingOneSubtaskLeavesTheOthersAlone() throws Exception {
    try (Subtask two = new Subtask(pipelines, settings(), devices.services, 2, 1).open()) {
      Subtask one = new Subtask(pipelines, settings(), devices.services, 2, 0).open();
      one.harness.processElement(prompt("a", 3), 0);
      two.harness.processElement(prompt("b", 3), 0);
      devices.deviceCall();
      devices.deviceCall();
      one.close();
      two.settle(devices);

      assertThat(two.imageIds()).containsExactly("b");
      assertThat(pipelines.last().calls).contains("step[a@0, b@0]", "step[b@1]");
    }
  }

  @Test
  void aModelThatDoesNotOpenFailsTheTaskWithTheReason() throws Exception {
    PipelineFactory broken =
        new OpenedBy(
            "broken",
            () -> {
              throw new IllegalStateException("unet/config.json is missing");
            });
    Subtask subtask = new Subtask(broken, settings(), devices.services);
    assertThatThrownBy(subtask::open).hasRootCauseMessage("unet/config.json is missing");
    subtask.close();
  }

  private static String name(Object output) {
    if (output instanceof Watermark watermark) {
      return "W" + watermark.getTimestamp();
    }
    if (output instanceof WatermarkStatus status) {
      return status.isIdle() ? "IDLE" : "ACTIVE";
    }
    return ((ImageEvent) ((StreamRecord<?>) output).getValue()).getId();
  }
}
