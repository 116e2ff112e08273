/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import java.util.Optional;
import java.util.OptionalLong;

/** Makes the requests of a subtask: from an event that has come, or from what a checkpoint held. */
final class RequestFactory {
  private final RequestHost host;

  RequestFactory(RequestHost host) {
    this.host = host;
  }

  /** One that has just come. */
  Request arrived(RequestEvent event, OptionalLong timestamp) {
    return event.event() instanceof PromptEvent prompt
        ? new PromptRequest(host, prompt, timestamp, Optional.empty(), 0)
        : new ImageTaskRequest(
            host, (ImageTaskEvent) event.event(), timestamp, TaskProgress.NONE, 0);
  }

  /** One that was admitted before a restart. */
  Request restored(InFlight item) {
    if (item instanceof InFlight.Waiting waiting) {
      return new PromptRequest(
          host, waiting.prompt(), waiting.timestamp(), Optional.empty(), waiting.deviceNanos());
    }
    if (item instanceof InFlight.Running running) {
      return new PromptRequest(
          host,
          running.prompt(),
          running.timestamp(),
          Optional.of(running.trajectory()),
          running.deviceNanos());
    }
    if (item instanceof InFlight.Task task) {
      return new ImageTaskRequest(
          host, task.task(), task.timestamp(), task.progress(), task.deviceNanos());
    }
    return new FinishedRequest(host, (InFlight.Finished) item);
  }
}
