/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import org.apache.flink.annotation.Internal;

/**
 * A request for a slice whose file's header was read, or could not be.
 *
 * @param slice as {@link GatheredSlice#json} has it; null if it failed
 * @param reason the name of a {@link FailureReason}; null if it did not fail
 * @param message of the failure
 */
@Internal
public record ReadSlice(ImageTaskEvent task, String slice, String reason, String message) {

  static ReadSlice of(ImageTaskEvent task, GatheredSlice slice) {
    return new ReadSlice(task, slice.json(), null, null);
  }

  static ReadSlice failed(ImageTaskEvent task, FailureReason reason, String message) {
    return new ReadSlice(task, null, reason.name(), message);
  }

  /** The series' UID; empty if it failed, and so is of no series. */
  String key() {
    return slice == null ? "" : GatheredSlice.parse(slice).series();
  }
}
