/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.weights.Sha256;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.flink.annotation.Internal;

/** Seeds of requests that bring none, and of an ensemble's samples. */
@Internal
public final class Seeds {
  private Seeds() {}

  /** The request's own seed, or that of its id. */
  static long of(GenerationSpec spec) {
    return spec.arguments().has(Parameters.SEED)
        ? spec.arguments().get(Parameters.SEED)
        : fromId(spec.id());
  }

  /**
   * A sample of an ensemble, counted from 0. Their seeds follow each other, so that the first one
   * is what an ensemble of one would be.
   */
  public static GenerationSpec ofSample(GenerationSpec spec, int sample) {
    return spec.with(Parameters.SEED, of(spec) + sample);
  }

  /**
   * The first four bytes of the id's SHA-256, as 0 .. 2^32 - 1: the bits of a seed that torch's CPU
   * generator uses.
   */
  public static long fromId(String id) {
    byte[] digest = Sha256.of(id.getBytes(StandardCharsets.UTF_8));
    return Integer.toUnsignedLong(ByteBuffer.wrap(digest).getInt());
  }
}
