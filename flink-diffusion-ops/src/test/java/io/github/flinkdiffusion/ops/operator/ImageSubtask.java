/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.operators.testutils.MockEnvironmentBuilder;
import org.apache.flink.runtime.util.TestingTaskManagerRuntimeInfo;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;

/** One subtask of the operator for image tasks, with a device of its own. */
final class ImageSubtask
    extends OperatorSubtask<
        ImageTaskEvent,
        OneInputStreamOperatorTestHarness<ImageTaskEvent, ImageEvent>,
        ImageSubtask> {
  private final ManualDevices devices;

  ImageSubtask(PipelineFactory pipelines, DiffusionSettings settings, ManualDevices devices)
      throws Exception {
    this(pipelines, settings, devices, Path.of(System.getProperty("java.io.tmpdir")));
  }

  /**
   * @param scratch the TaskManager's folder for temporary files
   */
  ImageSubtask(
      PipelineFactory pipelines, DiffusionSettings settings, ManualDevices devices, Path scratch)
      throws Exception {
    this(RequestKind.IMAGE_TASKS, pipelines, settings, devices, scratch);
  }

  ImageSubtask(
      RequestKind<ImageTaskEvent> kind,
      PipelineFactory pipelines,
      DiffusionSettings settings,
      ManualDevices devices,
      Path scratch)
      throws Exception {
    super(
        new OneInputStreamOperatorTestHarness<>(
            new DiffusionOperatorFactory.OfRequests<>(
                kind, ModelList.of(pipelines), settings, null, null, devices.services),
            new MockEnvironmentBuilder()
                .setTaskManagerRuntimeInfo(
                    new TestingTaskManagerRuntimeInfo(
                        new Configuration(), new String[] {scratch.toString()}))
                .build()));
    this.devices = devices;
  }

  @Override
  ImageSubtask self() {
    return this;
  }

  void task(ImageTaskEvent event) throws Exception {
    harness.processElement(event, 5);
  }

  /** One call of the device, one piece of work of the pool, one mail; false when all rest. */
  boolean progress() throws Exception {
    return progress(devices);
  }

  void settle() throws Exception {
    while (progress()) {
      // until all rest
    }
  }
}
