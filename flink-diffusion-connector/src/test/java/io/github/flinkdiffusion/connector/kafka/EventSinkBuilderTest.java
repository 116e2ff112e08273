/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.kafka.internal.BrokerLimits;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Properties;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacet;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.lineage.LineageVertexProvider;
import org.junit.jupiter.api.Test;

/** Every setting that would lose records is refused, and the message says what to set. */
class EventSinkBuilderTest {
  private static final BrokerLimits KAFKAS_DEFAULTS_FOR_PICTURES =
      new BrokerLimits(Optional.of(Duration.ofMinutes(15)), OptionalLong.of(16 << 20), true);

  private final StreamExecutionEnvironment env = checkpointing(Duration.ofMinutes(1));

  private static StreamExecutionEnvironment checkpointing(Duration interval) {
    return environment(
        new Configuration().set(CheckpointingOptions.CHECKPOINTING_INTERVAL, interval));
  }

  private static StreamExecutionEnvironment environment(Configuration configuration) {
    return StreamExecutionEnvironment.getExecutionEnvironment(configuration);
  }

  /** What is accepted; each test breaks one thing. */
  private static EventSinkBuilder<ImageEvent> sink() {
    return DiffusionSinks.images()
        .setBootstrapServers("broker:9092")
        .setTopic("images")
        .setFailuresTopic("failures")
        .setTransactionalIdPrefix("posters")
        .broker((properties, topic) -> KAFKAS_DEFAULTS_FOR_PICTURES);
  }

  /** What the sink's producers will be given, which the sink tells through its lineage. */
  private static Properties producerConfig(Sink<?> sink) {
    return ((LineageVertexProvider) sink)
        .getLineageVertex().datasets().get(0).facets().values().stream()
            .filter(KafkaDatasetFacet.class::isInstance)
            .map(facet -> ((KafkaDatasetFacet) facet).getProperties())
            .findFirst()
            .orElseThrow();
  }

  private static void assertRefused(
      EventSinkBuilder<?> sink, StreamExecutionEnvironment env, String... says) {
    assertThatThrownBy(() -> sink.build(env))
        .isInstanceOf(KafkaSettingsException.class)
        .hasMessageStartingWith("The sink of ")
        .hasMessageContainingAll(says);
  }

  @Test
  void takesKafkasAndFlinksDefaultsAndTheLongestTimeOutThatTheBrokerAllows() {
    Properties producer = producerConfig(sink().build(env));
    assertThat(producer)
        .containsEntry("transaction.timeout.ms", "900000")
        .containsEntry("max.request.size", Integer.toString(16 << 20))
        .containsEntry("buffer.memory", Integer.toString(32 << 20));
  }

