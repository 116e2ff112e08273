/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.DiffusionSinks;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.connector.kafka.EventSinkBuilder;
import io.github.flinkdiffusion.connector.kafka.EventSourceBuilder;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.kafka.KafkaSettingsException;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.util.Objects;
import java.util.function.Consumer;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.jspecify.annotations.NullMarked;
import org.jspecify.annotations.Nullable;

/**
 * Builds the usual job: requests from a Kafka topic, one diffusion operator, images and failures to
 * Kafka topics. Obtained from {@link Diffusion#job}.
 *
 * <pre>{@code
 * env.enableCheckpointing(10_000);
 * Diffusion.job("posters", Diffusion.textToImage().setModel("/models/stable-diffusion-v1-5"))
 *     .setBootstrapServers("kafka:9092")
 *     .setTopics("prompts", "images", "failures")
 *     .addTo(env);
 * env.execute("posters");
 * }</pre>
 *
 * <p>The name is the identity of the job's parts and must stay the same as long as its savepoints
 * and its consumer group are of use. These follow from it:
 *
 * <ul>
 *   <li>the uids NAME-requests, NAME (the operator, unless it has its own), NAME-images (or
 *       NAME-texts), NAME-failures, NAME-progress and NAME-cancellation-requests
 *   <li>the consumer group and the prefix of transactional ids, unless {@link
 *       KafkaOptions#GROUP_ID} and {@link KafkaOptions#TRANSACTIONAL_ID_PREFIX} are set in the
 *       job's configuration
 * </ul>
 *
 * <p>For anything else between source and sinks, build the job from {@link DiffusionSources}, the
 * operator's {@code apply} and {@link DiffusionSinks}.
 *
 * @param <E> the requests' event
 */
@NullMarked
@PublicEvolving
public final class DiffusionJob<E extends SpecificRecord> {
  private final String name;
  private final DiffusionBuilder<E, ?> operator;
  private @Nullable String bootstrapServers;
  private @Nullable String requestsTopic;
  private @Nullable String imagesTopic;
  private @Nullable String failuresTopic;
  private @Nullable String progressTopic;
  private @Nullable String cancellationsTopic;
  private Consumer<? super EventSourceBuilder<E>> source = builder -> {};
  private Consumer<? super EventSinkBuilder<ImageEvent>> images = builder -> {};
  private Consumer<? super EventSinkBuilder<FailureEvent>> failures = builder -> {};

  DiffusionJob(String name, DiffusionBuilder<E, ?> operator) {
    if (name.isBlank()) {
      throw new DiffusionException(
          "A job needs a name, which its uids and its consumer group follow from; given was '%s'."
              .formatted(name));
    }
    this.name = name;
    this.operator = Objects.requireNonNull(operator, "operator");
  }

  /** {@link KafkaOptions#BOOTSTRAP_SERVERS}, for all sources and sinks of the job. */
  public DiffusionJob<E> setBootstrapServers(String servers) {
    bootstrapServers = Objects.requireNonNull(servers, "servers");
    return this;
  }

  /**
   * The topics to read and to write; required. They must exist.
   *
   * @param requests read
   * @param images written: one event for each request that succeeds; of {@link
   *     Diffusion#imageToText} the texts
   * @param failures written: one event for each other request, and for each record that is none
   */
  public DiffusionJob<E> setTopics(String requests, String images, String failures) {
    requestsTopic = Objects.requireNonNull(requests, "requests");
    imagesTopic = Objects.requireNonNull(images, "images");
    failuresTopic = Objects.requireNonNull(failures, "failures");
    return this;
  }

  /**
   * The topic that progress is written to, at least once. Needs {@link
   * DiffusionOptions#PROGRESS_EVERY_STEPS} or {@link DiffusionOptions#PREVIEW_EVERY_STEPS}.
   */
  public DiffusionJob<E> setProgressTopic(String topic) {
    progressTopic = Objects.requireNonNull(topic, "topic");
    return this;
  }

  /** The topic that cancellations of requests are read from. */
  public DiffusionJob<E> setCancellationsTopic(String topic) {
    cancellationsTopic = Objects.requireNonNull(topic, "topic");
    return this;
  }

  /**
   * Changes the source of the requests, e.g. {@code source -> source.setFormat(EventFormat.JSON)}.
   * Called by {@link #addTo} after the settings above.
   */
  public DiffusionJob<E> configureSource(Consumer<? super EventSourceBuilder<E>> change) {
    source = Objects.requireNonNull(change, "change");
    return this;
  }

  /** Changes the sink of the images. Called by {@link #addTo} after the settings above. */
  public DiffusionJob<E> configureImages(Consumer<? super EventSinkBuilder<ImageEvent>> change) {
    images = Objects.requireNonNull(change, "change");
    return this;
  }

  /** Changes the sink of the failures. Called by {@link #addTo} after the settings above. */
  public DiffusionJob<E> configureFailures(
      Consumer<? super EventSinkBuilder<FailureEvent>> change) {
    failures = Objects.requireNonNull(change, "change");
    return this;
  }

