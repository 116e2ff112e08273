/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.InjectMiniCluster;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/**
 * A transaction that the broker has aborted is told from one that was committed before, which
 * Flink's own committer does not do.
 */
class LostTransactionITCase {
  private static final Duration PATIENCE = Duration.ofSeconds(90);
  private static final Duration SHORT = Duration.ofSeconds(2);
  private static final Duration LONG = Duration.ofMinutes(10);
  private static final int RECORDS = 5;

  @RegisterExtension
  static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(1)
              .setConfiguration(
                  new Configuration().set(CheckpointingOptions.MAX_RETAINED_CHECKPOINTS, 10))
              .build());

  private static EmbeddedKafka kafka;
  private static Admin admin;

  private JobClient job;

  @BeforeAll
  static void startKafka() {
    kafka =
        EmbeddedKafka.builder()
            .setting("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200")
            .start();
    admin = kafka.admin();
  }

  @AfterAll
  static void stopKafka() {
    admin.close();
    kafka.close();
  }

  @AfterEach
  void endJob() throws Exception {
    if (job != null && !job.getJobStatus().get().isGloballyTerminalState()) {
      cancel();
    }
  }

  /** Copies a topic of the test's name into one with "-out", and checkpoints only when told. */
  private void start(String test, Duration timeout, boolean tolerateLoss, String from, Path folder)
      throws Exception {
    Configuration configuration =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofHours(1))
            .set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem")
            .set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString())
            .set(
                CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION,
                ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION)
            .set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    if (from != null) {
      configuration.set(StateRecoveryOptions.SAVEPOINT_PATH, from);
    }
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration);
    env.setParallelism(1);
    env.fromSource(
            KafkaSource.<String>builder()
                .setBootstrapServers(kafka.bootstrapServers())
                .setTopics(test)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setValueOnlyDeserializer(new SimpleStringSchema())
                .build(),
            WatermarkStrategy.noWatermarks(),
            "in")
        .uid("in")
        .sinkTo(sink(test, timeout, tolerateLoss))
        .uid("out");
    job = env.executeAsync(test);
  }

  /** Past the builder, which would refuse a time-out this short. */
  private static Sink<String> sink(String test, Duration timeout, boolean tolerateLoss) {
    Properties properties = new Properties();
    properties.setProperty("bootstrap.servers", kafka.bootstrapServers());
    properties.setProperty("transaction.timeout.ms", Long.toString(timeout.toMillis()));
    KafkaSink<String> sink =
        KafkaSink.<String>builder()
            .setKafkaProducerConfig(properties)
            .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
            .setTransactionalIdPrefix(test)
            .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
            .setRecordSerializer(
                KafkaRecordSerializationSchema.<String>builder()
                    .setTopic(test + "-out")
                    .setValueSerializationSchema(new SimpleStringSchema())
                    .build())
            .build();
    return new VerifyingKafkaSink<>("The sink of " + test, sink, properties, tolerateLoss);
  }

  private static void send(String test) {
    kafka.send(
        IntStream.range(0, RECORDS)
            .mapToObj(
                i ->
                    new ProducerRecord<byte[], byte[]>(
                        test, ("record " + i).getBytes(StandardCharsets.UTF_8)))
            .toList());
  }

  private static void until(String what, Callable<Boolean> condition) {
    await(what).atMost(PATIENCE).until(condition);
  }

  /** Committed or not; a commit or abort adds a record of its own. */
  private static void untilWritten(String test, long records) {
    TopicPartition out = new TopicPartition(test + "-out", 0);
    until(
        records + " records are written",
        () ->
            admin.listOffsets(Map.of(out, OffsetSpec.latest())).partitionResult(out).get().offset()
                >= records);
  }

  private static Collection<TransactionDescription> transactions(String test) throws Exception {
    List<String> ids =
        admin.listTransactions().all().get().stream()
            .map(TransactionListing::transactionalId)
            .filter(id -> id.startsWith(test))
            .toList();
    return admin.describeTransactions(ids).all().get().values();
  }

  private static void untilAborted(String test) {
    until(
        "the broker has aborted the transaction",
        () ->
            transactions(test).stream()
                .anyMatch(t -> t.state() == TransactionState.COMPLETE_ABORT));
  }

  private void untilRunning() {
    until("the job runs", () -> job.getJobStatus().get() == JobStatus.RUNNING);
  }

  /** Flink makes one of its own as soon as a job runs, which must not take the records with it. */
  private void untilFirstCheckpoint(MiniCluster flink) {
    await("the job runs and its first checkpoint is over")
        .atMost(PATIENCE)
        .ignoreExceptions()
        .until(() -> checkpoint(flink) != null);
  }

  private void cancel() throws Exception {
    job.cancel().get();
    job.getJobExecutionResult().handle((result, cancelled) -> null).get();
  }

  private String checkpoint(MiniCluster flink) throws Exception {
    return flink.triggerCheckpoint(job.getJobID()).get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
  }

  private void assertLoss(String test) {
    assertThatThrownBy(
            () -> job.getJobExecutionResult().get(PATIENCE.toSeconds(), TimeUnit.SECONDS))
        .isInstanceOf(ExecutionException.class)
        .hasStackTraceContaining("LostTransactionException")
        .hasStackTraceContaining("The sink of " + test + " has lost the records of transaction")
        .hasStackTraceContaining("diffusion.kafka.tolerate-lost-transactions");
    assertThat(kafka.readCommitted(test + "-out")).isEmpty();
  }

  @Test
  void aRestartThatComesTooLateFailsInsteadOfLosingRecordsAndCanBeToldToGoOn(
      @InjectMiniCluster MiniCluster flink, @TempDir Path folder) throws Exception {
    String test = "outage";
    kafka.createTopics(1, test, test + "-out");
    start(test, SHORT, false, null, folder);
    untilFirstCheckpoint(flink);
    send(test);
    untilWritten(test, RECORDS);
    // A savepoint prepares the transaction without committing it.
    String savepoint =
        job.triggerSavepoint(folder.toUri().toString(), SavepointFormatType.CANONICAL)
            .get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    cancel();
    untilAborted(test);

    start(test, SHORT, false, savepoint, folder);
    assertLoss(test);
    // However often it is tried.
    start(test, SHORT, false, savepoint, folder);
    assertLoss(test);

    start(test, LONG, true, savepoint, folder);
    untilRunning();
    send(test);
    until(
        "the job goes on", () -> transactions(test).stream().anyMatch(LostTransactionITCase::open));
    checkpoint(flink);
    assertThat(kafka.readCommitted(test + "-out", RECORDS, PATIENCE)).hasSize(RECORDS);
  }

  private static boolean open(TransactionDescription transaction) {
    return transaction.state() == TransactionState.ONGOING;
  }

  @Test
  void aTransactionThatIsAbortedBeforeItsCheckpointFailsTheRunningJob(
      @InjectMiniCluster MiniCluster flink, @TempDir Path folder) throws Exception {
    String test = "slow";
    kafka.createTopics(1, test, test + "-out");
    start(test, SHORT, false, null, folder);
    untilFirstCheckpoint(flink);
    send(test);
    untilWritten(test, RECORDS);
    untilAborted(test);
    // Nothing is sent any more, so that only the commit notices.
    checkpoint(flink);
    assertLoss(test);
  }

  @Test
  void aCheckpointThatWasCommittedBeforeIsNoLossThoughItsTransactionalIdWasUsedAgain(
      @InjectMiniCluster MiniCluster flink, @TempDir Path folder) throws Exception {
    String test = "again";
    kafka.createTopics(1, test, test + "-out");
    start(test, LONG, false, null, folder);
    untilFirstCheckpoint(flink);
    send(test);
    untilWritten(test, RECORDS);
    String first = checkpoint(flink);
    kafka.readCommitted(test + "-out", RECORDS, PATIENCE);
    // Checkpoints give ids back, transactions take them.
    for (int i = 2; i < 5; i++) {
      send(test);
      untilWritten(test, (long) i * RECORDS);
      checkpoint(flink);
      kafka.readCommitted(test + "-out", i * RECORDS, PATIENCE);
    }
    cancel();

    start(test, LONG, false, first, folder);
    untilRunning();
    until(
        "the job goes on", () -> transactions(test).stream().anyMatch(LostTransactionITCase::open));
    checkpoint(flink);
    // Who goes back behind what was committed gets it a second time.
    kafka.readCommitted(test + "-out", (4 + 3) * RECORDS, PATIENCE);
    assertThat(job.getJobStatus().get()).isEqualTo(JobStatus.RUNNING);
  }

  @Test
  void aTransactionThatWasBegunUnderAnIdOfTheCheckpointAndAbandonedIsAbortedAtTheStart(
      @InjectMiniCluster MiniCluster flink, @TempDir Path folder) throws Exception {
    String test = "abandoned";
    kafka.createTopics(1, test, test + "-out");
    start(test, LONG, false, null, folder);
    untilFirstCheckpoint(flink);
    send(test);
    untilWritten(test, RECORDS);
    String checkpoint = checkpoint(flink);
    kafka.readCommitted(test + "-out", RECORDS, PATIENCE);
    cancel();
    String id =
        transactions(test).stream()
            .filter(t -> t.state() == TransactionState.COMPLETE_COMMIT)
            .map(LostTransactionITCase::id)
            .findFirst()
            .orElseThrow();
    // As a writer does that has its id back, in a process that is then killed.
    abandon(id, test + "-out");
    assertThat(isOpen(id)).isTrue();

    start(test, LONG, false, checkpoint, folder);
    until("the abandoned transaction is aborted", () -> !isOpen(id));
    send(test);
    untilWritten(test, 2L * RECORDS);
    checkpoint(flink);
    kafka.readCommitted(test + "-out", 2 * RECORDS, PATIENCE);
    assertThat(job.getJobStatus().get()).isEqualTo(JobStatus.RUNNING);
  }

  /** A description does not say its id, so it is found by its producer. */
  private static String id(TransactionDescription transaction) {
    try {
      return admin.listTransactions().all().get().stream()
          .filter(listed -> listed.producerId() == transaction.producerId())
          .map(TransactionListing::transactionalId)
          .findFirst()
          .orElseThrow();
    } catch (InterruptedException | ExecutionException e) {
      throw new AssertionError(e);
    }
  }

  private static boolean isOpen(String id) throws Exception {
    return open(admin.describeTransactions(List.of(id)).description(id).get());
  }

  private static void abandon(String id, String topic) {
    Properties properties = new Properties();
    properties.setProperty("bootstrap.servers", kafka.bootstrapServers());
    properties.setProperty("transactional.id", id);
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
