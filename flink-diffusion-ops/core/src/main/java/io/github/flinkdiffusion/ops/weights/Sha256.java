package io.github.flinkdiffusion.ops.weights;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;

/** SHA-256 over a list of parts. Each follows its length, so that no two lists are one stream. */
final class Sha256 {
  private final MessageDigest digest;

  Sha256() {
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  Sha256 add(String part) {
    byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
    begin(bytes.length);
    digest.update(bytes);
    return this;
  }

  /** The description of a tensor: its name, dtype and shape. */
  Sha256 add(TensorInfo info) {
    return add(info.name()).add(info.dtype() + Arrays.toString(info.shape()));
  }

  /** Begins a part of {@code length} bytes, which {@link #bytes} then gives. */
  Sha256 begin(long length) {
    digest.update(ByteBuffer.allocate(Long.BYTES).putLong(length).flip());
    return this;
  }

  Sha256 bytes(ByteBuffer bytes) {
    digest.update(bytes);
    return this;
  }

  /** Ends it: 64 hexadecimal digits. */
  String hex() {
    return HexFormat.of().formatHex(digest.digest());
  }
}
