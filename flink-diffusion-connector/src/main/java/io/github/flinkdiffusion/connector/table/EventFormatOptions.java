/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import io.github.flinkdiffusion.connector.format.Framing;
import io.github.flinkdiffusion.connector.format.UnknownFields;
import java.time.Duration;
import java.util.List;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;

/**
 * Options of the formats {@code diffusion-avro}, {@code diffusion-json}, {@code
 * diffusion-registry-avro} and {@code diffusion-registry-json}, without the format's name before
 * them.
 */
@Internal
public final class EventFormatOptions {

  public static final ConfigOption<EventKind> EVENT =
      ConfigOptions.key("event")
          .enumType(EventKind.class)
          .noDefaultValue()
          .withDescription(
              "Which event the topic holds: prompt, image-task, image, text, failure, progress,"
                  + " cancel, model or vote."
                  + " Required.");

  public static final ConfigOption<Boolean> IGNORE_PARSE_ERRORS =
      ConfigOptions.key("ignore-parse-errors")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "Leaves out records that are no such event, with a line in the log for the first of a"
                  + " subtask, and counts them (metric numIgnoredRecords; its former name"
                  + " ignoredRecords is deprecated); false fails the job.");

  public static final ConfigOption<UnknownFields> UNKNOWN_FIELDS =
      ConfigOptions.key("unknown-fields")
          .enumType(UnknownFields.class)
          .defaultValue(UnknownFields.REFUSE)
          .withDescription(
              "What to do with a field that the event does not have. refuse: the record is no such"
                  + " event. attributes: the field becomes an attribute.");

  public static final ConfigOption<String> REGISTRY_URL =
      ConfigOptions.key("registry.url")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Address of the schema registry, as diffusion.kafka.registry.url. Required.");

  public static final ConfigOption<Framing> REGISTRY_FRAMING =
      ConfigOptions.key("registry.framing")
          .enumType(Framing.class)
          .defaultValue(Framing.CONFLUENT)
          .withDescription(
              "How records name their schema. confluent: a zero byte and an id of 4 bytes."
                  + " apicurio: a zero byte and a global id of 8 bytes.");

  public static final ConfigOption<Boolean> REGISTRY_AUTO_REGISTER =
      ConfigOptions.key("registry.auto-register")
          .booleanType()
          .defaultValue(true)
          .withDescription(
              "When the table is written to: register the schema under the subject <topic>-value if"
                  + " the registry does not have it. With false, the schema must already be"
                  + " registered.");

  public static final ConfigOption<Duration> REGISTRY_TIMEOUT =
      ConfigOptions.key("registry.timeout")
          .durationType()
          .defaultValue(Duration.ofSeconds(5))
          .withDescription(
              "Time limit of one attempt to ask the schema registry. After four attempts the task"
                  + " fails, and Flink's restart strategy applies.");

  public static final ConfigOption<String> REGISTRY_USER =
      ConfigOptions.key("registry.user")
          .stringType()
          .noDefaultValue()
          .withDescription("User name for basic authentication with the schema registry.");

  public static final ConfigOption<String> REGISTRY_PASSWORD =
      ConfigOptions.key("registry.password")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Password of registry.user. SHOW CREATE TABLE shows it, as it shows every option.");

  /** Those of every format, in the order of the reference page. */
  public static final List<ConfigOption<?>> ALL = List.of(EVENT, IGNORE_PARSE_ERRORS);

  /** Those of formats whose fields are found by their names, beside {@link #ALL}. */
  public static final List<ConfigOption<?>> OF_NAMED_FIELDS = List.of(UNKNOWN_FIELDS);

  /** Those of formats with a schema registry, beside the two above. */
  public static final List<ConfigOption<?>> OF_REGISTRY =
      List.of(
          REGISTRY_URL,
          REGISTRY_FRAMING,
          REGISTRY_AUTO_REGISTER,
          REGISTRY_TIMEOUT,
          REGISTRY_USER,
          REGISTRY_PASSWORD);

  private EventFormatOptions() {}
}
