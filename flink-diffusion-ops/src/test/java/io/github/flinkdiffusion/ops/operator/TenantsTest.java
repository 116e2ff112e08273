/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.time.Duration;
import java.util.Map;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;

/** Whose request it is: shares of the device, quotas, and what each request took. */
class TenantsTest {
  private final ManualDevices devices = new ManualDevices();
  private final FakePipelines pipelines = new FakePipelines();

  private static PromptEvent prompt(String tenant, String id, int steps) {
    return PromptEvent.newBuilder(Subtask.prompt(id, steps))
        .setAttributes(Map.of("tenant", tenant))
        .build();
  }

  private void everyCallTakes(Duration time) {
    pipelines.opened.forEach(pipeline -> pipeline.beforeCall = () -> devices.ticker.advance(time));
  }

  private static double deviceSeconds(ImageEvent event) {
    return event.getDeviceSeconds();
  }

  @Test
  void aRequestBeyondItsTenantsQuotaIsRefusedAndTheOthersGoOn() throws Exception {
    try (Subtask subtask =
        new Subtask(
                pipelines,
                settings(DiffusionOptions.TENANTS_MAX_IN_FLIGHT, 2, DiffusionOptions.CAPACITY, 4),
                devices.services)
            .open()) {
      for (int i = 0; i < 5; i++) {
        subtask.harness.processElement(prompt("heavy", "h" + i, 3), 0);
      }
      subtask.harness.processElement(prompt("light", "l", 3), 0);
      subtask.settle(devices);
      subtask.harness.processElement(prompt("heavy", "again", 3), 0);
      subtask.settle(devices);

      assertThat(subtask.imageIds()).containsExactlyInAnyOrder("h0", "h1", "l", "again");
      assertThat(subtask.failures())
          .extracting(FailureEvent::getId, FailureEvent::getReason)
          .containsExactly(
              tuple("h2", FailureReason.QUOTA_EXCEEDED),
              tuple("h3", FailureReason.QUOTA_EXCEEDED),
              tuple("h4", FailureReason.QUOTA_EXCEEDED));
      FailureEvent refused = subtask.failures().get(0);
      assertThat(refused.getMessage())
          .isEqualTo(
              "Request h2 was refused, because tenant 'heavy' has 2 requests in flight in this"
                  + " subtask (diffusion.tenants.max-in-flight). Send it again when some of them"
                  + " are finished.");
      assertThat(EventCodec.prompts().decode(refused.getOriginal().array()))
          .isEqualTo(prompt("heavy", "h2", 3));
    }
  }

  @Test
  void aRequestThatWasAdmittedBeforeARestartIsNotRefusedByASmallerQuota() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = new Subtask(pipelines, settings(), devices.services).open()) {
      for (int i = 0; i < 3; i++) {
        subtask.harness.processElement(prompt("heavy", "h" + i, 3), 0);
      }
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    try (Subtask subtask =
        new Subtask(pipelines, settings(DiffusionOptions.TENANTS_MAX_IN_FLIGHT, 1), after.services)
            .restore(state)) {
      subtask.settle(after);
      assertThat(subtask.imageIds()).containsExactlyInAnyOrder("h0", "h1", "h2");
    }
  }

  /** Alone it takes encoding, three steps and decoding. */
  @Test
  void aRequestOfAnotherTenantOvertakesABacklog() throws Exception {
    try (Subtask subtask =
        new Subtask(pipelines, settings(DiffusionOptions.BATCH_ROWS, 2), devices.services).open()) {
      for (int i = 0; i < 20; i++) {
        subtask.harness.processElement(prompt("heavy", "h" + i, 30), 0);
      }
      for (int call = 0; call < 10; call++) {
        devices.deviceCall();
      }
      subtask.harness.processElement(prompt("light", "l", 3), 0);
      for (int call = 0; call < 12; call++) {
        devices.deviceCall();
      }
      while (devices.encodeOne()) {}
      subtask.deliverAllMail();
      assertThat(subtask.imageIds()).containsExactly("l");
      subtask.settle(devices);
      assertThat(subtask.images()).hasSize(21);
    }
  }

  @Test
  void tenantsDecideNoImage() throws Exception {
    try (Subtask subtask =
        new Subtask(pipelines, settings(DiffusionOptions.BATCH_ROWS, 3), devices.services).open()) {
      for (int i = 0; i < 12; i++) {
        subtask.harness.processElement(prompt("t" + i % 4, "r" + i, 1 + i % 5), 0);
      }
      subtask.settle(devices);
      for (ImageEvent image : subtask.images()) {
        int i = Integer.parseInt(image.getId().substring(1));
        assertThat(image.getImage().array())
            .isEqualTo(Subtask.undisturbed(Subtask.prompt(image.getId(), 1 + i % 5)));
      }
      assertThat(subtask.images()).hasSize(12);
    }
  }

  @Test
  void aResultSaysWhatItTookOfTheDevice() throws Exception {
    try (Subtask subtask = new Subtask(pipelines, settings(), devices.services).open()) {
      everyCallTakes(Duration.ofMillis(10));
      subtask.harness.processElement(prompt("acme", "a", 2), 0);
      subtask.harness.processElement(prompt("acme", "b", 2), 0);
      subtask.settle(devices);

      // Encoding, two steps and decoding, each shared by two.
      assertThat(subtask.images())
          .extracting(TenantsTest::deviceSeconds)
          .allSatisfy(seconds -> assertThat(seconds).isCloseTo(0.02, within(1e-9)));
    }
  }

  @Test
  void deviceTimeSurvivesARestartAndChangesNothingElse() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = new Subtask(pipelines, settings(), devices.services).open()) {
      everyCallTakes(Duration.ofMillis(10));
      subtask.harness.processElement(prompt("acme", "a", 5), 0);
      for (int call = 0; call < 3; call++) {
        devices.deviceCall(); // encoding and two steps
      }
      state = subtask.snapshot();
      devices.deviceCall(); // undone by the failure
    }
    ManualDevices after = new ManualDevices();
    FakePipelines others = new FakePipelines();
    try (Subtask subtask = new Subtask(others, settings(), after.services).restore(state)) {
      others.opened.forEach(
          pipeline -> pipeline.beforeCall = () -> after.ticker.advance(Duration.ofMillis(100)));
      subtask.settle(after);

      ImageEvent image = subtask.images().get(0);
      // After the restart: taking it up again, three steps and decoding.
      assertThat(image.getDeviceSeconds()).isCloseTo(0.03 + 0.5, within(1e-9));
      assertThat(image.getImage().array()).isEqualTo(Subtask.undisturbed(Subtask.prompt("a", 5)));
      assertThat(image.getAudit().getParameters().keySet())
          .noneMatch(name -> name.toLowerCase(java.util.Locale.ROOT).contains("device"));
    }
  }
}
