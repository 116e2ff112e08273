/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import com.sun.management.UnixOperatingSystemMXBean;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.internal.VerifyingKafkaSink;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a job leaves behind: nothing in the process, and nothing open in Kafka for long. */
class LeftoversITCase {
  private static final Duration PATIENCE = Duration.ofSeconds(90);
  private static final String PREFIX = "leftovers-test";

  /** Files that the broker, in the same process, may open meanwhile. */
  private static final int FILES_OF_THE_BROKER = 6;

  @RegisterExtension
  static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(1)
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

  @AfterEach
  void endJob() throws Exception {
    if (job != null && !job.getJobStatus().get().isGloballyTerminalState()) {
      job.cancel().get();
    }
  }

  private static StreamExecutionEnvironment environment() {
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(
            new Configuration()
                .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(200))
                .set(RestartStrategyOptions.RESTART_STRATEGY, "none")
                .set(KafkaOptions.BOOTSTRAP_SERVERS, kafka.bootstrapServers())
                .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, PREFIX));
    env.setParallelism(1);
    return env;
  }

  private static <T extends SpecificRecord> void copy(
      StreamExecutionEnvironment env, EventSourceBuilder<T> from, EventSinkBuilder<T> to) {
    Decoded.split(env.fromSource(from.build(env), WatermarkStrategy.noWatermarks(), "in"))
        .events()
        .sinkTo(to.build(env));
  }

  private static long threadsOfKafkaClients() {
    return Thread.getAllStackTraces().keySet().stream()
        .map(Thread::getName)
        .filter(name -> name.startsWith("kafka-") && name.contains("|"))
        .count();
  }

  private static long openFiles() {
    return ((UnixOperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getOpenFileDescriptorCount();
  }

  @Test
  void jobsThatAreCancelledAndSubmittedAgainLeaveNoThreadAndNoDescriptorOpen() throws Exception {
    kafka.createTopics(1, "again", "again-out", "again-failures");
    long threads = 0;
    long files = 0;
    for (int round = 1; round <= 10; round++) {
      kafka.send(
          List.of(
              new ProducerRecord<>(
                  "again",
                  EventCodec.prompts()
                      .encode(
                          PromptEvent.newBuilder()
                              .setId("p" + round)
                              .setPrompt("a cat")
                              .build()))));
      StreamExecutionEnvironment env = environment();
      copy(
          env,
          DiffusionSources.prompts().setTopics("again").setGroupId("again"),
          DiffusionSinks.prompts().setTopic("again-out").setFailuresTopic("again-failures"));
      job = env.executeAsync("again " + round);
      // Without a checkpoint each job begins with the first record.
      kafka.readCommitted("again-out", round * (round + 1) / 2, PATIENCE);
      job.cancel().get();
      await().atMost(PATIENCE).until(() -> job.getJobStatus().get() == JobStatus.CANCELED);
      if (round == 3) {
        await("clients close")
            .atMost(PATIENCE)
            .untilAsserted(() -> assertThat(threadsOfKafkaClients()).isZero());
        threads = threadsOfKafkaClients();
        files = openFiles();
      }
    }
    long threadsThen = threads;
    long filesThen = files;
    await("as after the third job")
        .atMost(PATIENCE)
        .untilAsserted(
            () -> {
              assertThat(threadsOfKafkaClients()).isEqualTo(threadsThen);
              assertThat(openFiles()).isLessThanOrEqualTo(filesThen + FILES_OF_THE_BROKER);
            });
  }

  /** The broker is asked for transactions first, then the producer registers with it. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          bootstrap.servers      | 127.0.0.1:1 | Timed out
          transaction.timeout.ms | 2000000000  | transaction timeout is larger
          """)
  void aWriterThatCannotBeOpenedLeavesNoThreadBehind(String key, String value, String why)
      throws Exception {
    String topic = "never-written-" + key;
    kafka.createTopics(1, topic);
    Properties client = new Properties();
    client.setProperty("bootstrap.servers", kafka.bootstrapServers());
    client.setProperty("default.api.timeout.ms", "400");
    client.setProperty("request.timeout.ms", "300");
    client.setProperty("max.block.ms", "400");
    client.setProperty(key, value);
    StreamExecutionEnvironment env = environment();
    env.fromData("a")
        .sinkTo(
            new VerifyingKafkaSink<>(
                "The sink",
                KafkaSink.<String>builder()
                    .setBootstrapServers(client.getProperty("bootstrap.servers"))
                    .setKafkaProducerConfig(client)
                    .setTransactionalIdPrefix("never-opened")
                    .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                    .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                    .setRecordSerializer(
                        KafkaRecordSerializationSchema.<String>builder()
                            .setTopic(topic)
                            .setValueSerializationSchema(new SimpleStringSchema())
                            .build())
                    .build(),
                client,
                false));
    assertThatThrownBy(() -> env.execute("never opened")).hasStackTraceContaining(why);

    await("clients close")
        .atMost(PATIENCE)
        .untilAsserted(() -> assertThat(threadsOfKafkaClients()).isZero());
  }

  @Test
  void transactionsThatAKilledJobLeftOpenAreAbortedWhenItStartsAgainWhateverTheSink()
      throws Exception {
    kafka.createTopics(
        1,
        "in-images",
        "in-failures",
        "in-prompts",
        "in-tasks",
        "in-cancellations",
        "images",
        "failures",
        "prompts",
        "tasks",
        "cancellations");
    // As a process leaves them that is killed: by sink and topic.
    Map<String, String> abandoned = new LinkedHashMap<>();
    abandoned.put(PREFIX + "/images/images-0-3", "images");
    abandoned.put(PREFIX + "/images/images-0-4", "failures");
    abandoned.put(PREFIX + "/failures/failures-0-3", "failures");
    abandoned.put(PREFIX + "/prompts/prompts-0-3", "prompts");
    abandoned.put(PREFIX + "/image-tasks/tasks-0-3", "tasks");
    abandoned.put(PREFIX + "/cancellations/cancellations-0-3", "cancellations");
    abandoned.forEach(LeftoversITCase::abandon);
    try (Admin admin = kafka.admin()) {
      assertThat(open(admin)).isEqualTo(abandoned.size());

      StreamExecutionEnvironment env = environment();
      copy(
          env,
          DiffusionSources.images().setTopics("in-images"),
          DiffusionSinks.images().setTopic("images").setFailuresTopic("failures"));
      copy(
          env,
          DiffusionSources.failures().setTopics("in-failures"),
          DiffusionSinks.failures().setTopic("failures"));
      copy(
          env,
          DiffusionSources.prompts().setTopics("in-prompts"),
          DiffusionSinks.prompts().setTopic("prompts").setFailuresTopic("failures"));
      copy(
          env,
          DiffusionSources.imageTasks().setTopics("in-tasks"),
          DiffusionSinks.imageTasks().setTopic("tasks").setFailuresTopic("failures"));
      copy(
          env,
          DiffusionSources.cancellations().setTopics("in-cancellations"),
          DiffusionSinks.cancellations().setTopic("cancellations"));
      job = env.executeAsync("started again");

      // Nothing is written, so no transaction of the job's own is open.
      await("all are aborted")
          .atMost(PATIENCE)
          .untilAsserted(() -> assertThat(open(admin)).isZero());
    }
  }

  private static long open(Admin admin) throws Exception {
    return admin.listTransactions().all().get().stream()
        .filter(transaction -> transaction.transactionalId().startsWith(PREFIX))
        .filter(transaction -> transaction.state() == TransactionState.ONGOING)
        .count();
  }

  private static void abandon(String id, String topic) {
    Properties properties = new Properties();
    properties.setProperty("bootstrap.servers", kafka.bootstrapServers());
    properties.setProperty("transactional.id", id);
    properties.setProperty("transaction.timeout.ms", "600000");
    KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    producer.initTransactions();
    producer.beginTransaction();
    producer.send(new ProducerRecord<>(topic, new byte[] {1}));
    producer.flush();
    // Without time there is no good-bye: the broker learns nothing.
    producer.close(Duration.ZERO);
  }
}
