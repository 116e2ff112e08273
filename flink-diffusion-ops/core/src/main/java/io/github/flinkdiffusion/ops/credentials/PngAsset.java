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
import java.util.zip.CRC32;

/** PNG: the chunk {@code caBX}, after the header's. */
final class PngAsset implements AssetFormat {
  private static final int SIGNATURE = 8;
  private static final int AROUND = 12;
  private static final byte[] TYPE = "caBX".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] HEADER = "IHDR".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] END = "IEND".getBytes(StandardCharsets.US_ASCII);

  @Override
  public String mediaType() {
    return "image/png";
  }

  @Override
  public Optional<Found> find(AssetBytes file) throws IOException {
    Found found = null;
    for (long at = SIGNATURE; at < file.size(); ) {
      ByteBuffer head = file.buffer(at, 8, ByteOrder.BIG_ENDIAN);
      long length = Integer.toUnsignedLong(head.getInt(0));
      if (is(head, TYPE)) {
        if (found != null) {
          throw new CredentialsException("The file has more than one manifest store");
        }
        found = new Found(file.bytes(at + 8, length), List.of(new Range(at, length + AROUND)));
      }
      if (is(head, END)) {
        break;
      }
      at += length + AROUND;
    }
    return Optional.ofNullable(found);
  }

  @Override
  public Embedding embed(AssetBytes file, byte[] store) throws IOException {
    ByteBuffer head = file.buffer(SIGNATURE, 8, ByteOrder.BIG_ENDIAN);
    if (!is(head, HEADER)) {
      throw new CredentialsException("The PNG file does not begin with its header");
    }
    long at = SIGNATURE + AROUND + Integer.toUnsignedLong(head.getInt(0));
    CRC32 crc = new CRC32();
    crc.update(TYPE);
    crc.update(store);
    byte[] chunk =
        ByteBuffer.allocate(store.length + AROUND)
            .putInt(store.length)
            .put(TYPE)
            .put(store)
            .putInt((int) crc.getValue())
            .array();
    return new Embedding(List.of(new Edit(at, 0, chunk)), new Range(at, chunk.length));
  }

  private static boolean is(ByteBuffer head, byte[] type) {
    return head.getInt(4) == ByteBuffer.wrap(type).getInt();
  }
}
