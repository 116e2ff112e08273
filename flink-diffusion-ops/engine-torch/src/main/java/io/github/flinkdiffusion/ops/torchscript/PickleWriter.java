/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/**
 * The part of Python's pickle protocol 2 that an archive's {@code data.pkl} needs (opcodes of
 * CPython's pickletools).
 */
final class PickleWriter {
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();

  PickleWriter() {
    opcode(0x80);
    opcode(2);
  }

  void global(String module, String name) {
    opcode('c');
    line(module);
    line(name);
  }

  void emptyTuple() {
    opcode(')');
  }

  void emptyDict() {
    opcode('}');
  }

  void mark() {
    opcode('(');
  }

  /** A tuple of what was pushed since the last mark. */
  void tuple() {
    opcode('t');
  }

  /** Sets the pairs pushed since the last mark in the dict below it. */
  void setItems() {
    opcode('u');
  }

  void newObject() {
    opcode(0x81);
  }

  void build() {
    opcode('b');
  }

  void reduce() {
    opcode('R');
  }

  void persistentId() {
    opcode('Q');
  }

  void bool(boolean value) {
    opcode(value ? 0x88 : 0x89);
  }

  void string(String value) {
    byte[] utf8 = value.getBytes(StandardCharsets.UTF_8);
    opcode('X');
    littleEndian(utf8.length, 4);
    out.writeBytes(utf8);
  }

  void integer(long value) {
    if (value >= 0 && value < 256) {
      opcode('K');
      littleEndian(value, 1);
    } else if (value == (int) value) {
      opcode('J');
      littleEndian(value, 4);
    } else {
      opcode(0x8a);
      opcode(8);
      littleEndian(value, 8);
    }
  }

  void integers(long[] values) {
    mark();
    for (long value : values) {
      integer(value);
    }
    tuple();
  }

  byte[] finish() {
    opcode('.');
    return out.toByteArray();
  }

  private void opcode(int code) {
    out.write(code);
  }

  private void line(String text) {
    out.writeBytes(text.getBytes(StandardCharsets.US_ASCII));
    out.write('\n');
  }

  private void littleEndian(long value, int bytes) {
    for (int i = 0; i < bytes; i++) {
      out.write((int) (value >>> (8 * i)));
    }
  }
}
