/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.DiffusionSinks;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.DiffusionStreams;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerRecord;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** P3: pictures a second from topic to topic, beside a loop around the same engine. */
@Command(
    name = "end-to-end",
    mixinStandardHelpOptions = true,
    description = "Prompts on a topic to pictures on another, beside a bare loop on the engine.")
final class EndToEndBenchmark extends BenchmarkCommand {
  private static final String OURS = "Kafka, Flink, Kafka";
  private static final String PEER = "bare loop";
  private static final String SCENARIO = "mini-emoji";
  private static final double GOAL = 0.97;

  @Mixin private RoundSize size;

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      size.shrink();
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "End to end: Kafka to Kafka beside the bare engine",
            """
            `mini-emoji`, %d steps without guidance, at most %d pictures a network call. The *bare loop* begins, steps,
            decodes and encodes as PNG one batch after another, in one thread. The job reads prompts from a topic and
            writes pictures, failures and progress exactly once to others, with a checkpoint each second, on a Flink
            cluster and a broker in the same process, which share its cores. Both load their model and make %d pictures
            first; then the time of %d is taken, to the last one on its way into the sink.
            """
                .formatted(size.steps(), size.rows(), size.rows(), size.pictures()));
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start();
        DiffusionPipeline pipeline =
            Pipelines.open(
                MiniEmoji.folder(), PipelineSettings.on(Engines.standard().device("cpu")))) {
      kafka.createTopics(1, "prompts");
      kafka.send(
          IntStream.range(0, size.all())
              .mapToObj(
                  i ->
                      new ProducerRecord<>(
                          "prompts",
                          ("r" + i).getBytes(StandardCharsets.UTF_8),
                          EventCodec.prompts().encode(MiniEmoji.event("r" + i, size.steps()))))
              .toList());
      Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
      subjects.put(OURS, () -> job(kafka));
      subjects.put(PEER, () -> loop(pipeline));
      compare(
          result,
          SCENARIO,
          "pictures/s",
          subjects,
          "pictures/s over the bare loop",
          Goal.atLeast(GOAL));
    }
    return result;
  }

  private double loop(DiffusionPipeline pipeline) throws Exception {
    batch(pipeline, 0);
    double seconds =
        Rounds.seconds(
            () -> {
              for (int from = size.rows(); from < size.all(); from += size.rows()) {
                batch(pipeline, from);
              }
            });
    return size.pictures() / seconds;
  }

  private void batch(DiffusionPipeline pipeline, int from) {
    List<GenerationRequest> requests =
        IntStream.range(from, Math.min(from + size.rows(), size.all()))
            .mapToObj(i -> pipeline.model().prepare(MiniEmoji.spec("r" + i, size.steps())))
            .toList();
    List<Trajectory> trajectories = pipeline.start(requests);
    while (!trajectories.get(0).done()) {
      pipeline.step(trajectories);
    }
    for (GeneratedImage image : pipeline.finish(trajectories)) {
      if (PngCodec.encode(image.image()).length == 0) {
        throw new BenchmarkException("A picture is an empty file.");
      }
    }
  }

  private double job(EmbeddedKafka kafka) throws Exception {
    String prefix = UUID.randomUUID() + "-";
    kafka.createTopics(1, prefix + "images", prefix + "failures", prefix + "progress");
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
    env.enableCheckpointing(Duration.ofSeconds(1).toMillis());
    String servers = kafka.bootstrapServers();
    Decoded.Split<PromptEvent> prompts =
        Decoded.split(
            env.fromSource(
                DiffusionSources.prompts()
                    .setBootstrapServers(servers)
                    .setTopics("prompts")
                    .setBounded(OffsetsInitializer.latest())
                    .build(env),
                WatermarkStrategy.noWatermarks(),
                "prompts"));
    DiffusionStreams streams =
        Diffusion.textToImage()
            .setModel(MiniEmoji.folder().toString())
            .setDevice("cpu")
            .setBatchRows(size.rows())
            .apply(prompts.events());
    Stopwatch<ImageEvent> watch = new Stopwatch<>(size.rows());
    streams
        .images()
        .map(watch)
        .returns(new AvroTypeInfo<>(ImageEvent.class))
        .sinkTo(
            DiffusionSinks.images()
                .setBootstrapServers(servers)
                .setTransactionalIdPrefix(prefix)
                .setTopic(prefix + "images")
                .setFailuresTopic(prefix + "failures")
                .build(env));
    prompts
        .failures()
        .union(streams.failures())
        .sinkTo(
            DiffusionSinks.failures()
                .setBootstrapServers(servers)
                .setTransactionalIdPrefix(prefix)
                .setTopic(prefix + "failures")
                .build(env));
    streams
        .progress()
        .sinkTo(
            DiffusionSinks.progress()
                .setBootstrapServers(servers)
                .setTopic(prefix + "progress")
                .build(env));
    env.execute("end to end");
    int committed = kafka.readCommitted(prefix + "images").size();
    if (committed != size.all()) {
      throw new BenchmarkException(
          "%d pictures were committed instead of %d.".formatted(committed, size.all()));
    }
    return watch.rate(size.all());
  }
}
