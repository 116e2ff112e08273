/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.options.OptionValues;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;

/** What a builder was told; what it was not told is looked up in the job's configuration. */
final class Settings {
  private static final String KAFKA = "diffusion.kafka.";

  private final Configuration told = new Configuration();
  private final Properties toldProperties = new Properties();

  <T> void set(ConfigOption<T> option, T value) {
    told.set(option, value);
  }

  void property(String key, String value) {
    toldProperties.setProperty(key, value);
  }

  <T> Optional<T> find(ConfigOption<T> option, ReadableConfig job) {
    return told.getOptional(option)
        .or(() -> OptionValues.read(job, option, KafkaSettingsException::new));
  }

  <T> T get(ConfigOption<T> option, ReadableConfig job) {
    return find(option, job).orElse(option.defaultValue());
  }

  /**
   * The setting's value, which may not be missing.
   *
   * @param who what needs it, {@code what} it is and the {@code method} that sets it, for the
   *     message
   * @throws KafkaSettingsException when it is set nowhere
   */
  String require(
      ConfigOption<String> option, ReadableConfig job, String who, String what, String method) {
    return find(option, job)
        .filter(value -> !value.isBlank())
        .orElseThrow(
            () ->
                new KafkaSettingsException(
                    "%s needs %s: call %s(...), or set %s in Flink's configuration."
                        .formatted(who, what, method, option.key())));
  }

  /** The Kafka client properties: the configuration's, then the builder's over them. */
  Properties properties(ReadableConfig job) {
    Properties properties = ClientProperties.of(job);
    toldProperties.forEach((key, value) -> properties.setProperty((String) key, (String) value));
    return properties;
  }

  /** Refuses keys of the job's configuration that look like options of this room and are none. */
  static void refuseUnknown(ReadableConfig job) {
    OptionValues.unknown(job, KAFKA, KafkaOptions.ALL)
        .ifPresent(
            sentence -> {
              throw new KafkaSettingsException(sentence);
            });
  }

  /**
   * Refuses properties that a setting of its own, or this module, decides.
   *
   * @param reserved property names, each with what to do instead of setting it
   */
  static void refuseReserved(String what, Properties properties, Map<String, String> reserved) {
    for (String key : properties.stringPropertyNames()) {
      if (reserved.containsKey(key)) {
        throw new KafkaSettingsException(
            "%s does not take the property %s=%s: %s."
                .formatted(what, key, properties.getProperty(key), reserved.get(key)));
      }
    }
  }
}
