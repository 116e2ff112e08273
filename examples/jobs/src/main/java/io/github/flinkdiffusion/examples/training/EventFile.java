/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Clock;
import java.util.zip.CRC32C;

/**
 * A file that TensorBoard reads: records of TFRecord's framing, each an {@code Event} of protocol
 * buffers. There is no small library for it, and two kinds of values are all that is needed.
 */
final class EventFile implements AutoCloseable {
  private static final int MASK = 0xa282ead8;
  private static final int VARINT = 0;
  private static final int FIXED64 = 1;
  private static final int BYTES = 2;
  private static final int FIXED32 = 5;

  private static final int RGB = 3;

  private final OutputStream out;
  private final Clock clock;

  /**
   * Begins a file; its name holds the time, since a training that goes on begins another.
   *
   * @param folder is made if it is not there
   */
  EventFile(Path folder, Clock clock) throws IOException {
    this.clock = clock;
    Files.createDirectories(folder);
    this.out = begin(folder, clock.instant().getEpochSecond());
    Message event = event(0);
    event.bytes(3, "brain.Event:2".getBytes(StandardCharsets.UTF_8));
    write(event);
  }

  /** A training may go on within the second, and must not write over what it wrote before. */
  private static OutputStream begin(Path folder, long second) throws IOException {
    for (int number = 0; ; number++) {
      String name =
          "events.out.tfevents.%010d.training.%d.%d"
              .formatted(second, ProcessHandle.current().pid(), number);
      try {
        return Files.newOutputStream(folder.resolve(name), StandardOpenOption.CREATE_NEW);
      } catch (FileAlreadyExistsException e) {
        continue;
      }
    }
  }

  /** Adds a number of a step. */
  void scalar(String tag, long step, float value) throws IOException {
    Message entry = new Message().bytes(1, tag.getBytes(StandardCharsets.UTF_8));
    write(event(step).bytes(5, new Message().bytes(1, entry.fixed32(2, value)).toBytes()));
  }

  /** Adds a PNG image of a step. */
  void image(String tag, long step, int width, int height, byte[] png) throws IOException {
    Message image = new Message().varint(1, height).varint(2, width).varint(3, RGB).bytes(4, png);
    Message entry =
        new Message().bytes(1, tag.getBytes(StandardCharsets.UTF_8)).bytes(4, image.toBytes());
    write(event(step).bytes(5, new Message().bytes(1, entry).toBytes()));
  }

  private Message event(long step) {
    return new Message().fixed64(1, clock.millis() / 1000.0).varint(2, step);
  }

  private void write(Message event) throws IOException {
    byte[] data = event.toBytes();
    ByteBuffer header = ByteBuffer.allocate(12).order(ByteOrder.LITTLE_ENDIAN);
    header.putLong(data.length);
    header.putInt(checksum(header.array(), Long.BYTES));
    out.write(header.array());
    out.write(data);
    out.write(
        ByteBuffer.allocate(Integer.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putInt(checksum(data, data.length))
            .array());
    out.flush();
  }

  private static int checksum(byte[] bytes, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, 0, length);
    int value = (int) crc.getValue();
    return Integer.rotateRight(value, 15) + MASK;
  }

  @Override
  public void close() throws IOException {
    out.close();
  }

  /** Fields of a protocol buffer. */
  private static final class Message {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    Message varint(int field, long value) {
      tag(field, VARINT);
      put(value);
      return this;
    }

    Message fixed64(int field, double value) {
      tag(field, FIXED64);
      ByteBuffer buffer = ByteBuffer.allocate(Double.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      bytes.writeBytes(buffer.putDouble(value).array());
      return this;
    }

    Message fixed32(int field, float value) {
      tag(field, FIXED32);
      ByteBuffer buffer = ByteBuffer.allocate(Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      bytes.writeBytes(buffer.putFloat(value).array());
      return this;
    }

    Message bytes(int field, byte[] value) {
      tag(field, BYTES);
      put(value.length);
      bytes.writeBytes(value);
      return this;
    }

    Message bytes(int field, Message value) {
      return bytes(field, value.toBytes());
    }

    private void tag(int field, int type) {
      put(field << 3 | type);
    }

    private void put(long value) {
      long rest = value;
      while ((rest & ~0x7fL) != 0) {
        bytes.write((int) (rest & 0x7f | 0x80));
        rest >>>= 7;
      }
      bytes.write((int) rest);
    }

    byte[] toBytes() {
      return bytes.toByteArray();
    }
  }
}
