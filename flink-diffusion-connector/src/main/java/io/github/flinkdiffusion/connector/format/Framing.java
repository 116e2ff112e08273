/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import java.nio.ByteBuffer;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** The bytes with which a record names its schema in a registry: a zero, then the schema's id. */
@NullMarked
@PublicEvolving
public enum Framing {
  /** An id of four bytes, as Confluent's clients write it, and most registries understand. */
  CONFLUENT("confluent", Integer.BYTES),
  /** A global id of eight bytes, as Apicurio's own clients wrote it by default up to version 2. */
  APICURIO("apicurio", Long.BYTES);

  static final byte MAGIC = 0;

  private final String text;
  private final int idBytes;

  Framing(String text, int idBytes) {
    this.text = text;
    this.idBytes = idBytes;
  }

  int headerBytes() {
    return 1 + idBytes;
  }

  /** Whether bytes can be framed so; ids are above 0. */
  boolean fits(byte[] value) {
    return value.length >= headerBytes() && value[0] == MAGIC && id(value) > 0;
  }

  long id(byte[] value) {
    ByteBuffer in = ByteBuffer.wrap(value, 1, idBytes);
    return idBytes == Integer.BYTES ? in.getInt() : in.getLong();
  }

  /** Writes the header into the first bytes. */
  void put(byte[] value, long id) {
    ByteBuffer out = ByteBuffer.wrap(value).put(MAGIC);
    if (idBytes == Integer.BYTES) {
      out.putInt(Math.toIntExact(id));
    } else {
      out.putLong(id);
    }
  }

  /** As Flink's configuration writes it. */
  @Override
  public String toString() {
    return text;
  }
}
