/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import java.io.IOException;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.typeutils.CompositeTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * A boolean that is true for an event, then the event or the failure with its own serializer.
 *
 * <p>What is decoded is taken for immutable: it was made for this one record, {@link Decoded#split}
 * hands it on, and whoever comes behind that gets a copy from Flink. A copy before would be of a
 * whole picture, to be thrown away at once.
 */
@Internal
public final class DecodedSerializer<T> extends TypeSerializer<Decoded<T>> {
  private static final long serialVersionUID = 1L;

  private final TypeSerializer<T> events;
  private final TypeSerializer<FailureEvent> failures;

  DecodedSerializer(TypeSerializer<T> events, TypeSerializer<FailureEvent> failures) {
    this.events = events;
    this.failures = failures;
  }

  @Override
  public boolean isImmutableType() {
    return true;
  }

  @Override
  public TypeSerializer<Decoded<T>> duplicate() {
    TypeSerializer<T> e = events.duplicate();
    TypeSerializer<FailureEvent> f = failures.duplicate();
    return e == events && f == failures ? this : new DecodedSerializer<>(e, f);
  }

  @Override
  public Decoded<T> createInstance() {
    return Decoded.event(events.createInstance());
  }

  @Override
  public Decoded<T> copy(Decoded<T> from) {
    return from;
  }

  @Override
  public Decoded<T> copy(Decoded<T> from, Decoded<T> reuse) {
    return from;
  }

  @Override
  public int getLength() {
    return -1; // varies
  }

  @Override
  public void serialize(Decoded<T> decoded, DataOutputView target) throws IOException {
    target.writeBoolean(decoded.event().isPresent());
    if (decoded.event().isPresent()) {
      events.serialize(decoded.event().get(), target);
    } else {
      failures.serialize(decoded.failure().get(), target);
    }
  }

  @Override
  public Decoded<T> deserialize(DataInputView source) throws IOException {
    return source.readBoolean()
        ? Decoded.event(events.deserialize(source))
        : Decoded.failure(failures.deserialize(source));
  }

  @Override
  public Decoded<T> deserialize(Decoded<T> reuse, DataInputView source) throws IOException {
    return deserialize(source);
  }

  @Override
  public void copy(DataInputView source, DataOutputView target) throws IOException {
    boolean event = source.readBoolean();
    target.writeBoolean(event);
    if (event) {
      events.copy(source, target);
    } else {
      failures.copy(source, target);
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof DecodedSerializer<?> that
        && events.equals(that.events)
        && failures.equals(that.failures);
  }

  @Override
  public int hashCode() {
    return 31 * events.hashCode() + failures.hashCode();
  }

  @Override
  public TypeSerializerSnapshot<Decoded<T>> snapshotConfiguration() {
    return new Snapshot<>(this);
  }

  /** What a savepoint keeps of the serializer; the Avro schemas within may evolve. */
  public static final class Snapshot<T>
      extends CompositeTypeSerializerSnapshot<Decoded<T>, DecodedSerializer<T>> {
    private static final int VERSION = 1;

    /** For Flink, which reads it from a savepoint. */
    public Snapshot() {}

    Snapshot(DecodedSerializer<T> serializer) {
      super(serializer);
    }

    @Override
    protected int getCurrentOuterSnapshotVersion() {
      return VERSION;
    }

    @Override
    protected TypeSerializer<?>[] getNestedSerializers(DecodedSerializer<T> serializer) {
      return new TypeSerializer<?>[] {serializer.events, serializer.failures};
    }

    @Override
    @SuppressWarnings("unchecked") // in the order of the method above
    protected DecodedSerializer<T> createOuterSerializerWithNestedSerializers(
        TypeSerializer<?>[] nested) {
      return new DecodedSerializer<>(
          (TypeSerializer<T>) nested[0], (TypeSerializer<FailureEvent>) nested[1]);
    }
  }
}
