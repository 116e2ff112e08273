/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import java.nio.ByteBuffer;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.Schema.Field;
import org.apache.flink.annotation.Internal;

/**
 * Walks over encoded bytes with their schema and refuses what does not fit, before Avro's decoder
 * sees them.
 *
 * <p>Avro's decoder allocates what a length field asks for: a ten-byte record that announces 2 GiB
 * of picture, or a map of a billion attributes, is an {@link OutOfMemoryError} that takes the whole
 * task manager along. Records from Kafka are untrusted, so every length and count is held against
 * the bytes that are really there. Bytes left over are refused too: they mean another schema.
 */
@Internal
public final class WireCheck {
  private static final int MAX_VARINT_BYTES = 10;

  private final ByteBuffer in;

  private WireCheck(ByteBuffer in) {
    this.in = in;
  }

  /**
   * @param body the encoded record without its header; its position is left alone
   * @throws UndecodableEventException naming the field that does not fit
   */
  public static void check(Schema schema, ByteBuffer body) throws UndecodableEventException {
    WireCheck walk = new WireCheck(body.duplicate());
    walk.skip(schema, schema.getName());
    if (walk.in.hasRemaining()) {
      throw new UndecodableEventException(
          "%d bytes follow the end of the %s".formatted(walk.in.remaining(), schema.getName()));
    }
  }

  private void skip(Schema schema, String where) throws UndecodableEventException {
    switch (schema.getType()) {
      case NULL -> {}
      case BOOLEAN -> {
        byte value = take(1, where).get();
        require(value == 0 || value == 1, where, "has the boolean value " + value);
      }
      case INT -> {
        long value = varint(where);
        require(value == (int) value, where, "has the value " + value + ", too large for an int");
      }
      case LONG -> varint(where);
      case FLOAT -> take(Float.BYTES, where);
      case DOUBLE -> take(Double.BYTES, where);
      case FIXED -> take(schema.getFixedSize(), where);
      case STRING -> text(where);
      case BYTES -> take(varint(where), where);
      case ENUM -> index(schema.getEnumSymbols(), where);
      case UNION -> skip(index(schema.getTypes(), where), where);
      case ARRAY -> items(1, where, () -> skip(schema.getElementType(), where));
      case MAP ->
          items(
              2,
              where,
              () -> {
                text(where);
                skip(schema.getValueType(), where);
              });
      case RECORD -> {
        for (Field field : schema.getFields()) {
          skip(field.schema(), where + "." + field.name());
        }
      }
    }
  }

  private <T> T index(List<T> choices, String where) throws UndecodableEventException {
    long index = varint(where);
    require(
        index >= 0 && index < choices.size(),
        where,
        "has choice %d of %d".formatted(index, choices.size()));
    return choices.get((int) index);
  }

  private interface Item {
    void skip() throws UndecodableEventException;
  }

  /** Arrays and maps come in blocks of a count and that many items, ended by a block of none. */
  private void items(int smallestItemBytes, String where, Item item)
      throws UndecodableEventException {
    for (long count = varint(where); count != 0; count = varint(where)) {
      if (count < 0) { // then the block's size in bytes follows; the items say the same
        varint(where);
        count = -count;
      }
      require(
          count > 0 && count <= in.remaining() / smallestItemBytes,
          where,
          "announces %d items where %d bytes are left".formatted(count, in.remaining()));
      for (long i = 0; i < count; i++) {
        item.skip();
      }
    }
  }

  private ByteBuffer take(long length, String where) throws UndecodableEventException {
    require(
        length >= 0 && length <= in.remaining(),
        where,
        "announces %d bytes where %d are left".formatted(length, in.remaining()));
    ByteBuffer taken = in.slice(in.position(), (int) length);
    in.position(in.position() + (int) length);
    return taken;
  }

  /** Avro would put a replacement character for what is not UTF-8: a prompt nobody wrote. */
  private void text(String where) throws UndecodableEventException {
    require(Utf8.isValid(take(varint(where), where)), where, "is not UTF-8");
  }

  /** Avro's zig-zag variable-length integer. */
  private long varint(String where) throws UndecodableEventException {
    long value = 0;
    for (int i = 0; i < MAX_VARINT_BYTES; i++) {
      require(in.hasRemaining(), where, "ends in the middle of a number");
      byte b = in.get();
      value |= (b & 0x7fL) << (7 * i);
      if (b >= 0) {
        return (value >>> 1) ^ -(value & 1);
      }
    }
    throw new UndecodableEventException(where + " has a number of more than 10 bytes");
  }

  private static void require(boolean condition, String where, String otherwise)
      throws UndecodableEventException {
    if (!condition) {
      throw new UndecodableEventException(where + " " + otherwise);
    }
  }
}
