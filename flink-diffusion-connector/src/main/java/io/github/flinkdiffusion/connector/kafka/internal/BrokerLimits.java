/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;
import org.apache.flink.util.ExceptionUtils;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the Kafka cluster allows a sink, as far as it could be asked.
 *
 * @param maxTransactionTimeout the smallest {@code transaction.max.timeout.ms} of all brokers
 * @param maxRecordBytes the topic's {@code max.message.bytes}
 * @param topicExists false only when the cluster answered that there is no such topic
 */
@Internal
public record BrokerLimits(
    Optional<Duration> maxTransactionTimeout, OptionalLong maxRecordBytes, boolean topicExists) {

  /** Nothing could be asked. */
  public static final BrokerLimits UNKNOWN =
      new BrokerLimits(Optional.empty(), OptionalLong.empty(), true);

  private static final Logger LOG = LoggerFactory.getLogger(BrokerLimits.class);
  private static final String MAX_TRANSACTION_TIMEOUT = "transaction.max.timeout.ms";
  private static final String MAX_MESSAGE_BYTES = "max.message.bytes";

  /** A job is built where the cluster can be reached at once, or not at all. */
  private static final Duration PATIENCE = Duration.ofSeconds(5);

  /** How to ask, replaced in tests. */
  public interface Asking {
    BrokerLimits ask(Properties clientProperties, String topic);
  }

  /**
   * Asks the cluster. Not being answered is no error, a job may be built where Kafka cannot be
   * reached or by someone who may not ask; it is logged.
   *
   * @param clientProperties with bootstrap.servers and whatever security needs
   */
  public static BrokerLimits ask(Properties clientProperties, String topic) {
    try (Admin admin = Admin.create(AdminSettings.of(clientProperties, PATIENCE))) {
      List<ConfigResource> brokers =
          admin.describeCluster().nodes().get().stream()
              .map(node -> new ConfigResource(ConfigResource.Type.BROKER, node.idString()))
              .toList();
      Map<ConfigResource, Config> configs = admin.describeConfigs(brokers).all().get();
      Optional<Duration> maxTransactionTimeout =
          configs.values().stream()
              .flatMap(config -> value(config, MAX_TRANSACTION_TIMEOUT))
              .min(Long::compare)
              .map(Duration::ofMillis);
      ConfigResource topicResource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
      try {
        Config config =
            admin.describeConfigs(List.of(topicResource)).all().get().get(topicResource);
        OptionalLong maxRecordBytes =
            value(config, MAX_MESSAGE_BYTES).mapToLong(Long::longValue).findFirst();
        return new BrokerLimits(maxTransactionTimeout, maxRecordBytes, true);
      } catch (ExecutionException e) {
        if (ExceptionUtils.findThrowable(e, UnknownTopicOrPartitionException.class).isPresent()) {
          return new BrokerLimits(maxTransactionTimeout, OptionalLong.empty(), false);
        }
        throw e;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return UNKNOWN;
    } catch (ExecutionException | RuntimeException e) {
      LOG.warn(
          "Could not ask the Kafka cluster {} for its limits, going by the settings alone: {}",
          clientProperties.getProperty(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG),
          e.toString());
      return UNKNOWN;
    }
  }

  private static Stream<Long> value(Config config, String key) {
    return Stream.ofNullable(config.get(key))
        .filter(entry -> entry.value() != null)
        .map(entry -> Long.valueOf(entry.value()));
  }
}
