/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import org.apache.avro.Schema;
import org.jspecify.annotations.Nullable;

/**
 * What is known of a series besides its slices. This is what state holds, as JSON; later versions
 * may add to it. Earlier ones had a digest of what is asked for, too, which is ignored.
 *
 * @param first the first request, encoded: what all ask for
 * @param attributes that all requests have in common, as what {@code first} has of its record
 * @param slices that are there
 * @param bytes of their files
 * @param expected slices; 0 if unknown
 * @param told whether requests say how many there are, so that files need not
 * @param latest timestamp of a slice; null without
 * @param timer at which its time is up
 * @param done how it ended; null while it is gathered
 */
@JsonIgnoreProperties(ignoreUnknown = true)
record Series(
    byte[] first,
    Map<String, String> attributes,
    int slices,
    long bytes,
    int expected,
    boolean told,
    Long latest,
    long timer,
    String done) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Fields in which requests of a series may differ; each record has its own key. */
  private static final Set<String> OF_ONE_REQUEST =
      Set.of("id", "image", "origin", "deadline", "attributes", "context");

  /** The number of slices among a task's parameters; no model takes it. */
  static final String SLICES = "slices";

  static Series of(ImageTaskEvent task) {
    return new Series(
        EventCodec.imageTasks().encode(task),
        Map.copyOf(task.getAttributes()),
        0,
        0,
        0,
        false,
        null,
        Long.MIN_VALUE,
        null);
  }

  static Series parse(String json) {
    try {
      return JSON.readValue(json, Series.class);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("A series in state: " + json, e);
    }
  }

  String json() {
    try {
      return JSON.writeValueAsString(this);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * Whether a request asks for what the first one does, whatever slices they name. Their fields are
   * compared as the present version of the event has them, so that a series that is gathered during
   * an upgrade goes on.
   */
  boolean isAskedBy(ImageTaskEvent task) {
    return asked(task).equals(asked(firstTask()));
  }

  /** What a request asks for, by the names of its fields. */
  private static Map<String, Object> asked(ImageTaskEvent task) {
    Map<String, Object> asked = new HashMap<>();
    for (Schema.Field field : task.getSchema().getFields()) {
      if (!OF_ONE_REQUEST.contains(field.name())) {
        asked.put(field.name(), content(task.get(field.pos())));
      }
    }
    return asked;
  }

  /** A value that equals another one if what it stands for does: a file by its digest. */
  private static @Nullable Object content(@Nullable Object value) {
    if (value instanceof Payload file) {
      return Payloads.inlineBytes(file)
          .map(Payloads::sha256)
          .or(() -> Payloads.reference(file).map(PayloadReference::getSha256))
          .orElse("");
    }
    if (value instanceof Map<?, ?> map) {
      Map<String, Object> contents = new HashMap<>();
      map.forEach((key, each) -> contents.put(key.toString(), content(each)));
      return contents;
    }
    return value instanceof CharSequence text ? text.toString() : value;
  }

  /** With one more slice. */
  Series with(ImageTaskEvent task, GatheredSlice slice, Long timestamp, int expectedNow) {
    ImageTaskEvent before = firstTask();
    RecordContext context = common(before.getContext(), task.getContext());
    byte[] firstNow =
        Objects.equals(context, before.getContext())
            ? first
            : EventCodec.imageTasks()
                .encode(ImageTaskEvent.newBuilder(before).setContext(context).build());
    Map<String, String> common = new TreeMap<>(attributes);
    common.entrySet().retainAll(task.getAttributes().entrySet());
    Long last =
        timestamp == null || latest == null
            ? latest == null ? timestamp : latest
            : Long.valueOf(Math.max(latest, timestamp));
    return new Series(
        firstNow,
        common,
        slices + 1,
        bytes + slice.length(),
        expectedNow,
        told || task.getParameters().containsKey(SLICES),
        last,
        timer,
        done);
  }

  /** The first request, with what is common to all records of the series as its record's. */
  ImageTaskEvent firstTask() {
    try {
      return EventCodec.imageTasks().decode(first);
    } catch (UndecodableEventException e) {
      throw new IllegalStateException("A request in state", e);
    }
  }

  /** The key and the headers that two records share; null if they share none. */
  private static @Nullable RecordContext common(
      @Nullable RecordContext one, @Nullable RecordContext other) {
    if (one == null || other == null || one.equals(other)) {
      return one == null || other == null ? null : one;
    }
    ByteBuffer key = Objects.equals(one.getKey(), other.getKey()) ? one.getKey() : null;
    Map<String, ByteBuffer> headers = new TreeMap<>(one.getHeaders());
    headers.entrySet().retainAll(other.getHeaders().entrySet());
    return key == null && headers.isEmpty() ? null : new RecordContext(key, headers);
  }

  Series until(long time) {
    return new Series(first, attributes, slices, bytes, expected, told, latest, time, done);
  }

  /** Of what it was, that it is done is all that is kept. */
  Series ended(String how) {
    return new Series(new byte[0], Map.of(), 0, 0, 0, false, null, timer, how);
  }
}
