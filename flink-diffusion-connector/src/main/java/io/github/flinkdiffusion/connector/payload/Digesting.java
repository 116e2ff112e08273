package io.github.flinkdiffusion.connector.payload;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
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
    MessageDigest digest = messageDigest();
    byte[] buffer = new byte[BUFFER_BYTES];
    long length = 0;
    for (int n = in.read(buffer); n >= 0 && length <= most; n = in.read(buffer)) {
      digest.update(buffer, 0, n);
      out.write(buffer, 0, n);
      length += n;
    }
    return new Digesting(HexFormat.of().formatHex(digest.digest()), length);
  }

  private static MessageDigest messageDigest() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java platform has SHA-256.", e);
    }
  }
}
