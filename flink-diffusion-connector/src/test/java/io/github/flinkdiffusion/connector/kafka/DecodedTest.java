/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.internal.DecodedTypeInfo;
import java.nio.ByteBuffer;
import java.util.List;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshotSerializationUtil;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.formats.avro.typeutils.AvroSerializer;
import org.apache.flink.util.InstantiationUtil;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class DecodedTest {
  private static final TypeSerializer<Decoded<PromptEvent>> SERIALIZER =
      DecodedTypeInfo.forEvent(PromptEvent.class).createSerializer(new SerializerConfigImpl());

  static List<Decoded<PromptEvent>> both() {
    return List.of(
        Decoded.event(PromptEvent.newBuilder().setId("a").setPrompt("a cat").build()),
        Decoded.failure(
            FailureEvent.newBuilder()
                .setReason(FailureReason.UNDECODABLE)
                .setMessage("no event")
                .setOriginal(ByteBuffer.wrap(new byte[] {1, 2}))
                .build()));
  }

  @ParameterizedTest
  @MethodSource("both")
  void travelsBetweenTasksAsItIs(Decoded<PromptEvent> decoded) throws Exception {
    DataOutputSerializer out = new DataOutputSerializer(64);
    SERIALIZER.serialize(decoded, out);
    DataOutputSerializer copied = new DataOutputSerializer(64);
    SERIALIZER.copy(new DataInputDeserializer(out.getCopyOfBuffer()), copied);

    TypeSerializer<Decoded<PromptEvent>> other = InstantiationUtil.clone(SERIALIZER.duplicate());
    DataInputDeserializer in = new DataInputDeserializer(copied.getCopyOfBuffer());
    assertThat(other.deserialize(in)).isEqualTo(decoded).hasSameHashCodeAs(decoded);
    assertThat(in.available()).isZero();
  }

  /** As of any immutable value: a picture of megabytes is not copied between two operators. */
  @ParameterizedTest
  @MethodSource("both")
  void isNotCopied(Decoded<PromptEvent> decoded) {
    assertThat(SERIALIZER.isImmutableType()).isTrue();
    assertThat(SERIALIZER.copy(decoded)).isSameAs(decoded);
    assertThat(SERIALIZER.copy(decoded, SERIALIZER.createInstance())).isSameAs(decoded);
  }

  @Test
  void aSavepointsSnapshotMakesTheSameSerializer() throws Exception {
    DataOutputSerializer out = new DataOutputSerializer(256);
    TypeSerializerSnapshotSerializationUtil.writeSerializerSnapshot(
        out, SERIALIZER.snapshotConfiguration());
    TypeSerializerSnapshot<Decoded<PromptEvent>> snapshot =
        TypeSerializerSnapshotSerializationUtil.readSerializerSnapshot(
            new DataInputDeserializer(out.getCopyOfBuffer()), getClass().getClassLoader());

    assertThat(snapshot.restoreSerializer()).isEqualTo(SERIALIZER);
    assertThat(
            SERIALIZER
                .snapshotConfiguration()
                .resolveSchemaCompatibility(snapshot)
                .isCompatibleAsIs())
        .isTrue();
  }

  @Test
  void flinkFindsTheTypeByItself() {
    assertThat(TypeInformation.of(new TypeHint<Decoded<ImageEvent>>() {}))
        .isEqualTo(DecodedTypeInfo.forEvent(ImageEvent.class));
  }

  @ParameterizedTest
  @ValueSource(
      classes = {PromptEvent.class, ImageEvent.class, FailureEvent.class, ProgressEvent.class})
  void flinkSerializesEveryEventWithAvroAndNotWithKryo(Class<?> event) {
    assertThat(TypeInformation.of(event).createSerializer(new SerializerConfigImpl()))
        .isInstanceOf(AvroSerializer.class);
  }
}
