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
          .withDescription("Kafka brokers: host:port, several separated by commas. Required.");

  /** Consumer group that a source commits its offsets for, to watch its lag. */
  public static final ConfigOption<String> GROUP_ID =
      ConfigOptions.key("diffusion.kafka.group-id")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Consumer group under which a source commits its offsets with each checkpoint. It"
                  + " only serves to watch the lag: after a failure, the source continues from the"
                  + " checkpoint's offsets. Default: no offsets are committed.");

  /**
   * Name of the transactions of exactly-once sinks, unique to the job and stable. Required for
   * them.
   */
  public static final ConfigOption<String> TRANSACTIONAL_ID_PREFIX =
      ConfigOptions.key("diffusion.kafka.transactional-id-prefix")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Prefix of the transactional ids of exactly-once sinks, which require it. It must be"
                  + " unique among all jobs on the Kafka cluster, and the same after every restart"
                  + " of a job. Sinks of one job to different topics may share it.");

  /** Time after which the broker aborts an open transaction. Default: the broker's maximum. */
  public static final ConfigOption<Duration> TRANSACTION_TIMEOUT =
      ConfigOptions.key("diffusion.kafka.transaction-timeout")
          .durationType()
          .noDefaultValue()
          .withDescription(
              "Time after which the broker aborts an open transaction. Its records are then lost,"
                  + " even if its checkpoint was complete. At least (checkpoint interval +"
                  + " checkpoint timeout) x (1 + tolerable failed checkpoints) + allowed restart"
                  + " time; at most the broker's transaction.max.timeout.ms, which is the"
                  + " default.");

  /** The broker's transaction.max.timeout.ms, for brokers that cannot be asked. */
  public static final ConfigOption<Duration> BROKER_MAX_TRANSACTION_TIMEOUT =
      ConfigOptions.key("diffusion.kafka.broker-max-transaction-timeout")
          .durationType()
          .noDefaultValue()
          .withDescription(
              "The broker's transaction.max.timeout.ms, for brokers that cannot be asked when the"
                  + " job is built. Default: Kafka's default of 15 min.");

  /** Maximum downtime of the job between two attempts without losing a transaction. */
  public static final ConfigOption<Duration> ALLOWED_RESTART_TIME =
      ConfigOptions.key("diffusion.kafka.allowed-restart-time")
          .durationType()
          .defaultValue(Duration.ofMinutes(3))
          .withDescription(
              "How long the job may be down between two attempts without losing a transaction:"
                  + " until Flink notices the failure, gets slots, loads the model and restores the"
                  + " state.");

  /** Delivery guarantee of sinks. */
  public static final ConfigOption<Delivery> DELIVERY =
      ConfigOptions.key("diffusion.kafka.delivery")
          .enumType(Delivery.class)
          .defaultValue(Delivery.EXACTLY_ONCE)
          .withDescription(
              "Delivery of results, failures and requests. exactly-once: each record once, visible"
                  + " to readers of committed records when the next checkpoint is complete."
                  + " at-least-once: visible at once, without transactions, and possibly again"
                  + " after a restart; records that may be repetitions have the header"
                  + " diffusion-duplicate. Progress is always written at least once. To change it,"
                  + " stop the job with a savepoint, which commits what is open.");

  /** Whether the job goes on after a transaction was lost, with an error in the log. */
  public static final ConfigOption<Boolean> TOLERATE_LOST_TRANSACTIONS =
      ConfigOptions.key("diffusion.kafka.tolerate-lost-transactions")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "Continue after a lost transaction. If the broker aborts a transaction whose"
                  + " checkpoint was complete, its records are lost, and by default the job fails"
                  + " at every restart from that checkpoint. With true, the loss is logged as an"
                  + " error and the job continues without these records.");

  /** Largest record that a sink writes, 64 KiB to 1023 MiB. Larger results become failures. */
  public static final ConfigOption<MemorySize> MAX_EVENT_SIZE =
      ConfigOptions.key("diffusion.kafka.max-event-size")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(16))
          .withDescription(
              "Maximum size of a record that a sink writes, including the image. A larger result or"
                  + " request becomes a failure. Sets the producer's max.request.size; the topic's"
                  + " max.message.bytes must be at least as large.");

  /** Largest original in a failure event of a source, at most 1023 MiB. Longer ones are cut. */
  public static final ConfigOption<MemorySize> MAX_ORIGINAL_SIZE =
      ConfigOptions.key("diffusion.kafka.max-original-size")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(1))
          .withDescription(
              "Maximum size of the original in a source's failure events. The original of a record"
                  + " that cannot be decoded is truncated to this size. The failure then has the"
                  + " record's full size and SHA-256, and always its topic, partition and offset,"
                  + " where it can be read again. Between the source and the failures topic, such a"
                  + " record is held several times, so a large value costs heap memory.");

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
              "Format of the events that sinks write, as diffusion.kafka.source.format. Images"
                  + " are base64 in JSON and take a third more space.");

  /** What a source does with a field that the event does not have. */
  public static final ConfigOption<UnknownFields> UNKNOWN_FIELDS =
      ConfigOptions.key("diffusion.kafka.unknown-fields")
          .enumType(UnknownFields.class)
          .defaultValue(UnknownFields.REFUSE)
          .withDescription(
              "What a source does with a field that the event does not have, in every format"
                  + " except avro. refuse: the record becomes a failure that names the field."
                  + " attributes: the field becomes an attribute of the request, which result and"
                  + " failure carry; a text as it is, any other value as JSON.");

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
                  + " one sink, or with the sink's setAvroSchema(...). Default: the event's own"
                  + " schema.");

  /** Address of the schema registry. */
  public static final ConfigOption<String> REGISTRY_URL =
      ConfigOptions.key("diffusion.kafka.registry.url")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Address of the schema registry. With Confluent's framing, the root of Confluent's"
                  + " API, which other registries also offer (Apicurio: .../apis/ccompat/v7). With"
                  + " Apicurio's framing, its core API (.../apis/registry/v2 or v3).");

  /** How a record names its schema in the registry. */
  public static final ConfigOption<Framing> REGISTRY_FRAMING =
      ConfigOptions.key("diffusion.kafka.registry.framing")
          .enumType(Framing.class)
          .defaultValue(Framing.CONFLUENT)
          .withDescription(
              "How records name their schema. confluent: a zero byte and an id of 4 bytes."
                  + " apicurio: a zero byte and a global id of 8 bytes.");

  /** Whether a sink registers its schema where the registry does not have it. */
  public static final ConfigOption<Boolean> REGISTRY_AUTO_REGISTER =
      ConfigOptions.key("diffusion.kafka.registry.auto-register")
          .booleanType()
          .defaultValue(true)
          .withDescription(
              "Register a sink's schema under the subject <topic>-value if the registry does not"
                  + " have it. With false, the schema must already be registered.");

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
          .withDescription("User name for basic authentication with the schema registry.");

  /** Password of {@link #REGISTRY_USER}. */
  public static final ConfigOption<String> REGISTRY_PASSWORD =
      ConfigOptions.key("diffusion.kafka.registry.password")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Password of diffusion.kafka.registry.user. Flink hides it in its log and its web"
                  + " UI.");

  /** Headers of a request's record that the records of its result and failure get. */
  public static final ConfigOption<List<String>> HEADERS =
      ConfigOptions.key("diffusion.kafka.headers")
          .stringType()
          .asList()
          .defaultValues("traceparent", "tracestate")
          .withDescription(
              "Headers of a request's record to copy to the records of its result and its failure."
                  + " Of several headers with one name, the last is copied. Headers and key may"
                  + " have 8 KiB together; a record with more becomes a failure.");

  /** Key of the records of results and failures. */
  public static final ConfigOption<RecordKey> RECORD_KEY =
      ConfigOptions.key("diffusion.kafka.record-key")
          .enumType(RecordKey.class)
          .defaultValue(RecordKey.REQUEST)
          .withDescription(
              "Key of the records of results and failures. request: that of the request's record;"
                  + " the request's id where it has none. id: the request's id.");

  /** Properties for all Kafka clients, by Kafka's names. */
  public static final ConfigOption<Map<String, String>> PROPERTIES =
      ConfigOptions.key("diffusion.kafka.properties")
          .mapType()
          .defaultValue(Map.of())
          .withDescription(
              "Properties of all Kafka clients by Kafka's own names, such as security.protocol."
                  + " Properties that have an option of their own here, and those that would lose"
                  + " records, are refused. Put passwords and keys into"
                  + " diffusion.kafka.secret-properties.");

  /** The same for passwords and keys, whose values Flink hides in log and web UI. */
  public static final ConfigOption<Map<String, String>> SECRET_PROPERTIES =
      ConfigOptions.key("diffusion.kafka.secret-properties")
          .mapType()
          .defaultValue(Map.of())
          .withDescription(
              "Like diffusion.kafka.properties, for passwords and keys, such as sasl.jaas.config."
                  + " Flink hides the values of this option in its log and its web UI, in any"
                  + " spelling.");

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
