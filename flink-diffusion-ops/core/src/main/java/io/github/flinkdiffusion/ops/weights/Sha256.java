/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.flink.annotation.Internal;

/** SHA-256 over a list of parts. Each follows its length, so that no two lists are one stream. */
@Internal
public final class Sha256 {
  private final MessageDigest digest;

  public Sha256() {
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  /** Of these bytes alone, as {@code sha256sum} gives it. */
  public static byte[] of(byte[] bytes) {
    return new Sha256().digest.digest(bytes);
  }

  /** {@link #of} in 64 hexadecimal digits, in lower case. */
  public static String hex(byte[] bytes) {
    return HexFormat.of().formatHex(of(bytes));
  }

  public Sha256 add(String part) {
    return add(part.getBytes(StandardCharsets.UTF_8));
  }

  public Sha256 add(byte[] part) {
    return begin(part.length).bytes(ByteBuffer.wrap(part));
  }

  /** The description of a tensor: its name, dtype and shape. */
  Sha256 add(TensorInfo info) {
    return add(info.name()).add(info.dtype() + Arrays.toString(info.shape()));
  }

  /** Begins a part of {@code length} bytes, which {@link #bytes} then gives. */
  Sha256 begin(long length) {
    return number(length);
  }

  /** Eight bytes without a length before them, the highest first. */
  public Sha256 number(long number) {
    return bytes(ByteBuffer.allocate(Long.BYTES).putLong(number).flip());
  }

  /** Bytes without a length before them. */
  public Sha256 bytes(ByteBuffer bytes) {
    digest.update(bytes);
    return this;
  }

  /** Ends it: 64 hexadecimal digits, in lower case. */
  public String hex() {
    return HexFormat.of().formatHex(digest.digest());
  }
}
