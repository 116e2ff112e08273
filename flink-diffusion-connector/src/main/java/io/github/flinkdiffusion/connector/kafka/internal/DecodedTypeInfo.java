/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import java.util.Map;
import java.util.Objects;
import org.apache.avro.specific.SpecificRecord;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;

/** Flink's view of {@link Decoded}: one byte that says which, then the event or the failure. */
@Internal
public final class DecodedTypeInfo<T> extends TypeInformation<Decoded<T>> {
  private static final long serialVersionUID = 1L;

  private final TypeInformation<T> eventType;

  public DecodedTypeInfo(TypeInformation<T> eventType) {
    this.eventType = Objects.requireNonNull(eventType, "the type of the event in Decoded<...>");
  }

  /** For one of the generated events. */
  public static <T extends SpecificRecord> DecodedTypeInfo<T> forEvent(Class<T> eventClass) {
    return new DecodedTypeInfo<>(avro(eventClass));
  }

  /** Avro's serializer for an event; every generated event is a {@link SpecificRecordBase}. */
  @SuppressWarnings({"unchecked", "rawtypes"})
  public static <T extends SpecificRecord> TypeInformation<T> avro(Class<T> eventClass) {
    return new AvroTypeInfo(eventClass.asSubclass(SpecificRecordBase.class));
  }

  public TypeInformation<T> eventType() {
    return eventType;
  }

  @Override
  public boolean isBasicType() {
    return false;
  }

  @Override
  public boolean isTupleType() {
    return false;
  }

  @Override
  public int getArity() {
    return 1;
  }

  @Override
  public int getTotalFields() {
    return 1;
  }

  @Override
  @SuppressWarnings("unchecked") // a class object knows no type argument
  public Class<Decoded<T>> getTypeClass() {
    return (Class<Decoded<T>>) (Class<?>) Decoded.class;
  }

  @Override
  public boolean isKeyType() {
    return false;
  }

  @Override
  public Map<String, TypeInformation<?>> getGenericParameters() {
    return Map.of("T", eventType);
  }

  @Override
  public TypeSerializer<Decoded<T>> createSerializer(SerializerConfig config) {
    return new DecodedSerializer<>(
        eventType.createSerializer(config),
        new AvroTypeInfo<>(FailureEvent.class).createSerializer(config));
  }

  @Override
  public String toString() {
    return "Decoded<" + eventType + ">";
  }

  @Override
  public boolean canEqual(Object other) {
    return other instanceof DecodedTypeInfo;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof DecodedTypeInfo<?> that && eventType.equals(that.eventType);
  }

  @Override
  public int hashCode() {
    return eventType.hashCode();
  }
}
