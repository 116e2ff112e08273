/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.HexFormat;
import java.util.Objects;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.apache.flink.annotation.Internal;

/**
 * The secret of a {@link SpreadWatermark}: 16 to 4096 bytes, such as 32 random ones. Who has it can
 * read marks, and write and remove them; nobody else can.
 */
@Internal
public final class WatermarkKey {
  private static final int LEAST = 16;
  private static final int MOST = 4096;

  private final byte[] secret;

  /**
   * @throws ImageException for fewer than 16 bytes or more than 4096
   */
  public WatermarkKey(byte[] secret) {
    if (secret.length < LEAST || secret.length > MOST) {
      throw new ImageException(
          "A watermark key of %d bytes; %d to %d are accepted, such as 32 random ones"
              .formatted(secret.length, LEAST, MOST));
    }
    this.secret = secret.clone();
  }

  /**
   * The bytes of a file.
   *
   * @throws ImageException naming the file, if it cannot be read or has too few or too many bytes
   */
  public static WatermarkKey read(Path file) {
    byte[] bytes;
    try (var stream = Files.newInputStream(Objects.requireNonNull(file, "file"))) {
      bytes = stream.readNBytes(MOST + 1);
    } catch (IOException e) {
      throw new ImageException(
          "Cannot read the watermark key file %s: %s".formatted(file, e.toString()), e);
    }
    try {
      return new WatermarkKey(bytes);
    } catch (ImageException e) {
      throw new ImageException("The file %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  /** A name that tells keys apart and gives nothing of them away: 16 hexadecimal digits. */
  public String id() {
    return HexFormat.of().formatHex(mac().doFinal(bytes("id")), 0, 8);
  }

  private Mac mac() {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(secret, "HmacSHA256"));
      return mac;
    } catch (GeneralSecurityException e) {
      throw new AssertionError("every Java platform has HmacSHA256", e);
    }
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /** Pseudo-random numbers that follow from the key and a purpose. */
  Stream stream(String purpose) {
    return new Stream(mac(), bytes(purpose));
  }

  /** HMAC-SHA-256 of the purpose and a counter, block after block. */
  static final class Stream {
    private final Mac mac;
    private final byte[] purpose;
    private ByteBuffer block = ByteBuffer.allocate(0);
    private int blocks;

    private Stream(Mac mac, byte[] purpose) {
      this.mac = mac;
      this.purpose = purpose;
    }

    private int next() {
      if (!block.hasRemaining()) {
        mac.update(purpose);
        mac.update(ByteBuffer.allocate(Integer.BYTES).putInt(blocks++).flip());
        block = ByteBuffer.wrap(mac.doFinal());
      }
      return block.getInt();
    }

    /** 1 or -1. */
    int sign() {
      return next() < 0 ? -1 : 1;
    }

    /** 0 to {@code bound} - 1. Of 2^32 values, so the bias is below one in a million. */
    int below(int bound) {
      return (int) Long.remainderUnsigned(Integer.toUnsignedLong(next()), bound);
    }
  }

  @Override
  public String toString() {
    return "WatermarkKey " + id();
  }
}
