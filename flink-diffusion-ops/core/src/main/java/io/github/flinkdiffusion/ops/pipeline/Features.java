/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import java.util.List;
import java.util.Optional;

/**
 * What one trajectory's last whole call left on the device, a tensor for each of its rows. Device
 * thread.
 */
final class Features implements AutoCloseable {

  /** Counts the bytes of all that a model's trajectories have. */
  static final class Memory {
    private final long limit;
    private long used;

    /**
     * @param limit in bytes
     */
    Memory(long limit) {
      this.limit = limit;
    }

    /** Keeps tensors if there is room for them, else closes them. */
    Optional<Features> keep(List<DeviceTensor> rows) {
      long bytes = rows.stream().mapToLong(Memory::bytes).sum();
      if (bytes > limit - used) {
        rows.forEach(DeviceTensor::close);
        return Optional.empty();
      }
      used += bytes;
      return Optional.of(new Features(this, rows, bytes));
    }

    long used() {
      return used;
    }

    private static long bytes(DeviceTensor row) {
      long bytes = Float.BYTES;
      for (long size : row.shape()) {
        bytes *= size;
      }
      return bytes;
    }
  }

  private final Memory memory;
  private final List<DeviceTensor> rows;
  private final long bytes;
  private boolean closed;

  private Features(Memory memory, List<DeviceTensor> rows, long bytes) {
    this.memory = memory;
    this.rows = List.copyOf(rows);
    this.bytes = bytes;
  }

  List<DeviceTensor> rows() {
    return rows;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      memory.used -= bytes;
      rows.forEach(DeviceTensor::close);
    }
  }
}
