/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.options.OptionValues;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.config.ConfigDef;

/**
 * Kafka's own properties in Flink's configuration.
 *
 * <p>Flink logs its configuration and shows it in the web UI. It hides a value whose key tells that
 * it is secret, and looks at no value: in {@code diffusion.kafka.properties:
 * "sasl.jaas.config:..."} nothing tells. So a secret is accepted only below a key whose value Flink
 * hides.
 */
@Internal
public final class ClientProperties {

  /** Properties that Kafka itself types as passwords, in lower case. */
  private static final Set<String> PASSWORDS =
      Stream.of(
              ProducerConfig.configDef(), ConsumerConfig.configDef(), AdminClientConfig.configDef())
          .flatMap(client -> client.configKeys().values().stream())
          .filter(key -> key.type == ConfigDef.Type.PASSWORD)
          .map(key -> key.name.toLowerCase(Locale.ROOT))
          .collect(Collectors.toUnmodifiableSet());

  private ClientProperties() {}

  /**
   * Those of {@link KafkaOptions#PROPERTIES}, and those of {@link KafkaOptions#SECRET_PROPERTIES}
   * over them.
   *
   * @throws KafkaSettingsException for a secret that Flink shows; its message does not hold it
   */
  public static Properties of(ReadableConfig job) {
    Map<String, String> open =
        OptionValues.read(job, KafkaOptions.PROPERTIES, KafkaSettingsException::new)
            .orElse(Map.of());
    refuseShownSecrets(job, open);
    Properties properties = new Properties();
    properties.putAll(open);
    properties.putAll(
        OptionValues.read(job, KafkaOptions.SECRET_PROPERTIES, KafkaSettingsException::new)
            .orElse(Map.of()));
    return properties;
  }

  private static void refuseShownSecrets(ReadableConfig job, Map<String, String> open) {
    String option = KafkaOptions.PROPERTIES.key();
    boolean flat = job.toMap().containsKey(option);
    Set<String> shown = new TreeSet<>();
    for (String key : open.keySet()) {
      if (isSecret(key) && (flat || !GlobalConfiguration.isSensitive(option + "." + key))) {
        shown.add(key);
      }
    }
    if (!shown.isEmpty()) {
      throw new KafkaSettingsException(
          "Option %s holds %s, whose value Flink writes to its log and shows in its web UI. Set it in %s, whose values Flink hides, or with setProperty(...) of the builder; and change the secret, which has been logged."
              .formatted(option, String.join(", ", shown), KafkaOptions.SECRET_PROPERTIES.key()));
    }
  }

  private static boolean isSecret(String key) {
    String lower = key.toLowerCase(Locale.ROOT);
    return PASSWORDS.contains(lower)
        || PASSWORDS.stream().anyMatch(password -> lower.endsWith("." + password))
        || GlobalConfiguration.isSensitive(lower);
  }
}
