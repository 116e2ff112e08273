package io.github.flinkdiffusion.connector.kafka;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;

/**
 * Settings of sources and sinks that belong to a deployment rather than to a job's code. Each can
 * be set in Flink's configuration ({@code -Ddiffusion.kafka.bootstrap-servers=...}) and by the
 * builders' method of the same name, which wins.
 */
public final class KafkaOptions {

  public static final ConfigOption<String> BOOTSTRAP_SERVERS =
      ConfigOptions.key("diffusion.kafka.bootstrap-servers")
          .stringType()
          .noDefaultValue()
          .withDescription("Where Kafka is: host:port, several separated by commas. Required.");

  public static final ConfigOption<String> GROUP_ID =
      ConfigOptions.key("diffusion.kafka.group-id")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Consumer group under which a source commits its offsets with each checkpoint. Only"
                  + " for watching the lag: where to go on after a failure is in the checkpoint."
                  + " Without one, nothing is committed.");

  public static final ConfigOption<String> TRANSACTIONAL_ID_PREFIX =
      ConfigOptions.key("diffusion.kafka.transactional-id-prefix")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Name under which exactly-once sinks open transactions; required for them. Unique"
                  + " among all jobs on the Kafka cluster and the same after every restart of a"
                  + " job; a job's sinks to different topics may share it.");

  public static final ConfigOption<Duration> TRANSACTION_TIMEOUT =
      ConfigOptions.key("diffusion.kafka.transaction-timeout")
          .durationType()
          .noDefaultValue()
          .withDescription(
              "After this time the broker aborts a transaction that is still open, and what was"
                  + " written in it is lost, even if its checkpoint had completed. At least"
                  + " (checkpoint interval + checkpoint timeout) x (1 + tolerable failed"
                  + " checkpoints) + allowed restart time, at most the broker's"
                  + " transaction.max.timeout.ms, which is the default.");

  public static final ConfigOption<Duration> BROKER_MAX_TRANSACTION_TIMEOUT =
      ConfigOptions.key("diffusion.kafka.broker-max-transaction-timeout")
          .durationType()
          .noDefaultValue()
          .withDescription(
              "The broker's transaction.max.timeout.ms, for a broker that can not be asked when the"
                  + " job is built; without it, Kafka's default of 15 min is assumed.");

  public static final ConfigOption<Duration> ALLOWED_RESTART_TIME =
      ConfigOptions.key("diffusion.kafka.allowed-restart-time")
          .durationType()
          .defaultValue(Duration.ofMinutes(3))
          .withDescription(
              "How long the job may be down between two attempts without losing a transaction:"
                  + " noticing the failure, waiting for slots, loading the model, restoring.");

  public static final ConfigOption<Boolean> TOLERATE_LOST_TRANSACTIONS =
      ConfigOptions.key("diffusion.kafka.tolerate-lost-transactions")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "A transaction that the broker aborted after its checkpoint had completed has lost"
                  + " its records, and the job fails at every restart from that checkpoint. With"
                  + " true, the loss is logged as an error and the job goes on without them.");

  public static final ConfigOption<MemorySize> MAX_EVENT_SIZE =
      ConfigOptions.key("diffusion.kafka.max-event-size")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(16))
          .withDescription(
              "Largest record that a sink writes, picture included; a larger result or request"
                  + " becomes a failure. Becomes the producer's max.request.size; the topic's"
                  + " max.message.bytes must be at least as large.");

  public static final ConfigOption<MemorySize> MAX_ORIGINAL_SIZE =
      ConfigOptions.key("diffusion.kafka.max-original-size")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(1))
          .withDescription(
              "Largest original that a source's failure events hold. The original of a record that"
                  + " cannot be decoded is truncated to this size; the failure then has the"
                  + " record's full size and SHA-256, and always its topic, partition and offset,"
                  + " where it can be read again. Between the source and the failures topic such a"
                  + " record is held several times, so that a large value costs heap.");

  public static final ConfigOption<Map<String, String>> PROPERTIES =
      ConfigOptions.key("diffusion.kafka.properties")
          .mapType()
          .defaultValue(Map.of())
          .withDescription(
              "Properties for all Kafka clients by Kafka's own names, e.g. security.protocol. Those"
                  + " that have a setting of their own here, and those that would lose records, are"
                  + " refused. Passwords and keys belong into diffusion.kafka.secret-properties.");

  public static final ConfigOption<Map<String, String>> SECRET_PROPERTIES =
      ConfigOptions.key("diffusion.kafka.secret-properties")
          .mapType()
          .defaultValue(Map.of())
          .withDescription(
              "Like diffusion.kafka.properties, for passwords and keys, e.g. sasl.jaas.config. Flink"
                  + " hides the values of this option in its log and its web UI, in any spelling.");

  /** All of them, in the order of the reference page. */
  public static final List<ConfigOption<?>> ALL =
      List.of(
          BOOTSTRAP_SERVERS,
          GROUP_ID,
          TRANSACTIONAL_ID_PREFIX,
          TRANSACTION_TIMEOUT,
          BROKER_MAX_TRANSACTION_TIMEOUT,
          ALLOWED_RESTART_TIME,
          TOLERATE_LOST_TRANSACTIONS,
          MAX_EVENT_SIZE,
          MAX_ORIGINAL_SIZE,
          PROPERTIES,
          SECRET_PROPERTIES);

  private KafkaOptions() {}
}
