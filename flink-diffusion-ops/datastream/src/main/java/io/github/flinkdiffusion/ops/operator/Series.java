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
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What is known of a series besides its slices. This is what state holds, as JSON; later versions
 * may add to it.
 *
 * @param first the first request, encoded: what all ask for
 * @param asked a digest of what it asks for, besides its slice
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
    String asked,
    Map<String, String> attributes,
    int slices,
    long bytes,
    int expected,
    boolean told,
    Long latest,
    long timer,
    String done) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** The number of slices among a task's parameters; no model takes it. */
  static final String SLICES = "slices";

  static Series of(ImageTaskEvent task) {
    return new Series(
        EventCodec.imageTasks().encode(task),
        asked(task),
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

  /** What a request asks for, whatever slice it names. */
  static String asked(ImageTaskEvent task) {
    // Maps are encoded in no order.
    Map<String, String> parameters = new TreeMap<>(task.getParameters());
    byte[] others =
        EventCodec.imageTasks()
            .encode(
                ImageTaskEvent.newBuilder(task)
                    .setId("")
                    .setImage(Payloads.inline(new byte[0], ""))
                    .setOrigin(null)
                    .setDeadline(null)
                    .setAttributes(Map.of())
                    .setParameters(Map.of())
                    .setImages(Map.of())
                    // Each record has its own key.
                    .setContext(null)
                    .build());
    String images =
        task.getImages().isEmpty() ? "" : NamedImages.digests(task.getImages()).toString();
    String all = Payloads.sha256(others) + parameters + images;
    return Payloads.sha256(all.getBytes(StandardCharsets.UTF_8));
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
        asked,
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
    return new Series(first, asked, attributes, slices, bytes, expected, told, latest, time, done);
  }

  /** Of what it was, that it is done is all that is kept. */
  Series ended(String how) {
    return new Series(new byte[0], "", Map.of(), 0, 0, 0, false, null, timer, how);
  }
}
