package io.github.flinkdiffusion.ops.pipeline;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** The seed of a request that brings none. */
public final class Seeds {
  private Seeds() {}

  /**
   * The first four bytes of the id's SHA-256, as 0 .. 2^32 - 1: the bits of a seed that torch's CPU
   * generator uses.
   */
  public static long fromId(String id) {
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256").digest(id.getBytes(StandardCharsets.UTF_8));
      return Integer.toUnsignedLong(ByteBuffer.wrap(digest).getInt());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java platform has SHA-256.", e);
    }
  }
}
