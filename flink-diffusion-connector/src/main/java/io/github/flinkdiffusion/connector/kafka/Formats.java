/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.format.RegistrySettings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;

/** The format of a source or a sink, as its options say it. */
final class Formats {
  private Formats() {}

  static FormatSettings ofSource(Settings settings, ReadableConfig job, String what) {
    return of(settings, job, what, KafkaOptions.SOURCE_FORMAT, KafkaOptions.SOURCE_AVRO_SCHEMA);
  }

  static FormatSettings ofSink(Settings settings, ReadableConfig job, String what) {
    return of(settings, job, what, KafkaOptions.SINK_FORMAT, KafkaOptions.SINK_AVRO_SCHEMA);
  }

  private static FormatSettings of(
      Settings settings,
      ReadableConfig job,
      String what,
      ConfigOption<EventFormat> formatOption,
      ConfigOption<String> schemaOption) {
    EventFormat format = settings.get(formatOption, job);
    Optional<String> schema = settings.find(schemaOption, job);
    if (schema.isPresent() && format != EventFormat.PLAIN_AVRO) {
      throw new KafkaSettingsException(
          "%s takes %s only with %s=%s; its format is %s."
              .formatted(
                  what, schemaOption.key(), formatOption.key(), EventFormat.PLAIN_AVRO, format));
    }
    try {
      return new FormatSettings(
          format,
          settings.get(KafkaOptions.UNKNOWN_FIELDS, job),
          schema.map(given -> textOf(given, schemaOption)).orElse(null),
          format.usesRegistry() ? registry(settings, job, what, format) : null);
    } catch (IllegalArgumentException e) {
      throw new KafkaSettingsException(
          "%s cannot have the format %s: %s.".formatted(what, format, e.getMessage()));
    }
  }

  private static RegistrySettings registry(
      Settings settings, ReadableConfig job, String what, EventFormat format) {
    return new RegistrySettings(
        settings
            .find(KafkaOptions.REGISTRY_URL, job)
            .orElseThrow(
                () ->
                    new KafkaSettingsException(
                        "%s needs the schema registry for the format %s: call setRegistry(...), or set %s in Flink's configuration."
                            .formatted(what, format, KafkaOptions.REGISTRY_URL.key()))),
        settings.get(KafkaOptions.REGISTRY_FRAMING, job),
        settings.get(KafkaOptions.REGISTRY_AUTO_REGISTER, job),
        settings.get(KafkaOptions.REGISTRY_TIMEOUT, job),
        settings.find(KafkaOptions.REGISTRY_USER, job).orElse(null),
        settings.find(KafkaOptions.REGISTRY_PASSWORD, job).orElse(null));
  }

  /** A schema, or the file that holds it. */
  private static String textOf(String given, ConfigOption<String> option) {
    if (given.stripLeading().startsWith("{")) {
      return given;
    }
    try {
      return Files.readString(Path.of(given));
    } catch (IOException | InvalidPathException e) {
      throw new KafkaSettingsException(
          ("Invalid value '%2$s' for option %1$s: expected an Avro schema as JSON, or a readable"
                  + " file that holds one (%3$s).")
              .formatted(option.key(), given, e));
    }
  }
}
