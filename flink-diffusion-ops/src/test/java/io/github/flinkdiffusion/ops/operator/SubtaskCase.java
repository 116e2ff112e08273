/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;

import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;

/** What tests of one subtask share: a device that works call by call as the test says. */
abstract class SubtaskCase {
  final ManualDevices devices = new ManualDevices();
  final FakePipelines pipelines = new FakePipelines();

  final Subtask open(Object... optionsAndValues) throws Exception {
    return new Subtask(pipelines, settings(optionsAndValues), devices.services).open();
  }
}
