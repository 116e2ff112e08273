/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.ModelVersion;
import io.github.flinkdiffusion.ops.serving.ModelVersions;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;

/**
 * Which versions of models there are, and which model events were dealt with, as savepoints hold
 * them: kept readable for ever. The same in every subtask, in broadcast state, so that each new one
 * gets it, too.
 *
 * <p>Key {@code model/NAME}, all numbers big-endian, {@code text} in UTF-8 with an int length in
 * front:
 *
 * <pre>
 * byte version = 1
 * text configured; int n; n x (text label; bool, text folder; bool, text digest); int current
 * </pre>
 *
 * Key {@code events}: {@code byte version = 1; int n; n x text digest}.
 *
 * @param models by their names
 * @param events digests of those dealt with, the oldest first
 */
record SavedVersions(Map<String, ModelVersions> models, List<String> events) {
  static final MapStateDescriptor<String, byte[]> STATE =
      new MapStateDescriptor<>(
          "diffusion-model-versions",
          Types.STRING,
          PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);

  private static final byte VERSION = 1;
  private static final String MODEL = "model/";
  private static final String EVENTS = "events";

  /** What is written goes to memory, but who writes need not know. */
  private interface Writing {
    void to(DataOutputStream out) throws IOException;
  }

  /** What is read may end too early. */
  private interface Reading<T> {
    T from(DataInputStream in) throws IOException;
  }

  void save(BroadcastState<String, byte[]> state) throws Exception {
    state.clear();
    for (Map.Entry<String, ModelVersions> model : models.entrySet()) {
      state.put(MODEL + model.getKey(), written(out -> write(out, model.getValue())));
    }
    if (!events.isEmpty()) {
      state.put(
          EVENTS,
          written(
              out -> {
                out.writeInt(events.size());
                for (String event : events) {
                  text(out, event);
                }
              }));
    }
  }

  /**
   * @throws DiffusionException when the state was not written by this or an earlier version
   */
  static SavedVersions restore(BroadcastState<String, byte[]> state) throws Exception {
    Map<String, ModelVersions> models = new TreeMap<>();
    List<String> events = new ArrayList<>();
    for (Map.Entry<String, byte[]> entry : state.immutableEntries()) {
      if (entry.getKey().equals(EVENTS)) {
        events.addAll(read(entry, SavedVersions::texts));
      } else if (entry.getKey().startsWith(MODEL)) {
        models.put(entry.getKey().substring(MODEL.length()), read(entry, SavedVersions::versions));
      }
    }
    return new SavedVersions(models, events);
  }

  private static byte[] written(Writing writing) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      out.writeByte(VERSION);
      writing.to(out);
    } catch (IOException e) {
      throw new UncheckedIOException("Writing to memory does not fail.", e);
    }
    return bytes.toByteArray();
  }

  private static <T> T read(Map.Entry<String, byte[]> entry, Reading<T> reading) {
    try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(entry.getValue()))) {
      byte version = in.readByte();
      if (version != VERSION) {
        throw new IOException(
            "format version %d, this version of Flink Diffusion reads up to %d"
                .formatted(version, VERSION));
      }
      return reading.from(in);
    } catch (IOException | IllegalArgumentException | IndexOutOfBoundsException e) {
      throw new DiffusionException(
          "The versions of models in the restored state cannot be read (%s): %s"
              .formatted(
                  entry.getKey(), e instanceof EOFException ? "it ends too early" : e.getMessage()),
          e);
    }
  }

  private static void write(DataOutputStream out, ModelVersions versions) throws IOException {
    text(out, versions.configured());
    out.writeInt(versions.known().size());
    for (ModelVersion version : versions.known()) {
      text(out, version.label());
      optional(out, version.folder());
      optional(out, version.digest());
    }
    out.writeInt(versions.known().indexOf(versions.current()));
  }

  private static ModelVersions versions(DataInputStream in) throws IOException {
    String configured = text(in);
    List<ModelVersion> known = new ArrayList<>();
    for (int left = length(in); left > 0; left--) {
      known.add(new ModelVersion(text(in), optional(in), optional(in)));
    }
    return new ModelVersions(configured, known, known.get(in.readInt()));
  }

  private static List<String> texts(DataInputStream in) throws IOException {
    List<String> texts = new ArrayList<>();
    for (int left = length(in); left > 0; left--) {
      texts.add(text(in));
    }
    return texts;
  }

  private static void optional(DataOutputStream out, Optional<String> text) throws IOException {
    out.writeBoolean(text.isPresent());
    if (text.isPresent()) {
      text(out, text.get());
    }
  }

  private static Optional<String> optional(DataInputStream in) throws IOException {
    return in.readBoolean() ? Optional.of(text(in)) : Optional.empty();
  }

  private static void text(DataOutputStream out, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    out.writeInt(bytes.length);
    out.write(bytes);
  }

  private static String text(DataInputStream in) throws IOException {
    byte[] bytes = new byte[length(in)];
    in.readFully(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  /** What the rest of the bytes can hold, so that damaged ones do not allocate the heap. */
  private static int length(DataInputStream in) throws IOException {
    int length = in.readInt();
    if (length < 0 || length > in.available()) {
      throw new EOFException();
    }
    return length;
  }
}
