/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;

/**
 * What an autoencoder made of images, by the digests of their pixels, in memory up to a limit. The
 * first images that fit are kept and none is dropped: a training sees each image once an epoch, so
 * whichever was used longest ago is the next one.
 *
 * <p>Not thread-safe.
 */
final class EncodedImages {
  private static final long MOST_BYTES = 256L << 20;
  private static final int SHARE_OF_HEAP = 8;

  /** Of an entry besides its numbers, about. */
  private static final int ENTRY_BYTES = 200;

  private final long limit;
  private final Map<ByteBuffer, HostTensor.Floats> encoded = new HashMap<>();
  private long bytes;

  EncodedImages(long limit) {
    this.limit = limit;
  }

  /** An eighth of the heap, and no more than 256 MiB. */
  static long mostBytes() {
    return Math.min(MOST_BYTES, Runtime.getRuntime().maxMemory() / SHARE_OF_HEAP);
  }

  /** What is kept, or what is encoded now. */
  HostTensor.Floats get(float[] pixels, Supplier<HostTensor.Floats> encoder) {
    ByteBuffer key = digest(pixels);
    HostTensor.Floats known = encoded.get(key);
    if (known != null) {
      return known;
    }
    HostTensor.Floats made = encoder.get();
    long size = ENTRY_BYTES + (long) made.data().length * Float.BYTES;
    if (bytes + size <= limit) {
      encoded.put(key, made);
      bytes += size;
    }
    return made;
  }

  private static ByteBuffer digest(float[] pixels) {
    ByteBuffer values = ByteBuffer.allocate(pixels.length * Float.BYTES);
    values.asFloatBuffer().put(pixels);
    try {
      return ByteBuffer.wrap(MessageDigest.getInstance("SHA-256").digest(values.array()));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Java has SHA-256.", e);
    }
  }
}
