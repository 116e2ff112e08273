/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.format.Framing;
import io.github.flinkdiffusion.connector.format.UnknownFields;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;
import org.jspecify.annotations.NullMarked;

/**
 * Settings of sources and sinks that belong to a deployment rather than to a job's code. Each can
 * be set in Flink's configuration ({@code -Ddiffusion.kafka.bootstrap-servers=...}) and by the
 * builders' method of the same name, which wins.
 */
@NullMarked
@PublicEvolving
public final class KafkaOptions {

  /** Kafka's addresses, {@code host:port} separated by commas. Required. */
  public static final ConfigOption<String> BOOTSTRAP_SERVERS =
      ConfigOptions.key("diffusion.kafka.bootstrap-servers")
          .stringType()
          .noDefaultValue()
          .withDescription("Where Kafka is: host:port, several separated by commas. Required.");

  /** Consumer group that a source commits its offsets for, to watch its lag. */
  public static final ConfigOption<String> GROUP_ID =
      ConfigOptions.key("diffusion.kafka.group-id")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Consumer group under which a source commits its offsets with each checkpoint. Only"
                  + " for watching the lag: where to go on after a failure is in the checkpoint."
                  + " Without one, nothing is committed.");

  /**
   * Name of the transactions of exactly-once sinks, unique to the job and stable. Required for
   * them.
   */
  public static final ConfigOption<String> TRANSACTIONAL_ID_PREFIX =
      ConfigOptions.key("diffusion.kafka.transactional-id-prefix")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Name under which exactly-once sinks open transactions; required for them. Unique"
                  + " among all jobs on the Kafka cluster and the same after every restart of a"
                  + " job; a job's sinks to different topics may share it.");

  /** Time after which the broker aborts an open transaction. Default: the broker's maximum. */
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

  /** The broker's transaction.max.timeout.ms, for brokers that cannot be asked. */
  public static final ConfigOption<Duration> BROKER_MAX_TRANSACTION_TIMEOUT =
      ConfigOptions.key("diffusion.kafka.broker-max-transaction-timeout")
          .durationType()
          .noDefaultValue()
          .withDescription(
              "The broker's transaction.max.timeout.ms, for a broker that cannot be asked when the"
                  + " job is built; without it, Kafka's default of 15 min is assumed.");

  /** Maximum downtime of the job between two attempts without losing a transaction. */
  public static final ConfigOption<Duration> ALLOWED_RESTART_TIME =
      ConfigOptions.key("diffusion.kafka.allowed-restart-time")
          .durationType()
          .defaultValue(Duration.ofMinutes(3))
          .withDescription(
              "How long the job may be down between two attempts without losing a transaction:"
                  + " noticing the failure, waiting for slots, loading the model, restoring.");

  /** Delivery guarantee of sinks. */
  public static final ConfigOption<Delivery> DELIVERY =
      ConfigOptions.key("diffusion.kafka.delivery")
          .enumType(Delivery.class)
          .defaultValue(Delivery.EXACTLY_ONCE)
          .withDescription(
              "How sinks of results, failures and requests write. exactly-once: once; visible to"
                  + " readers of committed records when the next checkpoint is complete."
                  + " at-least-once: at once, without transactions, and possibly again after a"
                  + " restart; records that may be repetitions have the header diffusion-duplicate."
                  + " Progress is always written at least once. To change it, stop the job with a"
                  + " savepoint, which commits what is open.");

  /** Whether the job goes on after a transaction was lost, with an error in the log. */
  public static final ConfigOption<Boolean> TOLERATE_LOST_TRANSACTIONS =
      ConfigOptions.key("diffusion.kafka.tolerate-lost-transactions")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "A transaction that the broker aborted after its checkpoint had completed has lost"
                  + " its records, and the job fails at every restart from that checkpoint. With"
                  + " true, the loss is logged as an error and the job goes on without them.");

  /** Largest record that a sink writes, 64 KiB to 1023 MiB. Larger results become failures. */
  public static final ConfigOption<MemorySize> MAX_EVENT_SIZE =
      ConfigOptions.key("diffusion.kafka.max-event-size")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(16))
          .withDescription(
              "Largest record that a sink writes, picture included; a larger result or request"
                  + " becomes a failure. Becomes the producer's max.request.size; the topic's"
                  + " max.message.bytes must be at least as large.");

  /** Largest original in a failure event of a source, at most 1023 MiB. Longer ones are cut. */
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

  /** Format of the events that sources read. */
  public static final ConfigOption<EventFormat> SOURCE_FORMAT =
      ConfigOptions.key("diffusion.kafka.source.format")
          .enumType(EventFormat.class)
          .defaultValue(EventFormat.AVRO)
          .withDescription(
              "Format of the events that sources read. avro: Avro's single-object encoding. json: a"
                  + " JSON object, see docs/schemas. registry-avro, registry-json: the same behind"
                  + " the id of a schema in a schema registry. plain-avro: an Avro record of"
                  + " diffusion.kafka.source.avro-schema. A record of another format becomes a"
                  + " failure, whose message names the format.");

  /** Format of the events that sinks write. */
  public static final ConfigOption<EventFormat> SINK_FORMAT =
      ConfigOptions.key("diffusion.kafka.sink.format")
          .enumType(EventFormat.class)
          .defaultValue(EventFormat.AVRO)
          .withDescription(
              "Format of the events that sinks write, as diffusion.kafka.source.format. Bytes of"
                  + " images take a third more room in JSON, where they are base64.");

  /** What a source does with a field that the event does not have. */
  public static final ConfigOption<UnknownFields> UNKNOWN_FIELDS =
      ConfigOptions.key("diffusion.kafka.unknown-fields")
          .enumType(UnknownFields.class)
          .defaultValue(UnknownFields.REFUSE)
          .withDescription(
              "What a source does with a field that the event does not have, in every format but"
                  + " avro. refuse: the record becomes a failure that names the field. attributes:"
                  + " the field becomes an attribute of the request, which result and failure"
                  + " carry; a text as it is, any other value as JSON.");

  /** The writer's schema for {@link EventFormat#PLAIN_AVRO}, as JSON or as a path. */
  public static final ConfigOption<String> SOURCE_AVRO_SCHEMA =
      ConfigOptions.key("diffusion.kafka.source.avro-schema")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "For plain-avro: the schema that records were written with, as JSON or as the path of"
                  + " a file, read when the job is built. Its fields are found by their names, so"
                  + " its own name does not matter. Default: the event's own schema.");

  /** The schema that a sink writes for {@link EventFormat#PLAIN_AVRO}, as JSON or as a path. */
  public static final ConfigOption<String> SINK_AVRO_SCHEMA =
      ConfigOptions.key("diffusion.kafka.sink.avro-schema")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "For plain-avro: the schema to write, as diffusion.kafka.source.avro-schema. It has"
                  + " the event's name (ImageEvent, FailureEvent) and those of its fields that are"
                  + " wanted. A sink refuses a schema of another event, so set it where a job has"
                  + " one sink, or with the sink's setAvroSchema(...). Default: the event's own schema.");

  /** Address of the schema registry. */
  public static final ConfigOption<String> REGISTRY_URL =
      ConfigOptions.key("diffusion.kafka.registry.url")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Where the schema registry is. With Confluent's framing, the root of Confluent's API,"
                  + " which other registries have, too (Apicurio: .../apis/ccompat/v7). With"
                  + " Apicurio's framing, its core API (.../apis/registry/v2 or v3).");

  /** How a record names its schema in the registry. */
  public static final ConfigOption<Framing> REGISTRY_FRAMING =
      ConfigOptions.key("diffusion.kafka.registry.framing")
          .enumType(Framing.class)
          .defaultValue(Framing.CONFLUENT)
          .withDescription(
              "How records name their schema. confluent: a zero byte and an id of 4 bytes. apicurio:"
                  + " a zero byte and a global id of 8 bytes.");

  /** Whether a sink registers its schema where the registry does not have it. */
  public static final ConfigOption<Boolean> REGISTRY_AUTO_REGISTER =
      ConfigOptions.key("diffusion.kafka.registry.auto-register")
          .booleanType()
          .defaultValue(true)
          .withDescription(
              "Whether a sink registers its schema, under the subject <topic>-value, where the"
                  + " registry does not have it. With false, the schema must be there.");

  /** Timeout of one request to the schema registry. Four attempts are made. */
  public static final ConfigOption<Duration> REGISTRY_TIMEOUT =
      ConfigOptions.key("diffusion.kafka.registry.timeout")
          .durationType()
          .defaultValue(Duration.ofSeconds(5))
          .withDescription(
              "Time limit of one attempt to ask the schema registry. After four attempts the task"
                  + " fails, and Flink's restart strategy applies.");

  /** User of the schema registry, for basic authentication. */
  public static final ConfigOption<String> REGISTRY_USER =
      ConfigOptions.key("diffusion.kafka.registry.user")
          .stringType()
          .noDefaultValue()
          .withDescription("User of the schema registry, for basic authentication.");

  /** Password of {@link #REGISTRY_USER}. */
  public static final ConfigOption<String> REGISTRY_PASSWORD =
      ConfigOptions.key("diffusion.kafka.registry.password")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Password of diffusion.kafka.registry.user. Flink hides it in its log and its web UI.");

  /** Headers of a request's record that the records of its result and failure get. */
  public static final ConfigOption<List<String>> HEADERS =
      ConfigOptions.key("diffusion.kafka.headers")
          .stringType()
          .asList()
          .defaultValues("traceparent", "tracestate")
          .withDescription(
              "Headers of a request's record that the records of its result and its failure get,"
                  + " too; of several with one name, the last. Together with the key at most 8 KiB;"
                  + " a record with more becomes a failure.");

  /** Key of the records of results and failures. */
  public static final ConfigOption<RecordKey> RECORD_KEY =
      ConfigOptions.key("diffusion.kafka.record-key")
          .enumType(RecordKey.class)
          .defaultValue(RecordKey.REQUEST)
          .withDescription(
              "Key of the records of results and failures. request: that of the request's record; the"
                  + " request's id where it has none. id: the request's id.");

  /** Properties for all Kafka clients, by Kafka's names. */
  public static final ConfigOption<Map<String, String>> PROPERTIES =
      ConfigOptions.key("diffusion.kafka.properties")
          .mapType()
          .defaultValue(Map.of())
          .withDescription(
              "Properties for all Kafka clients by Kafka's own names, e.g. security.protocol. Those"
                  + " that have a setting of their own here, and those that would lose records, are"
                  + " refused. Passwords and keys belong into diffusion.kafka.secret-properties.");

  /** The same for passwords and keys, whose values Flink hides in log and web UI. */
  public static final ConfigOption<Map<String, String>> SECRET_PROPERTIES =
      ConfigOptions.key("diffusion.kafka.secret-properties")
          .mapType()
          .defaultValue(Map.of())
          .withDescription(
              "Like diffusion.kafka.properties, for passwords and keys, e.g. sasl.jaas.config. Flink"
                  + " hides the values of this option in its log and its web UI, in any spelling.");

  /** All of them, in the order of the reference page. */
  @Internal
  public static final List<ConfigOption<?>> ALL =
      List.of(
          BOOTSTRAP_SERVERS,
          GROUP_ID,
          TRANSACTIONAL_ID_PREFIX,
          TRANSACTION_TIMEOUT,
          BROKER_MAX_TRANSACTION_TIMEOUT,
          ALLOWED_RESTART_TIME,
          DELIVERY,
          TOLERATE_LOST_TRANSACTIONS,
          MAX_EVENT_SIZE,
          MAX_ORIGINAL_SIZE,
          SOURCE_FORMAT,
          SINK_FORMAT,
          UNKNOWN_FIELDS,
          SOURCE_AVRO_SCHEMA,
          SINK_AVRO_SCHEMA,
          REGISTRY_URL,
          REGISTRY_FRAMING,
          REGISTRY_AUTO_REGISTER,
          REGISTRY_TIMEOUT,
          REGISTRY_USER,
          REGISTRY_PASSWORD,
          HEADERS,
          RECORD_KEY,
          PROPERTIES,
          SECRET_PROPERTIES);

  private KafkaOptions() {}
}
