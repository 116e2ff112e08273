/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.prompt;
import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import io.github.flinkdiffusion.ops.serving.UnusableModelException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;

/** Versions of a model change while requests are under way. */
class ModelSwapTest {
  private final ManualDevices devices = new ManualDevices();
  private final Map<String, Version> folders = new TreeMap<>();
  private final Version configured = new Version("/models/v1", "StableDiffusionPipeline");
  private final Version v2 = new Version("/models/v2", "StableDiffusionPipeline");

  /** Of 10 bytes. Its digest is called as the folder. */
  private class Version extends FakePipelines {
    private static final long serialVersionUID = 1L;

    private final String folder;
    private final String pipeline;

    Version(String folder, String pipeline) {
      super(
          new ModelInfo(
              folder.substring(folder.lastIndexOf('/') + 1),
              "digest-of-" + folder,
              new TreeMap<>(Map.of("pipeline", pipeline))),
          10);
      this.folder = folder;
      this.pipeline = pipeline;
      folders.put(folder, this);
    }

    @Override
    public String model() {
      return folder;
    }

    @Override
    public String digest() {
      return "digest-of-" + folder;
    }

    @Override
    public Optional<String> pipelineClass() {
      return Optional.of(pipeline);
    }

    @Override
    public PipelineFactory at(String other) {
      Version version = folders.get(other);
      if (version == null) {
        throw new UnusableModelException("Model folder %s does not exist.".formatted(other));
      }
      return version;
    }
  }

  private Subtask subtask(ManualDevices on, Object... options) throws Exception {
    return new Subtask(ModelList.of(configured), settings(options), on.services);
  }

  private static void event(Subtask subtask, ModelEvent.Builder event) throws Exception {
    ((DiffusionOperator) subtask.harness.getOperator()).modelEvent(event.build());
    subtask.deliverAllMail();
  }

  private static ModelEvent.Builder swap(String id, String folder) {
    return ModelEvent.newBuilder().setId(id).setFolder(folder);
  }

  private static void settle(Subtask subtask, ManualDevices on) throws Exception {
    for (int round = 0; round < 5; round++) {
      subtask.settle(on);
    }
  }

  @Test
  void requestsEndOnTheVersionThatTheyBeganOnAndLaterOnesBeginOnTheNext() throws Exception {
    try (Subtask subtask = subtask(devices).open()) {
      subtask.harness.processElement(prompt("a", 5), 0);
      devices.deviceCall();
      devices.deviceCall();
      event(subtask, swap("swap", "/models/v2"));
      subtask.harness.processElement(prompt("b", 1), 0);
      assertThat(configured.last().closed).as("a is under way").isFalse();
      settle(subtask, devices);

      assertThat(subtask.images())
          .extracting(
              ImageEvent::getId, ImageEvent::getModel, image -> image.getAudit().getModelDigest())
          .containsExactlyInAnyOrder(
              tuple("a", "v1", "digest-of-/models/v1"), tuple("b", "v2", "digest-of-/models/v2"));
      assertThat(configured.last().closed).as("its last request is done").isTrue();
    }
  }

  @Test
  void oneEventRollsBack() throws Exception {
    try (Subtask subtask = subtask(devices).open()) {
      event(subtask, swap("swap", "/models/v2").setVersion("2"));
      event(subtask, ModelEvent.newBuilder().setId("back").setVersion("configured"));
      subtask.harness.processElement(prompt("a", 1), 0);
      settle(subtask, devices);
      event(subtask, ModelEvent.newBuilder().setId("again").setVersion("2"));
      subtask.harness.processElement(prompt("b", 1), 0);
      settle(subtask, devices);
      event(subtask, ModelEvent.newBuilder().setId("by").setDigest("digest-of-/models/v1"));
      subtask.harness.processElement(prompt("c", 1), 0);
      settle(subtask, devices);

      assertThat(subtask.images())
          .extracting(ImageEvent::getModel)
          .containsExactly("v1", "v2", "v1");
      assertThat(subtask.failures()).isEmpty();
    }
  }

  @Test
  void withoutMemoryForBothTheEarlierVersionsRequestsEndFirst() throws Exception {
    try (Subtask subtask =
        subtask(
                devices,
                DiffusionOptions.MODELS_MEMORY,
                new MemorySize(15),
                DiffusionOptions.MODELS_TURN,
                Duration.ZERO)
            .open()) {
      subtask.harness.processElement(prompt("a", 5), 0);
      devices.deviceCall();
      event(subtask, swap("swap", "/models/v2"));
      assertThat(v2.opened).as("a is under way").isEmpty();
      subtask.harness.processElement(prompt("b", 1), 0);
      settle(subtask, devices);

      assertThat(subtask.images())
          .extracting(ImageEvent::getId, ImageEvent::getModel)
          .containsExactly(tuple("a", "v1"), tuple("b", "v2"));
      assertThat(devices.services.models().mostBytes("auto")).isEqualTo(10);
    }
  }

  @Test
  void afterARestartEachRequestGoesOnOnItsVersionAndNoEventIsFollowedTwice() throws Exception {
    OperatorSubtaskState state;
    ModelEvent.Builder swap = swap("swap", "/models/v2");
    try (Subtask subtask = subtask(devices).open()) {
      subtask.harness.processElement(prompt("a", 5), 0);
      devices.deviceCall();
      devices.deviceCall();
      event(subtask, swap);
      subtask.harness.processElement(prompt("b", 5), 0);
      devices.deviceCall();
      devices.deviceCall();
      state = subtask.snapshot();
    }
    ManualDevices others = new ManualDevices();
    try (Subtask restored = subtask(others).restore(state)) {
      int opened = v2.opened.size();
      event(restored, swap);
      assertThat(v2.opened).as("the event is known").hasSize(opened);
      restored.harness.processElement(prompt("c", 1), 0);
      settle(restored, others);

      assertThat(restored.images())
          .extracting(ImageEvent::getId, ImageEvent::getModel)
          .containsExactlyInAnyOrder(tuple("a", "v1"), tuple("b", "v2"), tuple("c", "v2"));
      assertThat(configured.last().calls.get(0)).startsWith("restore[a@");
      assertThat(v2.last().calls.get(0)).startsWith("restore[b@");
      assertThat(configured.last().closed).as("its last request is done").isTrue();
    }
  }