  /**
   * Adds source, operator and sinks to an environment.
   *
   * @param env with checkpointing enabled: results become visible with checkpoints
   * @return the operator's outputs, for further use; their sinks are already there
   * @throws DiffusionException when a setting of the operator or a topic is missing or invalid
   * @throws KafkaSettingsException when a setting of a source or a sink is missing or would lose
   *     records
   */
  public DiffusionStreams addTo(StreamExecutionEnvironment env) {
    if (requestsTopic == null || imagesTopic == null || failuresTopic == null) {
      throw new DiffusionException(
          "The job '%s' has no topics: call setTopics(...).".formatted(name));
    }
    ReadableConfig job = env.getConfiguration();
    EventSourceBuilder<E> requests = configured(operator.source(), job).setTopics(requestsTopic);
    source.accept(requests);
    Decoded.Split<E> read = read(env, requests, "requests");
    DataStream<FailureEvent> failed = read.failures();
    if (cancellationsTopic != null) {
      if (operator.hasCancellations()) {
        throw new DiffusionException(
            "The job '%s' has the cancellations topic '%s', and its operator a stream of cancellations: leave one out, or union the streams yourself."
                .formatted(name, cancellationsTopic));
      }
      Decoded.Split<CancelEvent> cancelled =
          read(
              env,
              configured(DiffusionSources.cancellations(), job).setTopics(cancellationsTopic),
              "cancellation-requests");
      failed = failed.union(cancelled.failures());
      operator.setCancellations(cancelled.events());
    }
    operator.uidIfNone(name);
    DiffusionStreams streams = operator.apply(read.events());

    if (operator.emitsTexts()) {
      EventSinkBuilder<TextEvent> textsSink =
          configured(DiffusionSinks.texts(), job)
              .setTopic(imagesTopic)
              .setFailuresTopic(failuresTopic);
      write(streams.texts(), textsSink.build(env), "texts");
    } else {
      EventSinkBuilder<ImageEvent> imagesSink =
          configured(DiffusionSinks.images(), job)
              .setTopic(imagesTopic)
              .setFailuresTopic(failuresTopic);
      images.accept(imagesSink);
      write(streams.images(), imagesSink.build(env), "images");
    }

    EventSinkBuilder<FailureEvent> failuresSink =
        configured(DiffusionSinks.failures(), job).setTopic(failuresTopic);
    failures.accept(failuresSink);
    write(failed.union(streams.failures()), failuresSink.build(env), "failures");

    if (progressTopic != null) {
      if (!emitsProgress(job)) {
        throw new DiffusionException(
            "The job '%s' has the progress topic '%s', but its operator emits no progress: set %s or %s."
                .formatted(
                    name,
                    progressTopic,
                    DiffusionOptions.PROGRESS_EVERY_STEPS.key(),
                    DiffusionOptions.PREVIEW_EVERY_STEPS.key()));
      }
      EventSinkBuilder<ProgressEvent> progressSink = DiffusionSinks.progress();
      setBootstrapServers(progressSink);
      write(streams.progress(), progressSink.setTopic(progressTopic).build(env), "progress");
    }
    return streams;
  }

  private <T extends SpecificRecord> EventSourceBuilder<T> configured(
      EventSourceBuilder<T> builder, ReadableConfig job) {
    if (bootstrapServers != null) {
      builder.setBootstrapServers(bootstrapServers);
    }
    return job.getOptional(KafkaOptions.GROUP_ID).isPresent() ? builder : builder.setGroupId(name);
  }

  private <T extends SpecificRecord> EventSinkBuilder<T> configured(
      EventSinkBuilder<T> builder, ReadableConfig job) {
    setBootstrapServers(builder);
    return job.getOptional(KafkaOptions.TRANSACTIONAL_ID_PREFIX).isPresent()
        ? builder
        : builder.setTransactionalIdPrefix(name);
  }

  private void setBootstrapServers(EventSinkBuilder<?> builder) {
    if (bootstrapServers != null) {
      builder.setBootstrapServers(bootstrapServers);
    }
  }

  private <T extends SpecificRecord> Decoded.Split<T> read(
      StreamExecutionEnvironment env, EventSourceBuilder<T> builder, String part) {
    return Decoded.split(
        env.fromSource(builder.build(env), WatermarkStrategy.noWatermarks(), name + ": " + part)
            .uid(name + "-" + part));
  }

  private <T> void write(DataStream<T> stream, Sink<T> sink, String part) {
    stream.sinkTo(sink).name(name + ": " + part).uid(name + "-" + part);
  }

  private boolean emitsProgress(ReadableConfig job) {
    return steps(DiffusionOptions.PROGRESS_EVERY_STEPS, job) > 0
        || steps(DiffusionOptions.PREVIEW_EVERY_STEPS, job) > 0;
  }

  private int steps(ConfigOption<Integer> option, ReadableConfig job) {
    return operator.settings().getOptional(option).orElseGet(() -> job.get(option));
  }
}
