/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import io.github.flinkdiffusion.ops.credentials.AssetBytes.Range;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;

/** WebP: the chunk {@code C2PA} at the end. */
final class WebpAsset implements AssetFormat {
  private static final int HEAD = 8;
  private static final int FIRST_CHUNK = 12;
  private static final byte[] TYPE = "C2PA".getBytes(StandardCharsets.US_ASCII);

  @Override
  public String mediaType() {
    return "image/webp";
  }

  @Override
  public Optional<Found> find(AssetBytes file) throws IOException {
    Found found = null;
    long end = end(file);
    for (long at = FIRST_CHUNK; at + HEAD <= end; ) {
      ByteBuffer head = file.buffer(at, HEAD, ByteOrder.LITTLE_ENDIAN);
      long length = Integer.toUnsignedLong(head.getInt(4));
      long padded = length + (length & 1);
      if (head.getInt(0) == ByteBuffer.wrap(TYPE).order(ByteOrder.LITTLE_ENDIAN).getInt()) {
        if (found != null) {
          throw new CredentialsException("The file has more than one manifest store");
        }
        found = new Found(file.bytes(at + HEAD, length), List.of(new Range(at, HEAD + padded)));
      }
      at += HEAD + padded;
    }
    return Optional.ofNullable(found);
  }

  @Override
  public Embedding embed(AssetBytes file, byte[] store) throws IOException {
    long end = end(file);
    if (end != file.size()) {
      throw new CredentialsException(
          "The WebP file says that it has %d bytes; it has %d".formatted(end, file.size()));
    }
    int odd = (int) (end & 1);
    int padded = store.length + (store.length & 1);
    long size = end + odd + HEAD + padded - HEAD;
    if (size > 0xffffffffL) {
      throw new CredentialsException("The WebP file is too large for content credentials");
    }
    byte[] sizeBytes =
        ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt((int) size).array();
    byte[] chunk =
        ByteBuffer.allocate(odd + HEAD + padded)
            .order(ByteOrder.LITTLE_ENDIAN)
            .position(odd)
            .put(TYPE)
            .putInt(store.length)
            .put(store)
            .array();
    return new Embedding(
        List.of(new Edit(4, 4, sizeBytes), new Edit(end, 0, chunk)),
        new Range(end + odd, HEAD + padded));
  }

  private static long end(AssetBytes file) {
    return HEAD + Integer.toUnsignedLong(file.buffer(4, 4, ByteOrder.LITTLE_ENDIAN).getInt());
  }
}