  @Test
  void onlyIfItsVersionIsGoneARequestBeginsAnewOnTheCurrentOne() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = subtask(devices).open()) {
      event(subtask, swap("swap", "/models/v2"));
      subtask.harness.processElement(prompt("a", 5), 0);
      devices.deviceCall();
      devices.deviceCall();
      event(subtask, ModelEvent.newBuilder().setId("back").setVersion("configured"));
      state = subtask.snapshot();
    }
    folders.put(
        "/models/v2",
        new Version("/models/gone", "StableDiffusionPipeline") {
          private static final long serialVersionUID = 1L;

          @Override
          public DiffusionPipeline open(String device) {
            throw new UnusableModelException("It is gone.");
          }
        });
    ManualDevices others = new ManualDevices();
    try (Subtask restored = subtask(others).restore(state)) {
      settle(restored, others);
      assertThat(restored.images())
          .extracting(ImageEvent::getId, ImageEvent::getModel)
          .containsExactly(tuple("a", "v1"));
      assertThat(configured.last().calls.get(0)).isEqualTo("start[a]");
    }
  }

  @Test
  void anEventThatCannotBeFollowedIsAFailureAndTheVersionStays() throws Exception {
    new Version("/models/upscaler", "StableDiffusionUpscalePipeline");
    new Version("/models/damaged", "StableDiffusionPipeline") {
      private static final long serialVersionUID = 1L;

      @Override
      public DiffusionPipeline open(String device) {
        throw new UnusableModelException("There is no key 'unet'.");
      }
    };
    try (Subtask subtask = subtask(devices).open()) {
      event(subtask, swap("missing", "/models/v3"));
      event(subtask, swap("other", "/models/upscaler"));
      event(subtask, swap("digest", "/models/v2").setDigest("0123"));
      event(subtask, swap("damaged", "/models/damaged"));
      event(subtask, swap("model", "/models/v2").setModel("emoji"));
      event(subtask, ModelEvent.newBuilder().setId("nothing"));
      event(subtask, ModelEvent.newBuilder().setId("back").setVersion("v0"));
      subtask.harness.processElement(prompt("a", 1), 0);
      settle(subtask, devices);

      assertThat(subtask.failures())
          .extracting(FailureEvent::getId)
          .containsExactly("missing", "other", "digest", "damaged", "model", "nothing", "back");
      assertThat(subtask.failures())
          .extracting(FailureEvent::getReason)
          .containsOnly(FailureReason.INVALID_REQUEST);
      assertThat(subtask.failures())
          .extracting(failure -> failure.getMessage().toString())
          .satisfiesExactly(
              text -> assertThat(text).contains("/models/v3 does not exist"),
              text -> assertThat(text).contains("StableDiffusionUpscalePipeline", "current"),
              text -> assertThat(text).contains("digest-of-/models/v2", "0123"),
              text -> assertThat(text).contains("no key 'unet'"),
              text -> assertThat(text).contains("no model 'emoji'", "default"),
              text -> assertThat(text).contains("folder", "version", "digest"),
              text -> assertThat(text).contains("'v0'", "configured"));
      byte[] original = new byte[subtask.failures().get(0).getOriginal().remaining()];
      subtask.failures().get(0).getOriginal().duplicate().get(original);
      assertThat(EventCodec.models().decode(original).getFolder()).isEqualTo("/models/v3");
      assertThat(subtask.images()).extracting(ImageEvent::getModel).containsExactly("v1");
      assertThat(subtask.meters().refusedModelEvents.getCount()).isEqualTo(7);
    }
  }

  @Test
  void whatIsWrongInOnePlaceIsSaidThereAndWhatIsWrongEverywhereIsSaidOnce() throws Exception {
    // The second of four has no such folder, as when a volume is mounted on one machine only.
    try (Subtask second =
        new Subtask(ModelList.of(configured), settings(), devices.services, 4, 1).open()) {
      event(second, swap("missing", "/models/v3"));
      event(second, ModelEvent.newBuilder().setId("nothing"));
      settle(second, devices);

      assertThat(second.failures())
          .extracting(FailureEvent::getId)
          .as("the first subtask says of 'nothing' what this one would say")
          .containsExactly("missing");
      assertThat(second.failures().get(0).getMessage().toString())
          .contains("Subtask 2 of 4, on TaskManager ", "/models/v3 does not exist");
      assertThat(second.meters().refusedModelEvents.getCount()).isEqualTo(2);
    }
  }

  @Test
  void otherOptionsCountMoreThanEarlierEvents() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = subtask(devices).open()) {
      event(subtask, swap("swap", "/models/v2").setVersion("2"));
      state = subtask.snapshot();
    }
    Version v3 = new Version("/models/v3", "StableDiffusionPipeline");
    try (Subtask restored =
        new Subtask(ModelList.of(v3), settings(), devices.services).restore(state)) {
      restored.harness.processElement(prompt("a", 1), 0);
      settle(restored, devices);
      event(restored, ModelEvent.newBuilder().setId("back").setVersion("2"));
      restored.harness.processElement(prompt("b", 1), 0);
      settle(restored, devices);
      assertThat(restored.images()).extracting(ImageEvent::getModel).containsExactly("v3", "v2");
    }
  }
}
