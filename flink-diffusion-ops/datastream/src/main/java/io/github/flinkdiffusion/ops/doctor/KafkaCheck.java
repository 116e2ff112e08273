/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import io.github.flinkdiffusion.connector.kafka.ClientProperties;
import io.github.flinkdiffusion.connector.kafka.Delivery;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.kafka.KafkaSettingsException;
import io.github.flinkdiffusion.connector.kafka.internal.Checkpointing;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.stream.Stream;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** The brokers, what they allow, and the job's topics. */
final class KafkaCheck implements Check {
  private static final String PATIENCE_MILLIS = "8000";
  private static final String MAX_TRANSACTION_TIMEOUT = "transaction.max.timeout.ms";
  private static final String MAX_MESSAGE_BYTES = "max.message.bytes";
  private static final String MIN_IN_SYNC = "min.insync.replicas";

  @Override
  public String name() {
    return "kafka";
  }

  @Override
  public List<Finding> examine(Setup setup) throws InterruptedException {
    Configuration config = setup.config();
    Optional<String> servers = config.getOptional(KafkaOptions.BOOTSTRAP_SERVERS);
    if (servers.isEmpty()) {
      return List.of(Finding.skipped(name(), KafkaOptions.BOOTSTRAP_SERVERS.key() + " is not set"));
    }
    Properties properties;
    try {
      properties = adminProperties(config, servers.get());
    } catch (KafkaSettingsException e) {
      return List.of(Finding.error(name(), e.getMessage(), "Move the secret as the message says."));
    }
    List<Finding> findings = new ArrayList<>();
    try (Admin admin = Admin.create(properties)) {
      Collection<Node> brokers = admin.describeCluster().nodes().get();
      findings.add(
          Finding.ok(name(), "%d broker(s) answer at %s".formatted(brokers.size(), servers.get())));
      transactions(config, largestTimeout(admin, brokers, findings), findings);
      for (String topic : setup.topics()) {
        topic(admin, topic, brokers.size(), config, findings);
      }
    } catch (ExecutionException | RuntimeException e) {
      findings.add(
          Finding.error(
              name(),
              "Kafka at %s does not answer: %s".formatted(servers.get(), Reason.of(e)),
              "Check %s, that the brokers run and that their advertised.listeners can be reached from this machine; with TLS or SASL also %s."
                  .formatted(KafkaOptions.BOOTSTRAP_SERVERS.key(), KafkaOptions.PROPERTIES.key())));
    }
    return findings;
  }

