package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.weights.Sha256;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** The seed of a request that brings none. */
public final class Seeds {
  private Seeds() {}

  /**
   * The first four bytes of the id's SHA-256, as 0 .. 2^32 - 1: the bits of a seed that torch's CPU
   * generator uses.
   */
  public static long fromId(String id) {
    byte[] digest = Sha256.of(id.getBytes(StandardCharsets.UTF_8));
    return Integer.toUnsignedLong(ByteBuffer.wrap(digest).getInt());
  }
}
