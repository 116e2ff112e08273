/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.kafka.JobFormats;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * One run of the demo against a broker: sends the requests, starts the job on a Flink cluster in
 * this process, reads what it commits until every request is answered, and cancels it.
 *
 * <p>The topics may hold other records: the job begins behind them, and answers to others are left
 * out.
 */
final class DemoRun {
  /** Results become visible with a checkpoint, so this is how smoothly progress is shown. */
  private static final Duration CHECKPOINT_INTERVAL = Duration.ofSeconds(1);

  private static final Duration POLL = Duration.ofMillis(200);

  private final String bootstrapServers;
  private final Topics topics;
  private final Configuration settings;
  private final boolean startsJob;
  private final int parallelism;
  private final Job job;

  /** How the job is added to an environment. */
  @FunctionalInterface
  interface Job {
    void define(StreamExecutionEnvironment env, Topics topics, OffsetsInitializer start);
  }

  /**
   * @param id which its answer carries, unless it is answered together with others
   * @param key of its record, which decides the partition
   * @param value as it is sent
   * @param together the id of the one answer that it and others get, unless it fails by itself; its
   *     own id when it is answered alone
   */
  record Request(String id, String key, byte[] value, String together) {
    Request(String id, String key, byte[] value) {
      this(id, key, value, id);
    }

    Request(String id, byte[] value) {
      this(id, id, value);
    }

    private boolean answered(Map<String, Integer> answers) {
      return answers.containsKey(id) || answers.containsKey(together);
    }
  }

  /**
   * @param settings of the job, as Flink's configuration holds them; of one that runs elsewhere,
   *     the formats of its topics
   * @param startsJob false when a job that runs elsewhere is to answer
   */
  DemoRun(
      String bootstrapServers,
      Topics topics,
      Configuration settings,
      boolean startsJob,
      int parallelism,
      Job job) {
    this.bootstrapServers = bootstrapServers;
    this.topics = topics;
    this.settings = settings;
    this.startsJob = startsJob;
    this.parallelism = parallelism;
    this.job = job;
  }

  /**
   * What came back.
   *
   * @param images in the order in which they were committed
   * @param failures likewise
   * @param making from the job's start to its end
   */
  record Results(
      List<ImageEvent> images,
      List<FailureEvent> failures,
      Duration making,
      Summary.BatchSizes batches) {}

  /**
   * Makes the pictures.
   *
   * @throws DemoException when Kafka cannot be used, or a request got no answer or two
   * @throws ExecutionException when the job failed
   */
  Results make(List<Request> requests)
      throws ExecutionException, InterruptedException, UndecodableEventException {
    topics.createMissing(bootstrapServers, parallelism);
    Map<TopicPartition, Long> begin = Topics.ends(bootstrapServers, topics.all());
    send(requests);
    try (BatchMetrics metrics = BatchMetrics.collect();
        TemporaryFolder checkpoints = TemporaryFolder.create("flink-diffusion-checkpoints");
        ResultReader reader = reader(begin, requests);
        Progress progress = Progress.of(expected(requests))) {
      long started = System.nanoTime();
      JobClient client = !startsJob ? null : start(begin, metrics, checkpoints);
      CompletableFuture<JobExecutionResult> ended =
          client == null ? new CompletableFuture<>() : client.getJobExecutionResult();
      try {
        while (!answered(requests, reader)) {
          if (ended.isDone()) {
            ended.get();
            throw new DemoException("The Flink job ended before every request was answered.");
          }
          reader.poll(POLL);
          progress.at(Math.min(reader.answered(), expected(requests)), reader.begun());
        }
      } finally {
        if (client != null && !ended.isDone()) {
          client.cancel().get();
          // Its clients would look for a broker that is gone.
          ended.handle((result, cancelled) -> null).get();
        }
      }
      Duration making = Duration.ofNanos(System.nanoTime() - started);
      // Whatever else was committed would be an answer too many.
      reader.pollToEnd();
      check(requests, reader);
      return new Results(reader.images(), reader.failures(), making, metrics.sizes());
    }
  }

  /** Answers when no request fails by itself that is answered together with others. */
  private static int expected(List<Request> requests) {
    return (int) requests.stream().map(Request::together).distinct().count();
  }

