/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.serving.OutputOrder;
import java.util.List;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/**
 * In which order requests and what lies between them leave. Used by the task's thread alone.
 *
 * <p>No request overtakes a watermark (or a change to idle or active) or is overtaken by one,
 * whatever the order.
 *
 * @param <E> a request, compared by identity
 */
interface EmissionQueue<E> {

  static <E> EmissionQueue<E> of(OutputOrder order) {
    return switch (order) {
      case ORDERED -> new OrderedQueue<>();
      case UNORDERED -> new UnorderedQueue<>();
    };
  }

  /** A request that is not done yet. */
  void add(E request);

  default void add(Watermark watermark) {
    lastSignals().add(watermark);
  }

  default void add(WatermarkStatus status) {
    lastSignals().add(status);
  }

  /** What leaves after all requests that were added, and before those that follow. */
  Signals lastSignals();

  /** The request, added before and not polled yet, is done. */
  void complete(E request);

  /**
   * Removes and returns what may leave next: a done request or {@link Signals}; null for nothing.
   */
  Object poll();

  /** True when {@link #poll} would return something. */
  boolean hasReady();

  /** Requests that were added and not polled, oldest first. */
  List<E> requests();

  /** Number of {@link #requests}. */
  int size();

  /** True when neither requests nor signals are left. */
  boolean isEmpty();
}
