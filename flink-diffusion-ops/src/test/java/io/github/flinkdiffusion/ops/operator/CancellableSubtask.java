/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.util.OptionalLong;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;

/**
 * One subtask of the operator that knows of cancellations; the test delivers its mail, and
 * cancellations as the job manager would.
 */
final class CancellableSubtask
    extends OperatorSubtask<
        PromptEvent,
        OneInputStreamOperatorTestHarness<PromptEvent, ImageEvent>,
        CancellableSubtask> {
  private final ManualDevices devices;

  CancellableSubtask(
      PipelineFactory pipelines,
      DiffusionSettings settings,
      ManualDevices devices,
      int parallelism,
      int index)
      throws Exception {
    super(
        new OneInputStreamOperatorTestHarness<>(
            new DiffusionOperatorFactory.OfRequests<>(
                RequestKind.PROMPTS,
                ModelList.of(pipelines),
                settings,
                "board",
                null,
                devices.services),
            MAX_PARALLELISM,
            parallelism,
            index));
    this.devices = devices;
  }

  @Override
  CancellableSubtask self() {
    return this;
  }

  @SuppressWarnings("unchecked") // it was made for prompts
  CancellableOperator<PromptEvent> cancellable() {
    return (CancellableOperator<PromptEvent>) harness.getOperator();
  }

  void prompt(PromptEvent prompt, long time) throws Exception {
    cancellable().processElement(new StreamRecord<>(prompt, time));
  }

  void cancel(String id, long time) {
    cancel(CancelEvent.newBuilder().setId(id).build(), OptionalLong.of(time));
  }

  void cancel(CancelEvent event, OptionalLong time) {
    cancellable().cancel(new Cancellation(event, time));
  }

  void settle() throws Exception {
    settle(devices);
  }
}
