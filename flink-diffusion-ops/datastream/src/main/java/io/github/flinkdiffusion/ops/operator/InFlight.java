/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.util.OptionalLong;

/**
 * One request as a checkpoint holds it: as far as it has come. Each stands for itself, so that they
 * can be dealt out to any number of subtasks.
 *
 * <p>Watermarks are not among them, other than in Flink's own asynchronous operator: after a
 * restart event time begins anew at every source, and a watermark that is dealt to another subtask
 * would run ahead of that subtask's own input.
 */
sealed interface InFlight {

  /** Event time of the request, if it had one. */
  OptionalLong timestamp();

  /**
   * A picture from text, not begun. Its defaults are filled in when it begins.
   *
   * @param deviceNanos device time that it took so far, in attempts that were given up
   */
  record Waiting(OptionalLong timestamp, PromptEvent prompt, long deviceNanos)
      implements InFlight {}

  /**
   * A picture from text that was begun, and goes on at the snapshot's step.
   *
   * @param deviceNanos device time that it took so far
   */
  record Running(
      OptionalLong timestamp, PromptEvent prompt, TrajectorySnapshot trajectory, long deviceNanos)
      implements InFlight {}

  /**
   * A picture from a picture, with what is done of it.
   *
   * @param deviceNanos device time that it took so far
   */
  record Task(OptionalLong timestamp, ImageTaskEvent task, TaskProgress progress, long deviceNanos)
      implements InFlight {}

  /** Done and not yet put out; not to be done again. */
  record Finished(OptionalLong timestamp, Outcome outcome) implements InFlight {}
}