  private static boolean answered(List<Request> requests, ResultReader reader) {
    // Each request has an answer or shares one, so fewer than these cannot be all.
    if (reader.answered() < expected(requests)) {
      return false;
    }
    Map<String, Integer> answers = reader.answersById();
    return requests.stream().allMatch(request -> request.answered(answers));
  }

  private void send(List<Request> requests) throws InterruptedException {
    Map<String, Object> config =
        Map.of(
            ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
            bootstrapServers,
            ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG,
            20_000,
            ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG,
            10_000,
            // A partition that has just come may refuse the first batch and take the second: then
            // the first is out of order for ever.
            ProducerConfig.MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION,
            1);
    try (var producer =
        new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
      List<Future<RecordMetadata>> sent =
          requests.stream()
              .map(
                  request ->
                      producer.send(
                          new ProducerRecord<>(
                              topics.requests(),
                              request.key().getBytes(StandardCharsets.UTF_8),
                              request.value())))
              .toList();
      for (Future<RecordMetadata> answer : sent) {
        answer.get();
      }
    } catch (ExecutionException e) {
      throw new DemoException(
          "Cannot send requests to topic %s of Kafka at %s: %s"
              .formatted(topics.requests(), bootstrapServers, e.getCause().getMessage()),
          e.getCause());
    }
  }

  private JobClient start(
      Map<TopicPartition, Long> begin, BatchMetrics metrics, TemporaryFolder checkpoints) {
    Configuration configuration = new Configuration(settings);
    setUnlessGiven(configuration, CheckpointingOptions.CHECKPOINTING_INTERVAL, CHECKPOINT_INTERVAL);
    // Finished pictures are part of a checkpoint; Flink's default place for it takes 5 MiB.
    setUnlessGiven(configuration, CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
    setUnlessGiven(
        configuration,
        CheckpointingOptions.CHECKPOINTS_DIRECTORY,
        checkpoints.path().toUri().toString());
    // Somebody waits for this run: an error is shown, not tried again.
    setUnlessGiven(configuration, RestartStrategyOptions.RESTART_STRATEGY, "none");
    configuration.set(KafkaOptions.BOOTSTRAP_SERVERS, bootstrapServers);
    setUnlessGiven(
        configuration, KafkaOptions.TRANSACTIONAL_ID_PREFIX, "demo-" + UUID.randomUUID());
    metrics.reportedBy(configuration);
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(parallelism, configuration);
    job.define(env, topics, OffsetsInitializer.offsets(of(begin, topics.requests()::equals)));
    try {
      return env.executeAsync("demo");
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new DemoException("Flink could not start the job: " + ErrorLine.of(e), e);
    }
  }

  private static <T> void setUnlessGiven(
      Configuration configuration, ConfigOption<T> option, T value) {
    if (!configuration.contains(option)) {
      configuration.set(option, value);
    }
  }

  private ResultReader reader(Map<TopicPartition, Long> begin, List<Request> requests) {
    return new ResultReader(
        bootstrapServers,
        topics,
        JobFormats.results(settings),
        of(begin, topic -> !topic.equals(topics.requests())),
        ids(requests).collect(Collectors.toSet()));
  }

  /** Of all answers that may come. */
  private static Stream<String> ids(List<Request> requests) {
    return requests.stream().flatMap(request -> Stream.of(request.id(), request.together()));
  }

  private static Map<TopicPartition, Long> of(
      Map<TopicPartition, Long> offsets, Predicate<String> topic) {
    return offsets.entrySet().stream()
        .filter(offset -> topic.test(offset.getKey().topic()))
        .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
  }

  /** The promise of the whole: each request is answered once. */
  private static void check(List<Request> requests, ResultReader reader) {
    Map<String, Integer> answers = reader.answersById();
    List<String> wrong =
        requests.stream()
            .flatMap(
                request ->
                    request.answered(answers)
                        ? Stream.of(request.id(), request.together()).filter(answers::containsKey)
                        : Stream.of(request.id()))
            .distinct()
            .filter(id -> answers.getOrDefault(id, 0) != 1)
            .map(id -> id + " (" + answers.getOrDefault(id, 0) + ")")
            .toList();
    if (!wrong.isEmpty()) {
      throw new DemoException(
          "These requests were not answered exactly once (number of answers each): " + wrong);
    }
  }
}
