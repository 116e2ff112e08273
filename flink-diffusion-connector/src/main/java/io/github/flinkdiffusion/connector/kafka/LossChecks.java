/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import static org.apache.flink.util.TimeUtils.formatWithHighestUnit;

import io.github.flinkdiffusion.connector.kafka.internal.BrokerLimits;
import io.github.flinkdiffusion.connector.kafka.internal.Checkpointing;
import java.time.Duration;
import java.util.Properties;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.kafka.clients.producer.ProducerConfig;

/**
 * Refuses what a sink could lose records with: settings of the producer, of checkpoints and of
 * transactions, and topics that do not take them.
 *
 * @param what the sink, as messages call it
 */
record LossChecks(String what) {

  /** Kafka's own default of transaction.max.timeout.ms. */
  private static final Duration DEFAULT_BROKER_MAX_TRANSACTION_TIMEOUT = Duration.ofMinutes(15);

  void producer(Properties properties) {
    String acks = properties.getProperty(ProducerConfig.ACKS_CONFIG, "all");
    if (!acks.equals("all") && !acks.equals("-1")) {
      throw new KafkaSettingsException(
          ("%s cannot have acks=%s: a record would be lost if the only broker that has it fails."
                  + " Leave it out, or set all.")
              .formatted(what, acks));
    }
    String idempotence = properties.getProperty(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, "true");
    if (!Boolean.parseBoolean(idempotence)) {
      throw new KafkaSettingsException(
          what
              + " cannot have enable.idempotence="
              + idempotence
              + ": a retry could write a record twice or out of order. Leave it out.");
    }
  }

  /** Of an exactly-once sink. */
  void checkpointing(Checkpointing checkpoints) {
    if (!checkpoints.streaming()) {
      throw new KafkaSettingsException(
          what
              + " cannot run in Flink's batch mode: its one transaction would have to stay open"
              + " for the whole job. Set execution.runtime-mode to STREAMING; a bounded source ends"
              + " there too.");
    }
    if (!checkpoints.enabled()) {
      throw new KafkaSettingsException(
          what
              + " needs checkpoints: nothing is visible before one is complete, and without any"
              + " nothing ever is. Call env.enableCheckpointing(...) before building the sink, or"
              + " set execution.checkpointing.interval.");
    }
    if (!checkpoints.exactlyOnce()) {
      throw new KafkaSettingsException(
          what
              + " needs exactly-once checkpoints: with the at-least-once mode records are written"
              + " twice. Set execution.checkpointing.mode to EXACTLY_ONCE.");
    }
    if (!checkpoints.afterTasksFinish()) {
      throw new KafkaSettingsException(
          what
              + " needs the checkpoint after the end of a bounded source: without it the last"
              + " transaction is never committed. Leave"
              + " execution.checkpointing.checkpoints-after-tasks-finish at true.");
    }
  }

  /** The topic must be there and take records of that size. */
  void topic(BrokerLimits limits, String name, int maxRecordBytes) {
    if (!limits.topicExists()) {
      throw new KafkaSettingsException(
          "%s cannot write to topic %s: it does not exist. Create it first.".formatted(what, name));
    }
    limits
        .maxRecordBytes()
        .ifPresent(
            max -> {
              if (max < maxRecordBytes) {
                throw new KafkaSettingsException(
                    ("%s cannot write events of up to %d bytes to topic %s, which takes %d: the"
                            + " job would fail on the first larger image, and again after every"
                            + " restart. Raise the topic's max.message.bytes, or lower %s.")
                        .formatted(
                            what, maxRecordBytes, name, max, KafkaOptions.MAX_EVENT_SIZE.key()));
              }
            });
  }

  /**
   * By default the longest that the broker allows: a transaction that times out is data lost, one
   * that lingers only makes readers wait, and only until the job is back and aborts it.
   */
  Duration transactionTimeout(
      Settings settings, ReadableConfig job, Checkpointing checkpoints, BrokerLimits limits) {
    Duration brokerMax =
        limits
            .maxTransactionTimeout()
            .or(() -> settings.find(KafkaOptions.BROKER_MAX_TRANSACTION_TIMEOUT, job))
            .orElse(DEFAULT_BROKER_MAX_TRANSACTION_TIMEOUT);
    Duration timeout = settings.find(KafkaOptions.TRANSACTION_TIMEOUT, job).orElse(brokerMax);
    if (timeout.compareTo(brokerMax) > 0) {
      throw new KafkaSettingsException(
          ("%s cannot have a transaction timeout of %s: the broker allows %s. Lower %s, or raise"
                  + " the broker's transaction.max.timeout.ms%s.")
              .formatted(
                  what,
                  formatWithHighestUnit(timeout),
                  formatWithHighestUnit(brokerMax),
                  KafkaOptions.TRANSACTION_TIMEOUT.key(),
                  limits.maxTransactionTimeout().isPresent()
                      ? ""
                      : " and set it in "
                          + KafkaOptions.BROKER_MAX_TRANSACTION_TIMEOUT.key()
                          + ", since the broker could not be asked"));
    }
    Duration restart = settings.get(KafkaOptions.ALLOWED_RESTART_TIME, job);
    Duration needed = checkpoints.longestTransaction(restart);
    if (timeout.compareTo(needed) < 0) {
      throw new KafkaSettingsException(
          ("%s cannot have a transaction timeout of %s: a transaction may stay open for %s, which"
                  + " is (checkpoint interval %s + checkpoint timeout %s) x %d + restart %s, and"
                  + " what is in it would be lost. Raise %s (the broker allows %s), or lower"
                  + " execution.checkpointing.interval, execution.checkpointing.timeout,"
                  + " execution.checkpointing.tolerable-failed-checkpoints or %s.")
              .formatted(
                  what,
                  formatWithHighestUnit(timeout),
                  formatWithHighestUnit(needed),
                  formatWithHighestUnit(checkpoints.interval()),
                  formatWithHighestUnit(checkpoints.timeout()),
                  1L + Math.max(0, checkpoints.tolerableFailures()),
                  formatWithHighestUnit(restart),
                  KafkaOptions.TRANSACTION_TIMEOUT.key(),
                  formatWithHighestUnit(brokerMax),
                  KafkaOptions.ALLOWED_RESTART_TIME.key()));
    }
    return timeout;
  }
}