  private static Properties adminProperties(Configuration config, String servers) {
    Properties properties = new Properties();
    Properties all = ClientProperties.of(config);
    all.stringPropertyNames().stream()
        .filter(AdminClientConfig.configNames()::contains)
        .forEach(key -> properties.setProperty(key, all.getProperty(key)));
    properties.setProperty(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
    properties.setProperty(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, PATIENCE_MILLIS);
    properties.setProperty(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, PATIENCE_MILLIS);
    return properties;
  }

  /** The smallest of all brokers, since any of them may get a transaction. */
  private Optional<Duration> largestTimeout(
      Admin admin, Collection<Node> brokers, List<Finding> findings) throws InterruptedException {
    List<ConfigResource> resources =
        brokers.stream()
            .map(node -> new ConfigResource(ConfigResource.Type.BROKER, node.idString()))
            .toList();
    try {
      return admin.describeConfigs(resources).all().get().values().stream()
          .flatMap(broker -> number(broker, MAX_TRANSACTION_TIMEOUT))
          .min(Long::compare)
          .map(Duration::ofMillis);
    } catch (ExecutionException e) {
      findings.add(
          Finding.warning(
              name(),
              "The brokers do not say their %s: %s"
                  .formatted(MAX_TRANSACTION_TIMEOUT, Reason.of(e)),
              "Allow the job's principal DescribeConfigs on the cluster, or set %s."
                  .formatted(KafkaOptions.BROKER_MAX_TRANSACTION_TIMEOUT.key())));
      return Optional.empty();
    }
  }

  private void transactions(
      Configuration config, Optional<Duration> brokerMax, List<Finding> findings) {
    if (config.get(KafkaOptions.DELIVERY) != Delivery.EXACTLY_ONCE) {
      findings.add(Finding.skipped(name(), "transactions: sinks write at least once"));
      return;
    }
    Checkpointing checkpoints =
        Checkpointing.of(StreamExecutionEnvironment.getExecutionEnvironment(config));
    if (!checkpoints.enabled()) {
      findings.add(
          Finding.error(
              name(),
              "Sinks write in transactions, and %s is not set: nothing would become visible."
                  .formatted(CheckpointingOptions.CHECKPOINTING_INTERVAL.key()),
              "Set it, such as to 10 s."));
      return;
    }
    Optional<Duration> known =
        brokerMax.or(() -> config.getOptional(KafkaOptions.BROKER_MAX_TRANSACTION_TIMEOUT));
    if (known.isEmpty()) {
      return;
    }
    Duration allowed = known.get();
    Duration timeout = config.getOptional(KafkaOptions.TRANSACTION_TIMEOUT).orElse(allowed);
    Duration needed = checkpoints.longestTransaction(config.get(KafkaOptions.ALLOWED_RESTART_TIME));
    if (timeout.compareTo(allowed) > 0) {
      findings.add(
          Finding.error(
              name(),
              "%s is %d s, and the brokers allow %d s."
                  .formatted(
                      KafkaOptions.TRANSACTION_TIMEOUT.key(),
                      timeout.toSeconds(),
                      allowed.toSeconds()),
              "Lower it, or raise the brokers' %s.".formatted(MAX_TRANSACTION_TIMEOUT)));
    } else if (timeout.compareTo(needed) < 0) {
      findings.add(
          Finding.error(
              name(),
              "A transaction may live for %d s, and must for up to %d s: (checkpoint interval %d s + time-out %d s) x %d + restart %d s."
                  .formatted(
                      timeout.toSeconds(),
                      needed.toSeconds(),
                      checkpoints.interval().toSeconds(),
                      checkpoints.timeout().toSeconds(),
                      1 + Math.max(0, checkpoints.tolerableFailures()),
                      config.get(KafkaOptions.ALLOWED_RESTART_TIME).toSeconds()),
              "Lower %s or %s, or raise %s and the brokers' %s to at least %d ms."
                  .formatted(
                      CheckpointingOptions.CHECKPOINTING_TIMEOUT.key(),
                      CheckpointingOptions.TOLERABLE_FAILURE_NUMBER.key(),
                      KafkaOptions.TRANSACTION_TIMEOUT.key(),
                      MAX_TRANSACTION_TIMEOUT,
                      needed.toMillis())));
    } else {
      findings.add(
          Finding.ok(
              name(),
              "a transaction may live for %d s; checkpoints need %d s at most"
                  .formatted(timeout.toSeconds(), needed.toSeconds())));
    }
  }

  private void topic(
      Admin admin, String topic, int brokers, Configuration config, List<Finding> findings)
      throws InterruptedException {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    try {
      TopicDescription description =
          admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
      Config settings = admin.describeConfigs(List.of(resource)).all().get().get(resource);
      int before = findings.size();
      size(topic, settings, config, findings);
      replicas(description, settings, brokers, findings);
      if (findings.size() == before) {
        findings.add(
            Finding.ok(
                name(),
                "topic %s has %d partition(s)".formatted(topic, description.partitions().size())));
      }
    } catch (ExecutionException e) {
      if (e.getCause() instanceof UnknownTopicOrPartitionException) {
        findings.add(
            Finding.error(
                name(),
                "There is no topic '%s'.".formatted(topic),
                "Create it, with max.message.bytes=%d."
                    .formatted(config.get(KafkaOptions.MAX_EVENT_SIZE).getBytes())));
      } else {
        findings.add(
            Finding.error(
                name(),
                "Topic '%s' cannot be described: %s".formatted(topic, Reason.of(e)),
                e.getCause() instanceof AuthorizationException
                    ? "Allow the job's principal Describe and DescribeConfigs on the topic."
                    : "Look at the brokers' log."));
      }
    }
  }

  private void size(String topic, Config settings, Configuration config, List<Finding> findings) {
    long wanted = config.get(KafkaOptions.MAX_EVENT_SIZE).getBytes();
    number(settings, MAX_MESSAGE_BYTES)
        .filter(max -> max < wanted)
        .forEach(
            max ->
                findings.add(
                    Finding.error(
                        name(),
                        "Topic '%s' takes records of %d bytes; events may have %d."
                            .formatted(topic, max, wanted),
                        "Raise the topic's %s to %d, or lower %s."
                            .formatted(
                                MAX_MESSAGE_BYTES, wanted, KafkaOptions.MAX_EVENT_SIZE.key()))));
  }

  private void replicas(
      TopicDescription topic, Config settings, int brokers, List<Finding> findings) {
    long least = number(settings, MIN_IN_SYNC).findFirst().orElse(1L);
    topic.partitions().stream()
        .filter(partition -> partition.isr().size() < least || partition.leader() == null)
        .findFirst()
        .ifPresent(
            partition ->
                findings.add(
                    Finding.error(
                        name(),
                        "Partition %d of topic '%s' has %d replicas in sync and needs %d."
                            .formatted(
                                partition.partition(), topic.name(), partition.isr().size(), least),
                        "Start the brokers that are down: nothing can be written there.")));
    if (brokers > 1
        && topic.partitions().stream().anyMatch(partition -> partition.replicas().size() == 1)) {
      findings.add(
          Finding.warning(
              name(),
              "Topic '%s' has one replica, on %d brokers.".formatted(topic.name(), brokers),
              "Give it three replicas and min.insync.replicas=2: with one, records go with their broker."));
    }
  }

  private static Stream<Long> number(Config config, String key) {
    return Stream.ofNullable(config.get(key))
        .filter(entry -> entry.value() != null)
        .map(entry -> Long.valueOf(entry.value()));
  }
}
