/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.DiffusionSinks;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.connector.kafka.EventSourceBuilder;
import io.github.flinkdiffusion.examples.gallery.GalleryTopics;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.DiffusionBuilder;
import io.github.flinkdiffusion.ops.operator.DiffusionStreams;
import java.nio.file.Path;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * The job behind {@code examples/gallery}: prompts and image tasks, each kind from a topic of its
 * own and with a model of its own, to common topics of images, failures and progress. Requests can
 * be taken back.
 *
 * @param topics which exist
 * @param prompts the model that makes images from text
 * @param tasks the models of the image tasks, by their names in the topics
 */
record GalleryJob(GalleryTopics topics, Path prompts, Map<String, Path> tasks) {

  void define(StreamExecutionEnvironment env) {
    Decoded.Split<CancelEvent> cancellations =
        Decoded.split(
            env.fromSource(
                    DiffusionSources.cancellations().setTopics(topics.cancellations()).build(env),
                    WatermarkStrategy.noWatermarks(),
                    "cancellations")
                .uid("cancellations"));
    Outputs outputs =
        new Outputs(null, cancellations.failures(), null)
            .with(
                streams(
                    env,
                    "prompts",
                    DiffusionSources.prompts().setTopics(topics.prompts()),
                    Diffusion.textToImage().setModel(prompts.toString()),
                    cancellations.events()));
    for (GalleryTopics.Task task : topics.tasks()) {
      outputs =
          outputs.with(
              streams(
                  env,
                  task.name(),
                  DiffusionSources.imageTasks().setTopics(task.topic()),
                  Diffusion.imageTasks().setModel(tasks.get(task.name()).toString()),
                  cancellations.events()));
    }
    outputs
        .images()
        .sinkTo(
            DiffusionSinks.images()
                .setTopic(topics.images())
                .setFailuresTopic(topics.failures())
                .build(env))
        .name("images")
        .uid("images");
    outputs
        .failures()
        .sinkTo(DiffusionSinks.failures().setTopic(topics.failures()).build(env))
        .name("failures")
        .uid("failures");
    outputs
        .progress()
        .sinkTo(DiffusionSinks.progress().setTopic(topics.progress()).build(env))
        .name("progress")
        .uid("progress");
  }

  /** What all operators emit, together. */
  private record Outputs(
      DataStream<ImageEvent> images,
      DataStream<FailureEvent> failures,
      DataStream<ProgressEvent> progress) {
    Outputs with(Outputs more) {
      return new Outputs(
          images == null ? more.images : images.union(more.images),
          failures.union(more.failures),
          progress == null ? more.progress : progress.union(more.progress));
    }
  }

  private static <E extends SpecificRecord> Outputs streams(
      StreamExecutionEnvironment env,
      String name,
      EventSourceBuilder<E> source,
      DiffusionBuilder<E, ?> operator,
      DataStream<CancelEvent> cancellations) {
    Decoded.Split<E> requests =
        Decoded.split(
            env.fromSource(source.build(env), WatermarkStrategy.noWatermarks(), name).uid(name));
    DiffusionStreams made =
        operator
            .name(name)
            .uid(name + "-images")
            .setCancellations(cancellations)
            .apply(requests.events());
    return new Outputs(made.images(), requests.failures().union(made.failures()), made.progress());
  }
}