  @Test
  void readsFromFlinksConfigurationWhatNoMethodSets() {
    Configuration configuration =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(10))
            .set(KafkaOptions.BOOTSTRAP_SERVERS, "configured:9092")
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "configured")
            .set(KafkaOptions.MAX_EVENT_SIZE, MemorySize.ofMebiBytes(8));
    configuration.setString("diffusion.kafka.properties.security.protocol", "SASL_SSL");
    Properties producer =
        producerConfig(
            DiffusionSinks.images()
                .setTopic("images")
                .setFailuresTopic("failures")
                .setProperty("linger.ms", "20")
                .broker((properties, topic) -> KAFKAS_DEFAULTS_FOR_PICTURES)
                .build(environment(configuration)));
    assertThat(producer)
        .containsEntry("bootstrap.servers", "configured:9092")
        .containsEntry("security.protocol", "SASL_SSL")
        .containsEntry("linger.ms", "20")
        .containsEntry("max.request.size", Integer.toString(8 << 20));
  }

  @Test
  void refusesNoTopicAndNoServers() {
    assertRefused(sink().setTopic(" "), env, "call setTopic(...)");
    assertRefused(
        sink().setBootstrapServers(""),
        env,
        "call setBootstrapServers(...)",
        "diffusion.kafka.bootstrap-servers");
  }

  @Test
  void refusesNoTopicForFailuresWhereEventsMayBeTooLarge() {
    assertRefused(sink().setFailuresTopic(null), env, "Call setFailuresTopic(...)");
    assertRefused(
        sink()
            .broker(
                (properties, topic) ->
                    topic.equals("failures")
                        ? new BrokerLimits(Optional.empty(), OptionalLong.of(1048588), true)
                        : KAFKAS_DEFAULTS_FOR_PICTURES),
        env,
        "topic failures, which takes 1048588");
  }

  @Test
  void refusesOneTopicForBothEventsAndFailures() {
    assertRefused(sink().setFailuresTopic("images"), env, "could not tell results from failures");
  }

  @Test
  void refusesATopicForFailuresWhereEventsAlwaysFit() {
    assertRefused(
        DiffusionSinks.cancellations().setTopic("cancellations").setFailuresTopic("failures"),
        env,
        "does not take setFailuresTopic(failures)");
  }

  @Test
  void refusesNoTransactionalIdPrefix() {
    assertRefused(
        sink().setTransactionalIdPrefix(""),
        env,
        "unique to this job",
        "call setTransactionalIdPrefix(...)",
        "diffusion.kafka.transactional-id-prefix");
  }

  @Test
  void refusesAPrefixWithTheCharacterThatEndsPrefixes() {
    assertRefused(sink().setTransactionalIdPrefix("a/b"), env, "=a/b", "leave out the '/'");
  }

  @Test
  void refusesToRunWithoutCheckpoints() {
    assertRefused(
        sink(), environment(new Configuration()), "needs checkpoints", "env.enableCheckpointing");
  }

  @Test
  void refusesAtLeastOnceCheckpoints() {
    env.getCheckpointConfig().setCheckpointingConsistencyMode(CheckpointingMode.AT_LEAST_ONCE);
    assertRefused(sink(), env, "execution.checkpointing.mode to EXACTLY_ONCE");
  }

  @Test
  void refusesToEndWithoutALastCheckpoint() {
    env.configure(
        new Configuration().set(CheckpointingOptions.ENABLE_CHECKPOINTS_AFTER_TASKS_FINISH, false));
    assertRefused(sink(), env, "execution.checkpointing.checkpoints-after-tasks-finish at true");
  }

  @Test
  void refusesBatchMode() {
    env.setRuntimeMode(RuntimeExecutionMode.BATCH);
    assertRefused(sink(), env, "execution.runtime-mode to STREAMING");
  }

  @Test
  void refusesATransactionTimeOutAboveTheBrokersMaximum() {
    assertRefused(
        sink().setTransactionTimeout(Duration.ofHours(1)),
        env,
        "timeout of 1 h",
        "the broker allows 15 min",
        "Lower diffusion.kafka.transaction-timeout",
        "transaction.max.timeout.ms.");
  }

  @Test
  void goesByTheSettingAndElseByKafkasDefaultWhenTheBrokerDoesNotAnswer() {
    assertRefused(
        sink()
            .broker((properties, topic) -> BrokerLimits.UNKNOWN)
            .setTransactionTimeout(Duration.ofMinutes(16)),
        env,
        "the broker allows 15 min",
        "set it in diffusion.kafka.broker-max-transaction-timeout");
    assertThat(
            producerConfig(
                sink()
                    .broker((properties, topic) -> BrokerLimits.UNKNOWN)
                    .setTransactionTimeout(Duration.ofMinutes(16))
                    .setBrokerMaxTransactionTimeout(Duration.ofMinutes(20))
                    .build(env)))
        .containsEntry("transaction.timeout.ms", "960000");
  }

  @Test
  void refusesATransactionTimeOutThatARestartMayExceed() {
    assertRefused(
        sink().setTransactionTimeout(Duration.ofMinutes(13)),
        env,
        "timeout of 13 min",
        "stay open for 14 min",
        "(checkpoint interval 1 min + checkpoint timeout 10 min) x 1 + restart 3 min",
        "Raise diffusion.kafka.transaction-timeout",
        "diffusion.kafka.allowed-restart-time");
    sink().setTransactionTimeout(Duration.ofMinutes(14)).build(env);
  }

  @Test
  void refusesALongCheckpointIntervalEvenWithTheLongestTimeOut() {
    assertRefused(
        sink(), checkpointing(Duration.ofMinutes(5)), "timeout of 15 min", "open for 18 min");
  }

  @Test
  void refusesALongPauseBetweenCheckpoints() {
    env.getCheckpointConfig().setMinPauseBetweenCheckpoints(Duration.ofMinutes(5).toMillis());
    assertRefused(sink(), env, "open for 18 min", "checkpoint interval 5 min");
  }

  @Test
  void refusesToTolerateSoManyFailedCheckpointsThatATransactionTimesOutMeanwhile() {
    env.getCheckpointConfig().setTolerableCheckpointFailureNumber(1);
    assertRefused(sink(), env, "x 2", "execution.checkpointing.tolerable-failed-checkpoints");
    env.getCheckpointConfig().setTolerableCheckpointFailureNumber(Integer.MAX_VALUE);
    assertRefused(sink(), env, "x 2147483648");
  }

  @Test
  void refusesALongRestartTime() {
    assertRefused(
        sink().setAllowedRestartTime(Duration.ofMinutes(5)),
        env,
        "restart 5 min",
        "open for 16 min");
  }

  @Test
  void refusesAProducerLimitBelowThePictureLimit() {
    assertRefused(
        sink().setProperty("max.request.size", "1048576"),
        env,
        "max.request.size=1048576",
        "16777216 bytes",
        "diffusion.kafka.max-event-size");
    assertThat(producerConfig(sink().setProperty("max.request.size", "20000000").build(env)))
        .containsEntry("max.request.size", "20000000");
  }

  @Test
  void refusesATopicThatTakesLessThanThePictureLimit() {
    assertRefused(
        sink()
            .broker(
                (properties, topic) ->
                    new BrokerLimits(Optional.empty(), OptionalLong.of(1048588), true)),
        env,
        "topic images, which takes 1048588",
        "Raise the topic's max.message.bytes");
  }

  @Test
  void refusesATopicThatDoesNotExist() {
    assertRefused(
        sink()
            .broker(
                (properties, topic) ->
                    new BrokerLimits(Optional.empty(), OptionalLong.empty(), false)),
        env,
        "topic images",
        "does not exist");
  }

  @Test
  void refusesAnImpossiblePictureLimit() {
    assertRefused(
        sink().setMaxEventSize(MemorySize.parse("1kb")), env, "between 64 kb and 1023 mb");
    assertRefused(
        sink().setMaxEventSize(MemorySize.parse("2gb")), env, "between 64 kb and 1023 mb");
  }

  @Test
  void refusesProducerPropertiesThatLoseRecords() {
    assertRefused(sink().setProperty("acks", "1"), env, "acks=1", "set all");
    assertRefused(
        sink().setProperty("enable.idempotence", "false"), env, "enable.idempotence=false");
    sink().setProperty("acks", "-1").build(env);
  }

  @Test
  void refusesPropertiesThatHaveASettingOfTheirOwn() {
    assertRefused(
        sink().setProperty("transaction.timeout.ms", "1"), env, "call setTransactionTimeout(...)");
    assertRefused(
        sink().setProperty("transactional.id", "x"), env, "call setTransactionalIdPrefix(...)");
    assertRefused(
        sink().setProperty("bootstrap.servers", "x"), env, "call setBootstrapServers(...)");
    assertRefused(sink().setProperty("value.serializer", "x"), env, "the sink writes bytes");
  }

  @Test
  void progressNeedsNeitherCheckpointsNorTransactions() {
    Properties producer =
        producerConfig(
            DiffusionSinks.progress()
                .setBootstrapServers("broker:9092")
                .setTopic("progress")
                .broker((properties, topic) -> KAFKAS_DEFAULTS_FOR_PICTURES)
                .build(environment(new Configuration())));
    assertThat(producer).doesNotContainKey("transactional.id");
  }
}
