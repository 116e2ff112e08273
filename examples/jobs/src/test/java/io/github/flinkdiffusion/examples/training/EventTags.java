/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;

/** What TensorBoard would find in a folder of event files, whose checksums are computed here. */
final class EventTags {
  private EventTags() {}

  /** The texts in all records. */
  static List<String> in(Path events) throws IOException {
    List<String> tags = new ArrayList<>();
    try (var files = Files.list(events)) {
      for (Path file : files.toList()) {
        byte[] bytes = Files.readAllBytes(file);
        ByteBuffer records = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        while (records.hasRemaining()) {
          int at = records.position();
          int length = (int) records.getLong();
          assertThat(records.getInt()).isEqualTo(masked(bytes, at, Long.BYTES));
          byte[] event = new byte[length];
          records.get(event);
          assertThat(records.getInt()).isEqualTo(masked(event, 0, length));
          tags.addAll(texts(event, 0));
        }
      }
    }
    return tags;
  }

  private static int masked(byte[] bytes, int from, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, length);
    long value = crc.getValue();
    return (int) (((value >>> 15) | (value << 17)) + 0xa282ead8L);
  }

  /** Texts of an event: its version, or the tags of its summary. */
  private static List<String> texts(byte[] message, int depth) throws IOException {
    List<String> texts = new ArrayList<>();
    DataInputStream in = new DataInputStream(new ByteArrayInputStream(message));
    while (in.available() > 0) {
      int key = (int) varint(in);
      switch (key & 7) {
        case 0 -> varint(in);
        case 1 -> in.skipBytes(8);
        case 5 -> in.skipBytes(4);
        case 2 -> {
          byte[] bytes = new byte[(int) varint(in)];
          in.readFully(bytes);
          int field = key >>> 3;
          if (depth == 0 && field == 5 || depth == 1 && field == 1) {
            texts.addAll(texts(bytes, depth + 1));
          } else if (depth == 0 && field == 3 || depth == 2 && field == 1) {
            texts.add(new String(bytes, StandardCharsets.UTF_8));
          }
        }
        default -> throw new IOException("type " + (key & 7));
      }
    }
    return texts;
  }

  private static long varint(DataInputStream in) throws IOException {
    long value = 0;
    for (int shift = 0; ; shift += 7) {
      int part = in.readUnsignedByte();
      value |= (long) (part & 0x7f) << shift;
      if (part < 0x80) {
        return value;
      }
    }
  }
}
