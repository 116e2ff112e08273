/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.GZIPInputStream;

/** The committed lists of the tensors of single-file checkpoints, in the real ones' shapes. */
public final class SingleFileKeys {
  private static final Path LISTS = Path.of("src/test/resources/fixtures/single-file");

  private SingleFileKeys() {}

  /**
   * A line of a list of keys.
   *
   * @param targets component to the names of its tensors, in order
   */
  public record Key(
      String original, long[] shape, String how, String component, List<String> targets) {
    private static Key of(String line) {
      String[] parts = line.split("\t", -1);
      long[] shape =
          parts[1].isEmpty()
              ? new long[0]
              : Arrays.stream(parts[1].split(",")).mapToLong(Long::parseLong).toArray();
      List<String> targets = new ArrayList<>();
      String component = "";
      for (String target : parts.length < 4 ? new String[0] : parts[3].split(" ")) {
        component = target.substring(0, target.indexOf(':'));
        targets.add(target.substring(target.indexOf(':') + 1));
      }
      return new Key(parts[0], shape, parts[2], component, targets);
    }

    /** The shape of each of the targets. */
    public long[] targetShape() {
      return switch (how) {
        case "linear" -> Arrays.copyOf(shape, 2);
        case "transposed" -> new long[] {shape[1], shape[0]};
        case "fused" -> {
          long[] part = shape.clone();
          part[0] /= targets.size();
          yield part;
        }
        default -> shape;
      };
    }
  }

  /** The list of a kind of checkpoint, or of a fixture. */
  public static List<Key> of(String name) throws IOException {
    try (InputStream in =
        new GZIPInputStream(Files.newInputStream(LISTS.resolve("keys-" + name + ".txt.gz")))) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().map(Key::of).toList();
    }
  }

  /** A file that has these tensors, and no bytes on disk for them. */
  public static Path hollow(Path path, List<Key> keys) throws IOException {
    ObjectMapper json = new ObjectMapper();
    ObjectNode header = json.createObjectNode();
    long end = 0;
    for (Key key : keys) {
      long bytes = TensorInfo.of(key.original, DType.F16, key.shape).byteLength();
      ObjectNode entry = header.putObject(key.original).put("dtype", "F16");
      entry.set("shape", json.valueToTree(key.shape));
      entry.putArray("data_offsets").add(end).add(end += bytes);
    }
    byte[] text = json.writeValueAsBytes(header);
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.write(
          ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).array());
      file.write(text);
      file.setLength(Long.BYTES + text.length + end);
    }
    return path;
  }
}
