/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/** What is done to a model folder so that it is good no more. */
@FunctionalInterface
interface FolderDamage {
  ObjectMapper JSON = new ObjectMapper();

  void to(Path folder) throws IOException;

  static FolderDamage delete(String file) {
    return folder -> Files.delete(folder.resolve(file));
  }

  static FolderDamage deleteFolder(String name) {
    return folder -> Files.move(folder.resolve(name), folder.resolve("elsewhere"));
  }

  static FolderDamage write(String file, String text) {
    return folder -> Files.writeString(folder.resolve(file), text);
  }

  static FolderDamage pickled(String file) {
    return folder ->
        Files.move(folder.resolve(file), folder.resolve(file.replace(".safetensors", ".bin")));
  }

  static FolderDamage shards(String weights, String index) {
    return folder -> {
      Files.delete(folder.resolve(weights));
      Files.writeString(folder.resolve(weights + ".index.json"), index);
    };
  }

  static FolderDamage set(String file, String key, String value) {
    return folder -> {
      ObjectNode json = (ObjectNode) JSON.readTree(folder.resolve(file).toFile());
      json.set(key, JSON.readTree(value));
      Files.writeString(folder.resolve(file), json.toString());
    };
  }

  static FolderDamage half(String file) {
    return folder -> truncated(file, Files.size(folder.resolve(file)) / 2).to(folder);
  }

  static FolderDamage shorter(String file, long bytes) {
    return folder -> truncated(file, Files.size(folder.resolve(file)) - bytes).to(folder);
  }

  static FolderDamage truncated(String file, long length) {
    return folder -> {
      try (RandomAccessFile opened = new RandomAccessFile(folder.resolve(file).toFile(), "rw")) {
        opened.setLength(length);
      }
    };
  }

  static FolderDamage longer(String file) {
    return folder -> truncated(file, Files.size(folder.resolve(file)) + 1).to(folder);
  }

  static FolderDamage headerLength(String file, long length) {
    return folder -> {
      byte[] bytes = Files.readAllBytes(folder.resolve(file));
      ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
      Files.write(folder.resolve(file), bytes);
    };
  }

  /** Rewrites the header, leaving the data as it is. */
  static FolderDamage header(String file, Consumer<ObjectNode> change) {
    return folder -> {
      byte[] bytes = Files.readAllBytes(folder.resolve(file));
      int length = (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
      ObjectNode header = (ObjectNode) JSON.readTree(bytes, Long.BYTES, length);
      change.accept(header);
      byte[] text = header.toString().getBytes(StandardCharsets.UTF_8);
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      out.write(
          ByteBuffer.allocate(Long.BYTES)
              .order(ByteOrder.LITTLE_ENDIAN)
              .putLong(text.length)
              .array());
      out.write(text);
      out.write(bytes, Long.BYTES + length, bytes.length - Long.BYTES - length);
      Files.write(folder.resolve(file), out.toByteArray());
    };
  }

  static void offsets(ObjectNode header, String tensor, long begin, long end) {
    set(header, tensor, "data_offsets", begin, end);
  }

  static void shape(ObjectNode header, String tensor, long... shape) {
    set(header, tensor, "shape", shape);
  }

  static void set(ObjectNode header, String tensor, String key, long... values) {
    JsonNode list = JSON.valueToTree(values);
    ((ObjectNode) header.get(tensor)).set(key, list);
  }

  /** Rewrites the file with another tensor, of zeros, in one's place. */
  static FolderDamage tensor(String file, String name, UnaryOperator<TensorInfo> other) {
    return folder -> {
      HeapTensors.Builder tensors = HeapTensors.builder();
      try (TensorStore store = Safetensors.open(folder.resolve(file))) {
        for (String each : store.names()) {
          TensorInfo info = each.equals(name) ? other.apply(store.info(each)) : store.info(each);
          byte[] bytes = new byte[(int) info.byteLength()];
          if (!each.equals(name)) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            store.writeTo(each, info.dtype(), out);
            bytes = out.toByteArray();
          }
          tensors.add(info, bytes);
        }
      }
      SafetensorsWriter.write(folder.resolve(file), tensors.build());
    };
  }

  /** Sets one element of a float32 tensor. */
  static FolderDamage number(String file, String name, int element, float value) {
    return folder -> {
      Path path = folder.resolve(file);
      byte[] bytes = Files.readAllBytes(path);
      ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
      int length = (int) buffer.getLong();
      JsonNode entry = JSON.readTree(bytes, Long.BYTES, length).get(name);
      int begin = Long.BYTES + length + entry.get("data_offsets").get(0).asInt();
      buffer.putFloat(begin + element * Float.BYTES, value);
      Files.write(path, bytes);
      assertThat(Arrays.asList("F32")).contains(entry.get("dtype").asText());
    };
  }
}
