/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.runtime.testutils.InMemoryReporter;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/**
 * A job with many requests in mid-flight is saved, and goes on with more and with less subtasks.
 */
class SavepointITCase {
  private static final Path MODEL = Path.of("../models/mini-emoji");
  private static final Duration PATIENCE = Duration.ofMinutes(5);

  /** 80 nightly. */
  private static final int PROMPTS = Integer.getInteger("savepoint.prompts", 32);

  private static final int IN_FLIGHT = PROMPTS * 4 / 5;
  private static final List<String> SCHEDULERS =
      List.of("PNDMScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler");

  private static final InMemoryReporter METRICS = InMemoryReporter.create();

  @RegisterExtension
  static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setConfiguration(METRICS.addToConfiguration(new Configuration()))
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(2)
              .build());

  @RegisterExtension private static final JobOnKafka JOB = new JobOnKafka();

  private void start(Topics topics, int parallelism, String savepoint, Path folder)
      throws Exception {
    Configuration configuration =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(300))
            .set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem")
            .set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString())
            .set(RestartStrategyOptions.RESTART_STRATEGY, "none")
            .set(KafkaOptions.BOOTSTRAP_SERVERS, JOB.kafka().bootstrapServers())
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, topics.images())
            .set(DiffusionOptions.MODEL_FOLDER, MODEL.toAbsolutePath().toString())
            .set(DiffusionOptions.DEVICE, "cpu")
            // Above what comes: a checkpoint under full back-pressure waits for one request.
            .set(DiffusionOptions.CAPACITY, PROMPTS + 1);
    if (savepoint != null) {
      configuration.set(StateRecoveryOptions.SAVEPOINT_PATH, savepoint);
    }
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration);
    env.setParallelism(parallelism);
    TextToImageJob.create().define(env, topics);
    JOB.runs(env.executeAsync("savepoint"));
  }

  private static Topics create(String prefix) {
    Topics topics = Topics.withPrefix(prefix);
    JOB.kafka().createTopics(2, topics.all().toArray(String[]::new));
    return topics;
  }

  private static void sendAll(Topics topics) {
    JOB.kafka()
        .send(
            IntStream.range(0, PROMPTS)
                .mapToObj(
                    i ->
                        new ProducerRecord<byte[], byte[]>(
                            topics.requests(), i % 2, null, EventCodec.prompts().encode(prompt(i))))
                .toList());
  }

  private static PromptEvent prompt(int number) {
    return PromptEvent.newBuilder()
        .setId("p" + number)
        .setPrompt("a rocket on a blue background")
        .setSeed((long) number)
        // Apart, so that some are in flight long after the first images.
        .setSteps(4 + number % 9)
        .setGuidanceScale(number % 4 == 0 ? 2.0 : 1.0)
        .setScheduler(SCHEDULERS.get(number % SCHEDULERS.size()))
        .build();
  }

  /** Requests taken in and not put out, of all subtasks. */
  private static int inFlight(JobID job) {
    return METRICS.findOperatorMetricGroups(job, "text to image").stream()
        .map(group -> (Gauge<?>) METRICS.getMetricsByGroup(group).get("inFlight"))
        .mapToInt(gauge -> (Integer) gauge.getValue())
        .sum();
  }

  private String stop(Path folder) throws Exception {
    String savepoint =
        JOB.client()
            .stopWithSavepoint(false, folder.toUri().toString(), SavepointFormatType.CANONICAL)
            .get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    JOB.awaitEnd();
    return savepoint;
  }

  private static Map<String, ImageEvent> committed(Topics topics) throws Exception {
    List<ImageEvent> images = new ArrayList<>();
    for (var record : JOB.kafka().readCommitted(topics.images(), PROMPTS, PATIENCE)) {
      images.add(EventCodec.images().decode(record.value()));
    }
    assertThat(images)
        .extracting(ImageEvent::getId)
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, PROMPTS).mapToObj(i -> "p" + i).toList());
    assertThat(JOB.kafka().readCommitted(topics.failures())).isEmpty();
    return images.stream().collect(Collectors.toMap(ImageEvent::getId, Function.identity()));
  }

  @Test
  void requestsInFlightAreSavedAtOnceAndGoOnWithTwoSubtasksAndWithOneAgain(@TempDir Path folder)
      throws Exception {
    Topics saved = create("saved-");
    start(saved, 1, null, folder);
    sendAll(saved);
    await()
        .atMost(PATIENCE)
        .ignoreExceptions() // until the operator's metrics are there
        .until(() -> inFlight(JOB.client().getJobID()) >= IN_FLIGHT);
    long begin = System.nanoTime();
    int before = inFlight(JOB.client().getJobID());
    JOB.client()
        .triggerSavepoint(folder.toUri().toString(), SavepointFormatType.CANONICAL)
        .get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    System.out.printf(
        Locale.ROOT,
        "[savepoint] with %d requests in flight: %d ms%n",
        before,
        Duration.ofNanos(System.nanoTime() - begin).toMillis());

    String first = stop(folder);
    int afterFirst = JOB.kafka().readCommitted(saved.images()).size();
    assertThat(afterFirst).as("pictures before the first stop").isLessThan(PROMPTS);

    start(saved, 2, first, folder);
    JOB.kafka().readCommitted(saved.images(), afterFirst + 1, PATIENCE);
    String second = stop(folder);
    assertThat(JOB.kafka().readCommitted(saved.images()).size())
        .as("pictures before the second stop")
        .isLessThan(PROMPTS);

    start(saved, 1, second, folder);
    Map<String, ImageEvent> images = committed(saved);
    JOB.end();

    Topics undisturbed = create("undisturbed-");
    sendAll(undisturbed);
    start(undisturbed, 1, null, folder);
    committed(undisturbed).forEach((id, expected) -> assertSamePicture(images.get(id), expected));
  }

  /** Within one of 256 levels: kernels round differently for batches of another size. */
  private static void assertSamePicture(ImageEvent image, ImageEvent expected) {
    float[] values = picture(image);
    float[] expectedValues = picture(expected);
    assertThat(values).hasSameSizeAs(expectedValues);
    int largest = 0;
    for (int i = 0; i < values.length; i++) {
      largest = Math.max(largest, Math.round(Math.abs(values[i] - expectedValues[i]) * 255));
    }
    assertThat(largest)
        .as("largest difference of %s, in levels", image.getId())
        .isLessThanOrEqualTo(1);
  }

  private static float[] picture(ImageEvent image) {
    byte[] png = new byte[image.getImage().remaining()];
    image.getImage().duplicate().get(png);
    return PngCodec.decode(png).data();
  }
}
