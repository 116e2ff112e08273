/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventReader;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads what a job has committed, as any consumer behind it would, and keeps what answers this
 * run's requests. Used by one thread.
 */
final class ResultReader implements AutoCloseable {
  private final Topics topics;
  private final Set<String> ids;
  private final KafkaConsumer<byte[], byte[]> consumer;
  private final EventReader<ImageEvent> imageReader;
  private final EventReader<FailureEvent> failureReader;
  private final EventReader<ProgressEvent> progressReader;
  private final List<ImageEvent> images = new ArrayList<>();
  private final List<FailureEvent> failures = new ArrayList<>();
  private final Map<String, Double> begun = new HashMap<>();

  /**
   * @param format of the results
   * @param from where to begin: the end of the topics before the requests were sent
   * @param ids of the requests; what is said about others is left out
   */
  ResultReader(
      String bootstrapServers,
      Topics topics,
      FormatSettings format,
      Map<TopicPartition, Long> from,
      Set<String> ids) {
    this.topics = topics;
    imageReader = format.reader(ImageEvent.class);
    failureReader = format.reader(FailureEvent.class);
    progressReader = format.reader(ProgressEvent.class);
    this.ids = Set.copyOf(ids);
    this.consumer =
        new KafkaConsumer<>(
            Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG,
                bootstrapServers,
                ConsumerConfig.ISOLATION_LEVEL_CONFIG,
                "read_committed",
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG,
                "none"),
            new ByteArrayDeserializer(),
            new ByteArrayDeserializer());
    consumer.assign(from.keySet());
    from.forEach(consumer::seek);
  }

  /** Takes in what has come; waits for the first of it at most so long. */
  void poll(Duration wait) throws UndecodableEventException {
    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(wait)) {
      if (record.topic().equals(topics.images())) {
        ImageEvent image = imageReader.read(record.value(), null);
        if (ids.contains(image.getId())) {
          images.add(image);
        }
      } else if (record.topic().equals(topics.progress())) {
        ProgressEvent progress = progressReader.read(record.value(), null);
        if (ids.contains(progress.getId())) {
          double share = (double) progress.getStep() / Math.max(1, progress.getTotalSteps());
          // Progress may repeat after a failure.
          begun.merge(progress.getId(), share, Math::max);
        }
      } else {
        FailureEvent failure = failureReader.read(record.value(), null);
        if (failure.getId() != null && ids.contains(failure.getId())) {
          failures.add(failure);
        }
      }
    }
  }

  /** Takes in everything up to the present end of the topics. */
  void pollToEnd() throws UndecodableEventException {
    Map<TopicPartition, Long> ends = consumer.endOffsets(consumer.assignment());
    while (ends.entrySet().stream()
        .anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
      poll(Duration.ofMillis(100));
    }
  }

  /** Requests that are answered, with a picture or a failure. */
  int answered() {
    return images.size() + failures.size();
  }

  /** How far requests without an answer have come, all together: 0.5 for one half done. */
  double begun() {
    Map<String, Integer> answers = answersById();
    return begun.entrySet().stream()
        .filter(request -> !answers.containsKey(request.getKey()))
        .mapToDouble(Map.Entry::getValue)
        .sum();
  }

  /** How often each request was answered; those without an answer are left out. */
  Map<String, Integer> answersById() {
    Map<String, Integer> answers = new HashMap<>();
    images.forEach(image -> answers.merge(image.getId(), 1, Integer::sum));
    failures.forEach(failure -> answers.merge(failure.getId(), 1, Integer::sum));
    return answers;
  }

  List<ImageEvent> images() {
    return List.copyOf(images);
  }

  List<FailureEvent> failures() {
    return List.copyOf(failures);
  }

  @Override
  public void close() {
    consumer.close();
  }
}
