/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.DiffusionSinks;
import io.github.flinkdiffusion.connector.kafka.EventSourceBuilder;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.ops.operator.DiffusionBuilder;
import io.github.flinkdiffusion.ops.operator.DiffusionStreams;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * What the jobs have in common: requests from one topic, an operator, and topics for pictures,
 * failures and progress.
 *
 * @param name of the source, which is also its uid
 * @param <E> the requests' event
 */
record KafkaJob<E extends SpecificRecord>(
    String name, EventSourceBuilder<E> source, DiffusionBuilder<E, ?> operator) {

  /**
   * Adds the job to an environment.
   *
   * @param start where it begins unless it starts from a checkpoint; null for the oldest request
   * @param beforeSink something between the pictures and their sink
   */
  void define(
      StreamExecutionEnvironment env,
      Topics topics,
      OffsetsInitializer start,
      UnaryOperator<DataStream<ImageEvent>> beforeSink) {
    define(env, topics, start, beforeSink, Requests::of);
  }

  /** Requests for the operator, and those that it cannot get. */
  record Requests<E>(DataStream<E> events, DataStream<FailureEvent> failures) {
    static <E> Requests<E> of(DataStream<E> events, DataStream<FailureEvent> failures) {
      return new Requests<>(events, failures);
    }
  }

  /**
   * As {@link #define(StreamExecutionEnvironment, Topics, OffsetsInitializer, UnaryOperator)}.
   *
   * @param beforeOperator what is between the topic's requests and the operator
   */
  void define(
      StreamExecutionEnvironment env,
      Topics topics,
      OffsetsInitializer start,
      UnaryOperator<DataStream<ImageEvent>> beforeSink,
      BiFunction<DataStream<E>, DataStream<FailureEvent>, Requests<E>> beforeOperator) {
    source.setTopics(topics.requests());
    if (start != null) {
      source.setStartingOffsets(start);
    }
    Decoded.Split<E> decoded =
        Decoded.split(
            env.fromSource(source.build(env), WatermarkStrategy.noWatermarks(), name).uid(name));
    Requests<E> requests = beforeOperator.apply(decoded.events(), decoded.failures());

    DiffusionStreams pictures = operator.apply(requests.events());
    // Bytes that are no request and requests that cannot be done are failures alike.
    DataStream<FailureEvent> failures = requests.failures().union(pictures.failures());

    beforeSink
        .apply(pictures.images())
        .sinkTo(
            DiffusionSinks.images()
                .setTopic(topics.images())
                .setFailuresTopic(topics.failures())
                .build(env))
        .name("images")
        .uid("images");
    failures
        .sinkTo(DiffusionSinks.failures().setTopic(topics.failures()).build(env))
        .name("failures")
        .uid("failures");
    pictures
        .progress()
        .sinkTo(DiffusionSinks.progress().setTopic(topics.progress()).build(env))
        .name("progress")
        .uid("progress");
  }

  /** The main program of a job: its only argument is the prefix of the topics. */
  static void submit(
      String[] args,
      String name,
      Function<String, Topics> topicsOf,
      BiConsumer<StreamExecutionEnvironment, Topics> definition)
      throws Exception {
    submit(StreamExecutionEnvironment.getExecutionEnvironment(), args, name, topicsOf, definition);
  }

  /** As {@link #submit(String[], String, Function, BiConsumer)}, to a cluster. */
  static void submit(
      StreamExecutionEnvironment env,
      String[] args,
      String name,
      Function<String, Topics> topicsOf,
      BiConsumer<StreamExecutionEnvironment, Topics> definition)
      throws Exception {
    if (args.length != 1) {
      throw new DemoException(
          "The job needs one argument, the prefix of its topics, such as 'posters-'; it was given "
              + List.of(args)
              + ".");
    }
    Topics topics = topicsOf.apply(args[0]);
    SubmittedModel.check(env.getConfiguration()).ifPresent(System.err::println);
    String servers =
        env.getConfiguration()
            .getOptional(KafkaOptions.BOOTSTRAP_SERVERS)
            .orElseThrow(
                () ->
                    new DemoException(
                        "The address of Kafka is missing. Set "
                            + KafkaOptions.BOOTSTRAP_SERVERS.key()
                            + "."));
    topics.createMissing(servers, env.getParallelism());
    definition.accept(env, topics);
    env.execute(args[0] + name);
  }
}
