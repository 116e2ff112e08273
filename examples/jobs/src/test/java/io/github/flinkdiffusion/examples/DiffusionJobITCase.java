/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.kafka.RecordKey;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.DiffusionJob;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.io.IOException;
import java.io.StringWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.JobListener;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamNode;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The usual job, as README shows it and with everything it can have. */
class DiffusionJobITCase {
  private static final Duration PATIENCE = Duration.ofSeconds(90);
  private static final Path MODEL = Path.of("../models/mini-emoji").toAbsolutePath();
  private static final Path CAPTIONS =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/text/tiny-blip-caption")
          .toAbsolutePath();

  private static final Pattern README_JOB =
      Pattern.compile("```java\n((?:(?!```).)*Diffusion\\.job\\(.*?)```", Pattern.DOTALL);

  private static EmbeddedKafka kafka;

  @TempDir Path folder;

  @BeforeAll
  static void start() {
    kafka = EmbeddedKafka.builder().start();
  }

  @AfterAll
  static void stop() {
    kafka.close();
  }

  @Test
  void readmesJobIsSixLinesAndAnswersEachRecord() throws Exception {
    kafka.createTopics(1, "prompts", "images", "failures");
    kafka.send(
        List.of(
            new ProducerRecord<>("prompts", EventCodec.prompts().encode(prompt("heart"))),
            new ProducerRecord<>("prompts", new byte[] {1, 2, 3})));
    String job = readmesJob();
    assertThat(job.lines()).hasSize(6);

    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
    CompletableFuture<JobClient> client = client(env);
    CompletableFuture<Void> end =
        run(
            job.replace("/models/stable-diffusion-v1-5", MODEL.toString())
                .replace("kafka:9092", kafka.bootstrapServers())
                .replace("10_000", "200"),
            env);
    end.whenComplete((done, failure) -> client.completeExceptionally(failure));
    ImageEvent image =
        EventCodec.images().decode(kafka.readCommitted("images", 1, PATIENCE).get(0).value());
    FailureEvent failure =
        EventCodec.failures().decode(kafka.readCommitted("failures", 1, PATIENCE).get(0).value());
    client.get().cancel().get();
    end.handle((done, cancelled) -> null).get();

    assertThat(image.getId()).isEqualTo("heart");
    assertThat(failure.getReason()).isEqualTo(FailureReason.UNDECODABLE);
  }

  @Test
  void everyPartHasItsPlaceInSavepointsFromTheJobsName() throws Exception {
    kafka.createTopics(1, "p", "i", "f", "s", "c");
    StreamExecutionEnvironment env = env();
    job("posters", 5)
        .setTopics("p", "i", "f")
        .setProgressTopic("s")
        .setCancellationsTopic("c")
        .addTo(env);
    Set<String> uids =
        env.getStreamGraph(false).getStreamNodes().stream()
            .filter(node -> !node.getOperatorName().contains("Committer"))
            .map(StreamNode::getTransformationUID)
            .collect(Collectors.toSet());
    assertThat(uids)
        .containsExactlyInAnyOrder(
            "posters-requests",
            "posters-requests-split",
            "posters-cancellation-requests",
            "posters-cancellation-requests-split",
            "posters-cancellations",
            "posters",
            "posters-images",
            "posters-failures",
            "posters-progress");
  }

  @Test
  void aCancelledRequestEndsAsAFailureAndProgressIsWritten() throws Exception {
    kafka.createTopics(1, "requests", "results", "refusals", "steps", "cancellations");
    StreamExecutionEnvironment env = env();
    job("all", 1)
        .setTopics("requests", "results", "refusals")
        .setProgressTopic("steps")
        .setCancellationsTopic("cancellations")
        .configureSource(source -> source.setFormat(EventFormat.JSON))
        .configureImages(images -> images.setFormat(EventFormat.JSON))
        .configureFailures(failures -> failures.setRecordKey(RecordKey.ID))
        .addTo(env);
    JobClient client = env.executeAsync("all");
    kafka.send(
        List.of(
            new ProducerRecord<>(
                "requests",
                "{\"id\": \"long\", \"prompt\": \"a heart\", \"steps\": 1000}".getBytes())));
    kafka.readCommitted("steps", 1, PATIENCE);
    kafka.send(
        List.of(
            new ProducerRecord<>(
                "cancellations",
                EventCodec.cancellations()
                    .encode(CancelEvent.newBuilder().setId("long").build()))));
    FailureEvent failure =
        EventCodec.failures().decode(kafka.readCommitted("refusals", 1, PATIENCE).get(0).value());
    client.cancel().get();
    assertThat(failure.getId()).isEqualTo("long");
    assertThat(failure.getReason()).isEqualTo(FailureReason.CANCELLED);
  }

