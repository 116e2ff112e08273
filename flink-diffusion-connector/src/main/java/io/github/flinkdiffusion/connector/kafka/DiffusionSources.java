/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** Where a job's events come from. */
@NullMarked
@PublicEvolving
public final class DiffusionSources {
  private DiffusionSources() {}

  /** Requests to generate images from text. */
  public static EventSourceBuilder<PromptEvent> prompts() {
    return new EventSourceBuilder<>(PromptEvent.class);
  }

  /** Requests to generate images from other images. */
  public static EventSourceBuilder<ImageTaskEvent> imageTasks() {
    return new EventSourceBuilder<>(ImageTaskEvent.class);
  }

  /** Cancellations of requests. */
  public static EventSourceBuilder<CancelEvent> cancellations() {
    return new EventSourceBuilder<>(CancelEvent.class);
  }

  /**
   * Versions of models, for an operator that makes pictures. Their order counts, so they belong
   * into a topic with one partition, or into one with the model's name as key.
   */
  public static EventSourceBuilder<ModelEvent> models() {
    return new EventSourceBuilder<>(ModelEvent.class);
  }

  /** Pictures that another job has made, for a job that works on them. */
  public static EventSourceBuilder<ImageEvent> images() {
    return new EventSourceBuilder<>(ImageEvent.class);
  }

  /** Failures, for a job that repairs and sends them again. */
  public static EventSourceBuilder<FailureEvent> failures() {
    return new EventSourceBuilder<>(FailureEvent.class);
  }
}
