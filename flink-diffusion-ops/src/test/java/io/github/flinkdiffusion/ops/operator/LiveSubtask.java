/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;

/** One subtask for frames of streams, keyed by them, with a device of its own. */
final class LiveSubtask
    extends OperatorSubtask<
        ImageTaskEvent,
        KeyedOneInputStreamOperatorTestHarness<String, ImageTaskEvent, ImageEvent>,
        LiveSubtask> {
  final ManualDevices devices;

  LiveSubtask(PipelineFactory models, int parallelism, int index, Object... optionsAndValues)
      throws Exception {
    this(new ManualDevices(), models, parallelism, index, optionsAndValues);
  }

  private LiveSubtask(
      ManualDevices devices,
      PipelineFactory models,
      int parallelism,
      int index,
      Object... optionsAndValues)
      throws Exception {
    super(
        new KeyedOneInputStreamOperatorTestHarness<>(
            new DiffusionOperatorFactory.OfRequests<>(
                RequestKind.IMAGE_TASKS,
                ModelList.of(models),
                enabled(optionsAndValues),
                null,
                null,
                devices.services),
            FrameId::key,
            Types.STRING,
            MAX_PARALLELISM,
            parallelism,
            index));
    this.devices = devices;
  }

  private static DiffusionSettings enabled(Object... optionsAndValues) {
    List<Object> options = new ArrayList<>(List.of(optionsAndValues));
    options.addAll(List.of(LiveOptions.ENABLED, true));
    return settings(options.toArray());
  }

  @Override
  LiveSubtask self() {
    return this;
  }

  void send(ImageTaskEvent task) throws Exception {
    harness.processElement(task, 5);
  }

  boolean progress() throws Exception {
    return progress(devices);
  }

  void settle() throws Exception {
    while (progress()) {
      // until all rest
    }
  }

  LiveFrames frames() {
    return operator().live();
  }
}
