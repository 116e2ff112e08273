/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import org.apache.flink.annotation.Internal;

/**
 * Writes a {@link TensorStore} as a safetensors file.
 *
 * <p>The same tensors give the same bytes: tensors are in the order of {@link DType}, which also
 * aligns each to its elements, and then of their names. The reference implementation writes these
 * very bytes. The file appears under its name only when it is complete and on disk, so that a
 * reader never meets half of one. One tensor at a time is in memory.
 *
 * <pre>{@code
 * SafetensorsWriter.write(path, HeapTensors.builder().add("weight", weights, 8, 4).build());
 * SafetensorsWriter.write(path, TensorViews.withFloatsAs(store, DType.F16), Map.of("format", "pt"));
 * }</pre>
 */
@Internal
public final class SafetensorsWriter {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final Comparator<TensorInfo> FILE_ORDER =
      Comparator.comparing(TensorInfo::dtype).thenComparing(TensorInfo::name);

  private SafetensorsWriter() {}

  /** Writes all tensors with the metadata {@code format: pt}, which transformers requires. */
  public static void write(Path file, TensorStore tensors) {
    write(file, tensors, Map.of("format", "pt"));
  }

  /**
   * Writes all tensors, replacing the file if it exists.
   *
   * @param metadata strings for the header's {@code __metadata__}; may be empty
   * @throws WeightsException if the file cannot be written, or a tensor not read; an existing file
   *     is then as it was
   */
  public static void write(Path file, TensorStore tensors, Map<String, String> metadata) {
    List<TensorInfo> infos =
        tensors.names().stream().map(tensors::info).sorted(FILE_ORDER).toList();
    byte[] header = header(infos, metadata);
    Path directory = file.toAbsolutePath().getParent();
    Path partial = null;
    try {
      Files.createDirectories(directory);
      // Not createTempFile, whose files only their owner may read: others run the model.
      partial = directory.resolve(file.getFileName() + "." + UUID.randomUUID() + ".partial");
      try (FileChannel out =
          FileChannel.open(partial, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        ByteBuffer start =
            ByteBuffer.allocate(Long.BYTES + header.length).order(ByteOrder.LITTLE_ENDIAN);
        TensorReads.writeFully(start.putLong(header.length).put(header).flip(), out);
        for (TensorInfo info : infos) {
          long before = out.position();
          tensors.writeTo(info.name(), out);
          if (out.position() - before != info.byteLength()) {
            throw new WeightsException(
                "Writing %s: %s gave %d bytes for tensor %s, which takes %d"
                    .formatted(
                        file, tensors.source(), out.position() - before, info, info.byteLength()));
          }
        }
        out.force(true);
      }
      moveInto(partial, file);
    } catch (IOException e) {
      throw new WeightsException("Cannot write weights to " + file + ": " + e, e);
    } finally {
      deleteIfLeft(partial);
    }
  }

  private static byte[] header(List<TensorInfo> infos, Map<String, String> metadata) {
    ObjectNode header = JSON.createObjectNode();
    if (!metadata.isEmpty()) {
      ObjectNode strings = header.putObject("__metadata__");
      new TreeMap<>(metadata).forEach(strings::put);
    }
    long offset = 0;
    for (TensorInfo info : infos) {
      ObjectNode entry = header.putObject(info.name());
      entry.put("dtype", info.dtype().name());
      var shape = entry.putArray("shape");
      for (long dimension : info.shape()) {
        shape.add(dimension);
      }
      entry.putArray("data_offsets").add(offset).add(offset += info.byteLength());
    }
    String json;
    try {
      json = JSON.writeValueAsString(header);
    } catch (JsonProcessingException e) {
      throw new WeightsException("Cannot write a safetensors header: " + e.getOriginalMessage(), e);
    }
    // Spaces to a multiple of 8, so that the first tensor is aligned.
    byte[] unpadded = json.getBytes(StandardCharsets.UTF_8);
    return (json + " ".repeat(-unpadded.length & 7)).getBytes(StandardCharsets.UTF_8);
  }

  private static void moveInto(Path partial, Path file) throws IOException {
    try {
      Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      // Some network file systems: the window in which the file is missing is theirs.
      Files.move(partial, file, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private static void deleteIfLeft(Path partial) {
    if (partial != null) {
      try {
        Files.deleteIfExists(partial);
      } catch (IOException ignored) {
        // A stray ".partial" file is harmless, and the first error matters more.
      }
    }
  }
}
