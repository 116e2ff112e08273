/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** The promises that only a real broker and a real cluster can show. */
class ExactlyOnceITCase {
  private static final Duration PATIENCE = Duration.ofSeconds(90);
  private static final int PARALLELISM = 2;

  @RegisterExtension
  static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(PARALLELISM)
              .build());

  private static EmbeddedKafka kafka;

  private JobClient job;

  @BeforeAll
  static void startKafka() {
    kafka = EmbeddedKafka.builder().start();
  }

  @AfterAll
  static void stopKafka() {
    kafka.close();
  }

  /** The job of a test that failed would keep the slots from the others. */
  @AfterEach
  void endJob() throws Exception {
    if (job != null && !job.getJobStatus().get().isGloballyTerminalState()) {
      job.cancel().get();
    }
  }

  private static StreamExecutionEnvironment environment(int restarts) {
    Configuration configuration =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(300))
            .set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay")
            .set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, restarts)
            .set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ofMillis(100))
            // Kryo would be a mistake: then building the job fails.
            .set(PipelineOptions.GENERIC_TYPES, false)
            .set(KafkaOptions.BOOTSTRAP_SERVERS, kafka.bootstrapServers())
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "exactly-once-test");
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration);
    env.setParallelism(PARALLELISM);
    return env;
  }

  private static PromptEvent prompt(int number) {
    return PromptEvent.newBuilder().setId("p" + number).setPrompt("cat " + number).build();
  }

  private static List<ProducerRecord<byte[], byte[]>> prompts(String topic, int from, int to) {
    return IntStream.range(from, to)
        .mapToObj(
            i -> new ProducerRecord<byte[], byte[]>(topic, EventCodec.prompts().encode(prompt(i))))
        .toList();
  }

  @Test
  void everyPromptGivesOneImageAndEveryOtherRecordOneFailureThoughTheJobFailsInBetween()
      throws Exception {
    kafka.createTopics(3, "prompts", "images", "failures", "progress");
    StreamExecutionEnvironment env = environment(1);
    var source = DiffusionSources.prompts().setTopics("prompts").setGroupId("test").build(env);
    var prompts =
        Decoded.split(
            env.fromSource(source, WatermarkStrategy.noWatermarks(), "prompts").uid("prompts"));
    FailsOnce.reset();
    DataStream<ImageEvent> images = prompts.events().rebalance().map(new FailsOnce()).uid("draw");
    images
        .sinkTo(DiffusionSinks.images().setTopic("images").setFailuresTopic("failures").build(env))
        .uid("images");
    prompts
        .failures()
        .sinkTo(DiffusionSinks.failures().setTopic("failures").build(env))
        .uid("failures");
    images
        .map(
            image ->
                ProgressEvent.newBuilder().setId(image.getId()).setStep(1).setTotalSteps(1).build())
        .sinkTo(DiffusionSinks.progress().setTopic("progress").build(env))
        .uid("progress");

    byte[] json = "{\"prompt\": \"a cat\"}".getBytes(UTF_8);
    byte[] image =
        EventCodec.images()
            .encode(
                ImageEvent.newBuilder()
                    .setId("x")
                    .setImage(ByteBuffer.wrap(new byte[] {1}))
                    .setWidth(1)
                    .setHeight(1)
                    .build());
    List<ProducerRecord<byte[], byte[]>> first = new ArrayList<>(prompts("prompts", 0, 100));
    first.add(50, new ProducerRecord<>("prompts", json));
    kafka.send(first);
    job = env.executeAsync("exactly once");
    assertThat(FailsOnce.checkpointCompleted.await(PATIENCE.toSeconds(), TimeUnit.SECONDS))
        .as("a checkpoint completed")
        .isTrue();
    List<ProducerRecord<byte[], byte[]>> second = new ArrayList<>(prompts("prompts", 100, 300));
    second.add(100, new ProducerRecord<>("prompts", image));
    second.add(150, new ProducerRecord<>("prompts", "key".getBytes(UTF_8), null));
    kafka.send(second);

    kafka.readCommitted("images", 300, PATIENCE);
    kafka.readCommitted("failures", 3, PATIENCE);
    job.cancel().get();

    assertThat(FailsOnce.failed).isTrue();
    assertThat(kafka.readCommitted("images"))
        .allSatisfy(
            r -> {
              ImageEvent event = EventCodec.images().decode(r.value());
              assertThat(new String(r.key(), UTF_8)).isEqualTo(event.getId());
              assertThat(event.getPrompt()).isEqualTo("cat " + event.getId().substring(1));
            })
        .extracting(r -> EventCodec.images().decode(r.value()).getId())
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, 300).mapToObj(i -> "p" + i).toList());

    assertThat(kafka.readCommitted("failures"))
        .extracting(r -> EventCodec.failures().decode(r.value()))
        .allSatisfy(
            failure -> {
              assertThat(failure.getReason()).isEqualTo(FailureReason.UNDECODABLE);
              assertThat(original(failure)).isEqualTo(recordAt(failure).value());
            })
        .extracting(FailureEvent::getOriginal)
        .containsExactlyInAnyOrder(
            ByteBuffer.wrap(json), ByteBuffer.wrap(image), ByteBuffer.allocate(0));

    assertThat(kafka.readCommitted("progress"))
        .as("progress may repeat, but misses nobody")
        .extracting(r -> EventCodec.progress().decode(r.value()).getId())
        .containsAll(IntStream.range(0, 300).mapToObj(i -> "p" + i).toList());
  }

  /** The record that a failure says it is about. */
  private static ConsumerRecord<byte[], byte[]> recordAt(FailureEvent failure) {
    return kafka.readCommitted(failure.getTopic()).stream()
        .filter(r -> r.partition() == failure.getPartition() && r.offset() == failure.getOffset())
        .findFirst()
        .orElseThrow();
  }

  /** Null for a tombstone, as in Kafka. */
  private static byte[] original(FailureEvent failure) {
    byte[] bytes = new byte[failure.getOriginal().remaining()];
    failure.getOriginal().duplicate().get(bytes);
    return bytes.length == 0 ? null : bytes;
  }

  @Test
  void aLargePictureGoesThroughAChainedJobAndABoundedSourceCommitsItsLastRecords()
      throws Exception {
    kafka.createTopics(1, "large-in", "large-out", "large-failures");
    byte[] picture = new byte[15 << 20];
    picture[picture.length - 1] = 7;
    ImageEvent large =
        ImageEvent.newBuilder()
            .setId("large")
            .setImage(ByteBuffer.wrap(picture))
            .setWidth(4096)
            .setHeight(4096)
            .build();
    kafka.send(List.of(new ProducerRecord<>("large-in", EventCodec.images().encode(large))));

    StreamExecutionEnvironment env = environment(0);
    var source =
        DiffusionSources.images()
            .setTopics("large-in")
            .setBounded(OffsetsInitializer.latest())
            .build(env);
    Decoded.split(env.fromSource(source, WatermarkStrategy.noWatermarks(), "images"))
        .events()
        .sinkTo(
            DiffusionSinks.images()
                .setTopic("large-out")
                .setFailuresTopic("large-failures")
                .build(env));
    env.execute("large");

    assertThat(kafka.readCommitted("large-out"))
        .singleElement()
        .satisfies(r -> assertThat(EventCodec.images().decode(r.value())).isEqualTo(large));
  }

  @Test
  void aJobFailsInsteadOfSkippingRecordsThatItsTopicHasDeleted(@TempDir Path savepoints)
      throws Exception {
    kafka.createTopics(1, "deleted", "deleted-out", "deleted-failures");
    kafka.send(prompts("deleted", 0, 10));
    copyDeletedToOut(environment(0));
    kafka.readCommitted("deleted-out", 10, PATIENCE);
    String savepoint =
        job.stopWithSavepoint(false, savepoints.toUri().toString(), SavepointFormatType.CANONICAL)
            .get(PATIENCE.toSeconds(), TimeUnit.SECONDS);

    kafka.send(prompts("deleted", 10, 20));
    try (Admin admin = kafka.admin()) {
      admin
          .deleteRecords(Map.of(new TopicPartition("deleted", 0), RecordsToDelete.beforeOffset(15)))
          .all()
          .get();
    }
    StreamExecutionEnvironment env = environment(0);
    env.configure(new Configuration().set(StateRecoveryOptions.SAVEPOINT_PATH, savepoint));
    copyDeletedToOut(env);

    assertThatThrownBy(
            () -> job.getJobExecutionResult().get(PATIENCE.toSeconds(), TimeUnit.SECONDS))
        .isInstanceOf(ExecutionException.class)
        .hasStackTraceContaining("OffsetOutOfRangeException");
    assertThat(kafka.readCommitted("deleted-out")).hasSize(10);
  }

  private void copyDeletedToOut(StreamExecutionEnvironment env) throws Exception {
    var source = DiffusionSources.prompts().setTopics("deleted").build(env);
    Decoded.split(
            env.fromSource(source, WatermarkStrategy.noWatermarks(), "prompts").uid("prompts"))
        .events()
        .sinkTo(
            DiffusionSinks.prompts()
                .setTopic("deleted-out")
                .setFailuresTopic("deleted-failures")
                .build(env))
        .uid("out");
    job = env.executeAsync("deleted");
  }

  @Test
  void theBrokerIsAskedForItsLimits() throws Exception {
    kafka.createTopics(1, "small", "small-failures");
    StreamExecutionEnvironment env = environment(0);
    assertThatThrownBy(
            () ->
                DiffusionSinks.images()
                    .setTopic("small")
                    .setFailuresTopic("small-failures")
                    .setBrokerMaxTransactionTimeout(Duration.ofHours(2))
                    .setTransactionTimeout(Duration.ofHours(1))
                    .build(env))
        .isInstanceOf(KafkaSettingsException.class)
        .hasMessageContaining("the broker allows 15 min");
    assertThatThrownBy(
            () ->
                DiffusionSinks.images()
                    .setTopic("misspelt")
                    .setFailuresTopic("small-failures")
                    .build(env))
        .isInstanceOf(KafkaSettingsException.class)
        .hasMessageContaining("topic misspelt: it does not exist");

    DiffusionSinks.images().setTopic("small").setFailuresTopic("small-failures").build(env);
    try (Admin admin = kafka.admin()) {
      admin
          .incrementalAlterConfigs(
              Map.of(
                  new ConfigResource(ConfigResource.Type.TOPIC, "small"),
                  List.of(
                      new AlterConfigOp(
                          new ConfigEntry("max.message.bytes", "1048588"),
                          AlterConfigOp.OpType.SET))))
          .all()
          .get();
    }
    assertThatThrownBy(
            () ->
                DiffusionSinks.images()
                    .setTopic("small")
                    .setFailuresTopic("small-failures")
                    .build(env))
        .isInstanceOf(KafkaSettingsException.class)
        .hasMessageContaining("topic small, which takes 1048588");
    DiffusionSinks.images()
        .setTopic("small")
        .setFailuresTopic("small-failures")
        .setMaxEventSize(MemorySize.parse("1mb"))
        .build(env);
  }

  @Test
  void aBrokerThatCanNotBeReachedDoesNotKeepAJobFromBeingBuilt() {
    // Port 1 is open on no machine that tests run on; a refused connection is answered at once.
    assertThat(
            DiffusionSinks.images()
                .setBootstrapServers("127.0.0.1:1")
                .setTopic("images")
                .setFailuresTopic("failures")
                .build(environment(0)))
        .isNotNull();
  }

  /**
   * Draws nothing, and fails once, some records after a checkpoint has completed, so that there are
   * records of an open transaction to take back.
   */
  private static final class FailsOnce
      implements MapFunction<PromptEvent, ImageEvent>, CheckpointListener {
    private static final long serialVersionUID = 1L;
    private static final int RECORDS_AFTER_CHECKPOINT = 40;

    static CountDownLatch checkpointCompleted;
    static AtomicInteger recordsSince;
    static AtomicBoolean failed;

    private transient long seen;

    static void reset() {
      checkpointCompleted = new CountDownLatch(1);
      recordsSince = new AtomicInteger();
      failed = new AtomicBoolean();
    }

    @Override
    public ImageEvent map(PromptEvent prompt) {
      seen++;
      if (checkpointCompleted.getCount() == 0
          && recordsSince.incrementAndGet() == RECORDS_AFTER_CHECKPOINT) {
        failed.set(true);
        throw new IllegalStateException("induced");
      }
      return ImageEvent.newBuilder()
          .setId(prompt.getId())
          .setImage(ByteBuffer.wrap(new byte[] {1, 2, 3}))
          .setWidth(1)
          .setHeight(1)
          .setPrompt(prompt.getPrompt())
          .build();
    }

    @Override
    public void notifyCheckpointComplete(long checkpointId) {
      if (seen > 0) {
        checkpointCompleted.countDown();
      }
    }
  }
}
