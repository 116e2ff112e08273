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
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.SoftwareVersion;
import io.github.flinkdiffusion.ops.pipeline.Seeds;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What becomes of a request: its image, or its failure. The operator in Flink's harness; the device
 * works call by call as the test says.
 */
class DiffusionOperatorTest extends SubtaskCase {
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
}
