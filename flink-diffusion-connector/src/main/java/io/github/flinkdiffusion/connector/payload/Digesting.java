/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import io.github.flinkdiffusion.connector.event.Payloads;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.MessageDigest;
import java.util.HexFormat;

/**
 * The digest of a stream that was read to its end.
 *
 * @param sha256 in lower-case hex
 * @param length in bytes
 */
record Digesting(String sha256, long length) {
  private static final int BUFFER_BYTES = 64 << 10;

  /**
   * Copies all bytes and counts and digests them on the way; stops behind {@code most} bytes, so
   * that a file that has grown is not read without end.
   */
  static Digesting copy(InputStream in, OutputStream out, long most) throws IOException {
    MessageDigest digest = Payloads.sha256();
    byte[] buffer = new byte[BUFFER_BYTES];
    long length = 0;
    for (int n = in.read(buffer); n >= 0 && length <= most; n = in.read(buffer)) {
      digest.update(buffer, 0, n);
      out.write(buffer, 0, n);
      length += n;
    }
    return new Digesting(HexFormat.of().formatHex(digest.digest()), length);
  }
}
