/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.RecordContext;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What requests of a series must have in common. */
class SeriesTest {

  private static ImageTaskEvent.Builder slice(String id) {
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(Payloads.inline(id.getBytes(), "application/dicom"))
        .setPrompt("liver")
        .setSeed(7L)
        .setParameters(Map.of("slices", "3", "eta", "0.5"));
  }

  @Test
  void whatIsOfOneRequestMayDiffer() {
    Series series = Series.of(slice("a").build());
    ImageTaskEvent other =
        slice("b")
            .setDeadline(5L)
            .setAttributes(Map.of("ward", "3"))
            .setContext(new RecordContext(ByteBuffer.wrap(new byte[] {1}), Map.of()))
            .build();
    assertThat(series.isAskedBy(other)).isTrue();
    assertThat(Series.parse(series.json()).isAskedBy(other)).isTrue();
  }

  @Test
  void whatDecidesTheResultMayNot() {
    Series series = Series.of(slice("a").setMask(Payloads.inline(new byte[] {1}, "")).build());
    assertThat(
            series.isAskedBy(
                slice("b").setMask(Payloads.inline(new byte[] {1}, "image/png")).build()))
        .as("the same file")
        .isTrue();
    assertThat(series.isAskedBy(slice("b").build())).isFalse();
    assertThat(series.isAskedBy(slice("b").setMask(Payloads.inline(new byte[] {2}, "")).build()))
        .isFalse();
    Series plain = Series.of(slice("a").build());
    assertThat(plain.isAskedBy(slice("b").setPrompt("lung").build())).isFalse();
    assertThat(plain.isAskedBy(slice("b").setSeed(null).build())).isFalse();
    assertThat(plain.isAskedBy(slice("b").setParameters(Map.of("slices", "3")).build())).isFalse();
    assertThat(
            plain.isAskedBy(
                slice("b")
                    .setImages(Map.of("controlImage", Payloads.inline(new byte[] {1}, "")))
                    .build()))
        .isFalse();
  }

  /** A series that an earlier release began, with a digest of its own encoding of the event. */
  @ParameterizedTest
  @ValueSource(ints = {3, 4})
  void aSeriesOfAnEarlierVersionOfTheEventGoesOn(int version) throws IOException {
    ObjectMapper json = new ObjectMapper();
    ImageTaskEvent first = slice("a").build();
    ObjectNode state = (ObjectNode) json.readTree(Series.of(first).json());
    state.put("first", encoded(version)).put("asked", "a digest of another release");
    Series series = Series.parse(state.toString());
    assertThat(series.isAskedBy(slice("b").build())).isTrue();
    assertThat(series.isAskedBy(slice("b").setPrompt("lung").build())).isFalse();
  }

  private static byte[] encoded(int version) throws IOException {
    Schema schema;
    String name = "ImageTaskEvent.v%d.avsc".formatted(version);
    try (InputStream in = ImageTaskEvent.class.getResourceAsStream(name)) {
      schema = new Schema.Parser().parse(in);
    }
    Schema payload = schema.getField("image").schema();
    GenericRecordBuilder event =
        new GenericRecordBuilder(schema)
            .set("id", "a")
            .set("image", image(payload))
            .set("prompt", "liver")
            .set("seed", 7L)
            .set("parameters", Map.of("slices", "3", "eta", "0.5"));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    new BinaryMessageEncoder<>(GenericData.get(), schema).encode(event.build(), out);
    return out.toByteArray();
  }

  private static Object image(Schema payload) {
    GenericData.Record like = new GenericData.Record(payload);
    ImageTaskEvent event = slice("a").build();
    for (Schema.Field field : payload.getFields()) {
      like.put(field.pos(), event.getImage().get(field.name()));
    }
    return like;
  }
}
