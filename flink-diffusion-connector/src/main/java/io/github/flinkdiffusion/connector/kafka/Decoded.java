/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.kafka.internal.DecodedTypeInfo;
import java.lang.reflect.Type;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.api.common.typeinfo.TypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInfoFactory;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import org.jspecify.annotations.NullMarked;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What became of one Kafka record: the event that it held, or the failure that says why it held
 * none. A Flink source has one output, so both travel through it; {@link #split} parts them. Flink
 * does not copy it between operators: who reads it without parting it changes nothing in it.
 *
 * @param <T> the event
 */
@NullMarked
@PublicEvolving
@TypeInfo(Decoded.TypeFactory.class)
public final class Decoded<T> {
  private static final Logger LOG = LoggerFactory.getLogger(Decoded.class);

  private final @Nullable T event;
  private final @Nullable FailureEvent failure;

  private Decoded(@Nullable T event, @Nullable FailureEvent failure) {
    this.event = event;
    this.failure = failure;
  }

  /**
   * A record that held this event.
   *
   * @param <T> the event
   */
  public static <T> Decoded<T> event(T event) {
    return new Decoded<>(Objects.requireNonNull(event, "event"), null);
  }

  /**
   * A record that held no event.
   *
   * @param <T> the event that was expected
   */
  public static <T> Decoded<T> failure(FailureEvent failure) {
    return new Decoded<>(null, Objects.requireNonNull(failure, "failure"));
  }

  /** The event, empty when there is a failure. */
  public Optional<T> event() {
    return Optional.ofNullable(event);
  }

  /** The failure, empty when there is an event. */
  public Optional<FailureEvent> failure() {
    return Optional.ofNullable(failure);
  }

  /**
   * Parts a source's output into events and failures. Send both on: a job that drops the failures
   * drops the records they hold.
   *
   * <p>Where the given stream has a uid, the step gets the same with {@code -split} behind it; it
   * keeps no state. Where it has none, a warning in the log says what can be lost.
   *
   * @param <T> the event
   * @param decoded the output of a source of {@link DiffusionSources}, perhaps filtered
   */
  public static <T> Split<T> split(DataStream<Decoded<T>> decoded) {
    TypeInformation<T> eventType = ((DecodedTypeInfo<T>) decoded.getType()).eventType();
    OutputTag<FailureEvent> failures =
        new OutputTag<>("undecodable", new AvroTypeInfo<>(FailureEvent.class));
    SingleOutputStreamOperator<T> events =
        decoded.process(new SplitFunction<>(failures)).returns(eventType).name("split");
    String uid = decoded.getTransformation().getUid();
    if (uid != null) {
      events.uid(uid + "-split");
    } else {
      LOG.warn(missingUid(decoded.getTransformation().getName()));
    }
    return new Split<>(events, events.getSideOutput(failures));
  }

  static String missingUid(String source) {
    return ("The source '%s' has no uid. After any change of the job, Flink either refuses a savepoint"
            + " or, with --allowNonRestoredState, drops this source's state: the positions up to"
            + " which its topics were read. It would then read them from its starting offsets"
            + " again. Call uid(...) on the stream with a name that is unique in the job and stays"
            + " the same.")
        .formatted(source);
  }

  /**
   * The two streams that {@link #split} makes of one.
   *
   * @param <T> the event
   */
  public static final class Split<T> {
    private final SingleOutputStreamOperator<T> events;
    private final DataStream<FailureEvent> failures;

    private Split(SingleOutputStreamOperator<T> events, DataStream<FailureEvent> failures) {
      this.events = events;
      this.failures = failures;
    }

    /** The events that the records held. */
    public SingleOutputStreamOperator<T> events() {
      return events;
    }

    /** The records that held no event, for the sink of {@link DiffusionSinks#failures()}. */
    public DataStream<FailureEvent> failures() {
      return failures;
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Decoded<?> that
        && Objects.equals(event, that.event)
        && Objects.equals(failure, that.failure);
  }

  @Override
  public int hashCode() {
    return Objects.hash(event, failure);
  }

  @Override
  public String toString() {
    return event != null ? "Decoded[" + event + "]" : "Decoded[" + failure + "]";
  }

  private static final class SplitFunction<T> extends ProcessFunction<Decoded<T>, T> {
    private static final long serialVersionUID = 1L;

    private final OutputTag<FailureEvent> failures;

    SplitFunction(OutputTag<FailureEvent> failures) {
      this.failures = failures;
    }

    @Override
    public void processElement(Decoded<T> decoded, Context context, Collector<T> events) {
      if (decoded.event != null) {
        events.collect(decoded.event);
      } else {
        context.output(failures, decoded.failure);
      }
    }
  }

  /** Lets Flink find the type of {@code Decoded<PromptEvent>} by itself, without Kryo. */
  @Internal
  public static final class TypeFactory<T> extends TypeInfoFactory<Decoded<T>> {
    @Override
    @SuppressWarnings("unchecked") // Flink gives the parameters by the names of the class above
    public TypeInformation<Decoded<T>> createTypeInfo(
        Type type, Map<String, TypeInformation<?>> parameters) {
      return new DecodedTypeInfo<>((TypeInformation<T>) parameters.get("T"));
    }
  }
}
