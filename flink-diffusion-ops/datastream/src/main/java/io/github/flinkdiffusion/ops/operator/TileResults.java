/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.nio.ByteBuffer;

/**
 * Where results of tiles wait until their picture is whole. Those of a small picture stay in memory
 * and go into checkpoints; those of a large one are payloads of the store that nothing but the
 * operator's state names, which the store's clean-up finds when the picture is done.
 *
 * <p>A result's bytes are three ints, channels, height and width, and its floats, all big-endian. A
 * tile whose image holds no data has the three ints alone, the first of them 0.
 */
final class TileResults {
  /** Bytes of one picture's results that stay in memory where there is a store. */
  private static final long MOST_IN_MEMORY = 8 << 20;

  static final String MEDIA_TYPE = "application/octet-stream";

  private final PayloadStore payloads;
  private final long memoryBytes;

  /**
   * @param memoryBytes of one picture's results that stay in memory where there is no store
   */
  TileResults(PayloadStore payloads, long memoryBytes) {
    this.payloads = payloads;
    this.memoryBytes = memoryBytes;
  }

  /**
   * Keeps a result.
   *
   * @param ofTiles how many tiles the picture has
   * @throws ImageException when the picture is too large for memory and there is no store
   */
  Payload keep(Raster result, int ofTiles) {
    ByteBuffer bytes =
        ByteBuffer.allocate(3 * Integer.BYTES + result.data().length * Float.BYTES)
            .putInt(result.channels())
            .putInt(result.height())
            .putInt(result.width());
    bytes.asFloatBuffer().put(result.data());
    long inAll = (long) bytes.capacity() * ofTiles;
    if (payloads.hasStore() && inAll > MOST_IN_MEMORY) {
      return payloads.store(bytes.array(), MEDIA_TYPE);
    }
    if (inAll > memoryBytes) {
      throw new ImageException(
          "The %d tiles of the result take %d bytes, more than the %d of %s; set %s to a folder for them, or allow more."
              .formatted(
                  ofTiles,
                  inAll,
                  memoryBytes,
                  ImageTaskOptions.MEMORY.key(),
                  PayloadOptions.STORE.key()));
    }
    return Payloads.inline(bytes.array(), MEDIA_TYPE);
  }

  /** What is kept of a tile whose image holds no data. */
  static Payload empty() {
    return Payloads.inline(new byte[3 * Integer.BYTES], MEDIA_TYPE);
  }

  /** Whether there is no result, because the tile's image holds no data. */
  static boolean isEmpty(Payload kept) {
    return Payloads.inlineBytes(kept)
        .filter(bytes -> bytes.length == 3 * Integer.BYTES)
        .isPresent();
  }

  Raster read(Payload kept) {
    ByteBuffer bytes = ByteBuffer.wrap(payloads.read(kept));
    int channels = bytes.getInt();
    int height = bytes.getInt();
    int width = bytes.getInt();
    float[] data = new float[bytes.remaining() / Float.BYTES];
    bytes.asFloatBuffer().get(data);
    return new Raster(channels, height, width, data);
  }
}
