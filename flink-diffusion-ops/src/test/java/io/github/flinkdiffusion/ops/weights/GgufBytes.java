/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Makes GGUF files that no library would write. */
final class GgufBytes {
  private final ByteArrayOutputStream metadata = new ByteArrayOutputStream();
  private final ByteArrayOutputStream tensors = new ByteArrayOutputStream();
  private int version = 3;
  private long pairs;
  private long count;
  private byte[] data = {};

  GgufBytes version(int number) {
    version = number;
    return this;
  }

  GgufBytes number(String key, int value) {
    pairs++;
    text(metadata, key);
    metadata.writeBytes(bytes(8).putInt(4).putInt(value).array());
    return this;
  }

  GgufBytes shape(String key, long... shape) {
    pairs++;
    text(metadata, key);
    ByteBuffer array =
        bytes(4 + 4 + 8 + 4 * shape.length).putInt(9).putInt(5).putLong(shape.length);
    for (long dimension : shape) {
      array.putInt((int) dimension);
    }
    metadata.writeBytes(array.array());
    return this;
  }

  /**
   * @param dimensions innermost first, as they are in the file
   */
  GgufBytes tensor(String name, int type, long offset, long... dimensions) {
    count++;
    text(tensors, name);
    ByteBuffer rest = bytes(4 + 8 * dimensions.length + 4 + 8).putInt(dimensions.length);
    for (long dimension : dimensions) {
      rest.putLong(dimension);
    }
    tensors.writeBytes(rest.putInt(type).putLong(offset).array());
    return this;
  }

  GgufBytes data(int bytes) {
    return data(new byte[bytes]);
  }

  GgufBytes data(byte[] bytes) {
    data = bytes;
    return this;
  }

  Path write(Path file) throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    all.writeBytes("GGUF".getBytes(StandardCharsets.US_ASCII));
    all.writeBytes(bytes(20).putInt(version).putLong(count).putLong(pairs).array());
    all.writeBytes(metadata.toByteArray());
    all.writeBytes(tensors.toByteArray());
    while (all.size() % 32 != 0) {
      all.write(0);
    }
    all.writeBytes(data);
    return Files.write(file, all.toByteArray());
  }

  private static void text(ByteArrayOutputStream out, String text) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    out.writeBytes(bytes(8).putLong(utf8.length).array());
    out.writeBytes(utf8);
  }

  private static ByteBuffer bytes(int count) {
    return ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
  }
}
