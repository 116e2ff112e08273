/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.admin.AdminClientConfig;

/** What an admin client can take from the settings of another client of the same cluster. */
final class AdminSettings {
  private AdminSettings() {}

  /**
   * @param client with bootstrap.servers and whatever security needs
   * @param patience for each question
   */
  static Properties of(Properties client, Duration patience) {
    Properties properties = new Properties();
    client.stringPropertyNames().stream()
        .filter(AdminClientConfig.configNames()::contains)
        .forEach(key -> properties.setProperty(key, client.getProperty(key)));
    String millis = Long.toString(patience.toMillis());
    properties.setProperty(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, millis);
    properties.setProperty(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, millis);
    return properties;
  }
}
