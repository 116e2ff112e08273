/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import io.github.flinkdiffusion.ops.credentials.AssetBytes.Range;
import java.io.IOException;
import java.util.List;
import java.util.Optional;

/** Where a kind of file keeps a manifest store (C2PA specification, "Embedding manifests"). */
interface AssetFormat {
  /**
   * A manifest store in a file.
   *
   * @param store its bytes, put together
   * @param where all that belongs to it, in order
   */
  record Found(byte[] store, List<Range> where) {}

  /**
   * Bytes that are written in place of others.
   *
   * @param at where in the file as it was; edits come in order
   * @param removed how many bytes they replace
   */
  record Edit(long at, int removed, byte[] bytes) {}

  /**
   * How a store gets into a file.
   *
   * @param where the store will be, with all that belongs to it; follows from the store's length
   */
  record Embedding(List<Edit> edits, Range where) {}

  String mediaType();

  /**
   * @throws CredentialsException if the file is damaged, or holds more than one
   */
  Optional<Found> find(AssetBytes file) throws IOException;

  /**
   * @param file without a store
   * @throws CredentialsException if it cannot hold one
   */
  Embedding embed(AssetBytes file, byte[] store) throws IOException;

  /** The format of a file that can hold credentials, by its first bytes. */
  static Optional<AssetFormat> of(AssetBytes file) throws IOException {
    byte[] head = file.bytes(0, Math.min(12, file.size()));
    if (begins(head, 0, 0x89, 'P', 'N', 'G', 13, 10, 26, 10)) {
      return Optional.of(new PngAsset());
    }
    if (begins(head, 0, 0xff, 0xd8)) {
      return Optional.of(new JpegAsset());
    }
    if (begins(head, 0, 'R', 'I', 'F', 'F') && begins(head, 8, 'W', 'E', 'B', 'P')) {
      return Optional.of(new WebpAsset());
    }
    if (begins(head, 0, 'I', 'I', 42, 0)
        || begins(head, 0, 'I', 'I', 43, 0)
        || begins(head, 0, 'M', 'M', 0, 42)
        || begins(head, 0, 'M', 'M', 0, 43)) {
      return Optional.of(new TiffAsset());
    }
    return Optional.empty();
  }

  private static boolean begins(byte[] head, int from, int... bytes) {
    if (head.length < from + bytes.length) {
      return false;
    }
    for (int i = 0; i < bytes.length; i++) {
      if ((head[from + i] & 0xff) != bytes[i]) {
        return false;
      }
    }
    return true;
  }
}
