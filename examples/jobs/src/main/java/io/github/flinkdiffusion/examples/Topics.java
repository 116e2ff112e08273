/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;

/**
 * The topics of a job.
 *
 * @param requests is read
 * @param images is written
 * @param failures is written
 * @param progress is written
 */
public record Topics(String requests, String images, String failures, String progress) {
  private static final int PATIENCE_SECONDS = 20;

  /** For a Kafka client of a command: Kafka's own minute and more is long for a wrong address. */
  static final Map<String, String> PATIENCE =
      Map.of("default.api.timeout.ms", "15000", "request.timeout.ms", "10000");

  /** Kafka's own limit of 1 MiB is too small for many pictures. */
  private static final Map<String, String> FOR_PICTURES =
      Map.of("max.message.bytes", Integer.toString(16 << 20));

  /**
   * The topics {@code prompts}, {@code images}, {@code failures} and {@code progress}, each behind
   * the prefix.
   */
  public static Topics withPrefix(String prefix) {
    return new Topics(
        prefix + "prompts", prefix + "images", prefix + "failures", prefix + "progress");
  }

  /**
   * The topics {@code image-tasks}, {@code images}, {@code failures} and {@code progress}, each
   * behind the prefix.
   */
  public static Topics ofImageTasks(String prefix) {
    return new Topics(
        prefix + "image-tasks", prefix + "images", prefix + "failures", prefix + "progress");
  }

  List<String> all() {
    return List.of(requests, images, failures, progress);
  }

  /**
   * Creates those that are not there yet.
   *
   * @throws DemoException when the broker does not answer or does not allow it
   */
  void createMissing(String bootstrapServers, int partitions) {
    createMissing(bootstrapServers, all(), partitions);
  }

  /**
   * Creates those that are not there yet.
   *
   * @throws DemoException when the broker does not answer or does not allow it
   */
  static void createMissing(String bootstrapServers, List<String> topics, int partitions) {
    ask(
        bootstrapServers,
        "create the topics " + topics,
        admin -> {
          Set<String> missing = new HashSet<>(topics);
          missing.removeAll(admin.listTopics().names().get(PATIENCE_SECONDS, TimeUnit.SECONDS));
          return admin
              .createTopics(
                  missing.stream()
                      .map(
                          name ->
                              new NewTopic(name, Optional.of(partitions), Optional.<Short>empty())
                                  .configs(FOR_PICTURES))
                      .toList())
              .all()
              .get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        });
  }

  /**
   * Where the topics end at this moment: the offset of the next record of each partition.
   *
   * @throws DemoException when the broker does not answer
   */
  static Map<TopicPartition, Long> ends(String bootstrapServers, List<String> topics) {
    return ask(
        bootstrapServers,
        "look up where the topics " + topics + " end",
        admin -> {
          Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
          admin
              .describeTopics(topics)
              .allTopicNames()
              .get(PATIENCE_SECONDS, TimeUnit.SECONDS)
              .forEach(
                  (name, topic) ->
                      topic
                          .partitions()
                          .forEach(
                              partition ->
                                  wanted.put(
                                      new TopicPartition(name, partition.partition()),
                                      OffsetSpec.latest())));
          Map<TopicPartition, Long> ends = new HashMap<>();
          admin
              .listOffsets(wanted)
              .all()
              .get(PATIENCE_SECONDS, TimeUnit.SECONDS)
              .forEach((partition, info) -> ends.put(partition, info.offset()));
          return ends;
        });
  }

  private static <T> T ask(String bootstrapServers, String what, Question<T> question) {
    Map<String, Object> config = new HashMap<>(PATIENCE);
    config.put("bootstrap.servers", bootstrapServers);
    Exception reason;
    try (Admin admin = Admin.create(config)) {
      return question.ask(admin);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      reason = e;
    } catch (ExecutionException e) {
      reason = e.getCause() instanceof Exception cause ? cause : e;
    } catch (TimeoutException | RuntimeException e) {
      reason = e;
    }
    throw new DemoException(
        "Cannot %s in Kafka at %s: %s. Check --bootstrap-servers, or leave it out to start a broker here."
            .formatted(what, bootstrapServers, ErrorLine.of(reason)),
        reason);
  }

  private interface Question<T> {
    T ask(Admin admin) throws ExecutionException, InterruptedException, TimeoutException;
  }
}