  @Test
  void imagesBecomeTextsFromTopicToTopic() throws Exception {
    kafka.createTopics(1, "pictures", "captions", "undescribed");
    StreamExecutionEnvironment env = env();
    Diffusion.job("captions", Diffusion.imageToText().setModel(CAPTIONS.toString()))
        .setBootstrapServers(kafka.bootstrapServers())
        .setTopics("pictures", "captions", "undescribed")
        .addTo(env);
    JobClient client = env.executeAsync("captions");
    Payload image = Payloads.inline(PngCodec.encode(Raster.filled(3, 20, 24, 0.5f)), "image/png");
    kafka.send(
        List.of(task("whole", image), task("corrupt", Payloads.inline(new byte[1], "image/png"))));
    TextEvent text =
        EventCodec.texts().decode(kafka.readCommitted("captions", 1, PATIENCE).get(0).value());
    FailureEvent failure =
        EventCodec.failures()
            .decode(kafka.readCommitted("undescribed", 1, PATIENCE).get(0).value());
    client.cancel().get();

    assertThat(text.getId()).isEqualTo("whole");
    assertThat(text.getText()).startsWith("the red");
    assertThat(text.getAttributes()).isEqualTo(Map.of("album", "7"));
    assertThat(text.getOriginal()).as("for sinks alone").isNull();
    assertThat(failure.getId()).isEqualTo("corrupt");
  }

  private static ProducerRecord<byte[], byte[]> task(String id, Payload image) {
    return new ProducerRecord<>(
        "pictures",
        EventCodec.imageTasks()
            .encode(
                ImageTaskEvent.newBuilder()
                    .setId(id)
                    .setImage(image)
                    .setPrompt("the red")
                    .setAttributes(Map.of("album", "7"))
                    .build()));
  }

  @Test
  void aProgressTopicThatWouldStayEmptyIsRefused() throws Exception {
    kafka.createTopics(1, "p2", "i2", "f2");
    assertThatThrownBy(
            () -> job("posters", 0).setTopics("p2", "i2", "f2").setProgressTopic("s2").addTo(env()))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("'s2'")
        .hasMessageContaining(DiffusionOptions.PROGRESS_EVERY_STEPS.key());
  }

  @Test
  void twoSourcesOfCancellationsAreRefused() {
    StreamExecutionEnvironment env = env();
    DiffusionJob<PromptEvent> job =
        Diffusion.job(
                "posters",
                Diffusion.textToImage()
                    .setModel(MODEL.toString())
                    .setCancellations(
                        env.fromData(
                            new AvroTypeInfo<>(CancelEvent.class),
                            CancelEvent.newBuilder().setId("a").build())))
            .setBootstrapServers(kafka.bootstrapServers())
            .setTopics("p3", "i3", "f3")
            .setCancellationsTopic("c3");
    assertThatThrownBy(() -> job.addTo(env))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("'c3'")
        .hasMessageContaining("leave one out");
  }

  @Test
  void aJobWithoutTopicsIsRefused() {
    assertThatThrownBy(() -> job("posters", 0).addTo(env()))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("setTopics(...)");
  }

  private static DiffusionJob<PromptEvent> job(String name, int progressEverySteps) {
    return Diffusion.job(
            name,
            Diffusion.textToImage()
                .setModel(MODEL.toString())
                .setProgressEverySteps(progressEverySteps))
        .setBootstrapServers(kafka.bootstrapServers());
  }

  private static StreamExecutionEnvironment env() {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
    env.enableCheckpointing(200);
    return env;
  }

  private static PromptEvent prompt(String id) {
    return PromptEvent.newBuilder().setId(id).setPrompt("a heart").setSteps(1).build();
  }

  private static String readmesJob() throws IOException {
    Matcher job = README_JOB.matcher(Files.readString(Path.of("../../README.md")));
    assertThat(job.find()).as("a job in README.md").isTrue();
    return job.group(1);
  }

  /** The job's client, as soon as it is submitted. */
  private static CompletableFuture<JobClient> client(StreamExecutionEnvironment env) {
    CompletableFuture<JobClient> submitted = new CompletableFuture<>();
    env.registerJobListener(
        new JobListener() {
          @Override
          public void onJobSubmitted(JobClient client, Throwable failure) {
            if (client != null) {
              submitted.complete(client);
            } else {
              submitted.completeExceptionally(failure);
            }
          }

          @Override
          public void onJobExecuted(JobExecutionResult result, Throwable failure) {}
        });
    return submitted;
  }

  /** Compiles a text as the body of a method, with what an IDE would import, and calls it. */
  private CompletableFuture<Void> run(String body, StreamExecutionEnvironment env)
      throws Exception {
    Path source = folder.resolve("ReadmesJob.java");
    Files.writeString(
        source,
        "import %s;\nimport %s;\npublic class ReadmesJob {\npublic static void run(StreamExecutionEnvironment env) throws Exception {\n%s}}\n"
            .formatted(
                Diffusion.class.getName(), StreamExecutionEnvironment.class.getName(), body));
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter said = new StringWriter();
    boolean compiled =
        compiler
            .getTask(
                said,
                null,
                null,
                List.of(
                    "-proc:none",
                    "-d",
                    folder.toString(),
                    "-cp",
                    System.getProperty("java.class.path")),
                null,
                compiler
                    .getStandardFileManager(null, null, null)
                    .getJavaFileObjects(source.toFile()))
            .call();
    assertThat(compiled).as("%s", said).isTrue();
    Class<?> program =
        new URLClassLoader(new URL[] {folder.toUri().toURL()}, getClass().getClassLoader())
            .loadClass("ReadmesJob");
    return CompletableFuture.runAsync(
        () -> {
          try {
            program.getMethod("run", StreamExecutionEnvironment.class).invoke(null, env);
          } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
          }
        });
  }
}
