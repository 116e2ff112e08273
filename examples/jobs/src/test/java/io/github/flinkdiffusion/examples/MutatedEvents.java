/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.DiffusionSinks;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.connector.kafka.EventSourceBuilder;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.DiffusionStreams;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * {@link EventMutations} through one job with two operators, on a broker in the same process, and
 * the count of what came of them. The job may not restart, so it is over when one event fails it.
 *
 * <p>{@link #main} takes the number of events and the seed, prints what came of them, and ends with
 * 1 unless each was answered once. {@link MutatedEventsITCase} says how to run it by Maven.
 */
final class MutatedEvents {
  private static final Path MODELS =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/models").toAbsolutePath();
  private static final Path FIXTURES = MODELS.getParent();

  /** Without an answer for so long, there will be none. */
  private static final Duration PATIENCE = Duration.ofMinutes(5);

  private static final int AT_A_TIME = 500;

  /** A longer one is none: the failure may shorten it. */
  private static final int LONGEST_ID = 512;

  /**
   * What came of the requests; cancellations are answered by what they cancel.
   *
   * @param requests that were sent: prompts and image tasks, and cancellations that are none
   * @param images results
   * @param failures of any reason
   * @param missing requests without an answer
   * @param twice answers that are too many
   * @param running whether the job is still running
   */
  record Counts(int requests, int images, int failures, int missing, int twice, boolean running) {
    boolean right() {
      return missing == 0 && twice == 0 && running;
    }
  }

  private final EmbeddedKafka kafka;
  private final EventMutations mutations;
  private final Path folder;
  private final Path checkpoints;

  /** Answers that are still expected: by the place of a record, and by the id of a request. */
  private final Set<String> places = new HashSet<>();

  private final Map<String, Integer> ids = new HashMap<>();

  /**
   * @param work a folder for what the events name, and for checkpoints
   */
  MutatedEvents(EmbeddedKafka kafka, long seed, Path work) throws IOException {
    this.kafka = kafka;
    this.folder = Files.createDirectories(work.resolve("images"));
    this.checkpoints = Files.createDirectories(work.resolve("checkpoints"));
    this.mutations =
        new EventMutations(
            seed,
            EventMutations.imagesOf(
                FIXTURES.resolve("formats"), FIXTURES.resolve("image"), FIXTURES.resolve("tiff")),
            folder);
  }

  public static void main(String[] args) throws Exception {
    int events = Integer.parseInt(args[0]);
    long seed = Long.parseLong(args[1]);
    long begin = System.nanoTime();
    Path folder = Files.createTempDirectory("mutated-events");
    Counts counts;
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      counts = new MutatedEvents(kafka, seed, folder).run(events);
    }
    System.out.println(
        "%d events of seed %d in %d s: %s"
            .formatted(events, seed, (System.nanoTime() - begin) / 1_000_000_000, counts));
    System.exit(counts.right() ? 0 : 1);
  }

  Counts run(int events) throws Exception {
    kafka.createTopics(1, "prompts", "tasks", "cancellations", "images", "failures");
    Files.write(folder.resolve("ok.png"), new byte[] {1, 2, 3});
    JobClient job = define().executeAsync("mutated events");
    try {
      Counter counter = new Counter();
      try (KafkaProducer<byte[], byte[]> producer = producer();
          KafkaConsumer<byte[], byte[]> consumer = consumer()) {
        consumer.subscribe(List.of("images", "failures"));
        for (int from = 0;
            from < events && !job.getJobExecutionResult().isDone();
            from += AT_A_TIME) {
          send(producer, from, Math.min(events, from + AT_A_TIME), counter);
          // At most two portions are under way, so that the broker's share of the heap is small.
          counter.await(consumer, job, 2 * AT_A_TIME);
          if (from % 10_000 == 0) {
            System.out.println(from + ": " + counter.counts(true));
          }
        }
        counter.await(consumer, job, 0);
        counter.drain(consumer);
      }
      boolean ended = job.getJobExecutionResult().isDone();
      if (ended) {
        job.getJobExecutionResult()
            .whenComplete((result, failure) -> failure.printStackTrace(System.err));
      }
      return counter.counts(!ended);
    } finally {
      if (!job.getJobExecutionResult().isDone()) {
        job.cancel().get();
      }
    }
  }

  private StreamExecutionEnvironment define() {
    Configuration configuration =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(1))
            .set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem")
            .set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, checkpoints.toUri().toString())
            .set(RestartStrategyOptions.RESTART_STRATEGY, "none")
            .set(PipelineOptions.GENERIC_TYPES, false)
            .set(KafkaOptions.BOOTSTRAP_SERVERS, kafka.bootstrapServers())
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "mutated-events")
            .set(PayloadOptions.ALLOWED_PREFIXES, List.of(folder.toUri().toString()))
            .set(DiffusionOptions.DEFAULT_STEPS, 2)
            .set(DiffusionOptions.BATCH_ROWS, 16)
            .set(DiffusionOptions.REQUEST_MAX_PIXELS, 128L * 128)
            .set(DiffusionOptions.REQUEST_MAX_STEPS, 64)
            .set(DiffusionOptions.DEVICE, "cpu");
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(1, configuration);
    Decoded.Split<PromptEvent> prompts = source(env, DiffusionSources.prompts(), "prompts");
    Decoded.Split<ImageTaskEvent> tasks = source(env, DiffusionSources.imageTasks(), "tasks");
    Decoded.Split<CancelEvent> cancellations =
        source(env, DiffusionSources.cancellations(), "cancellations");
    DiffusionStreams drawn =
        Diffusion.textToImage()
            .setModel(MODELS.resolve("tiny-sd1").toString())
            .setDefaultScheduler("DDIMScheduler")
            .setDefaultSize(32, 32)
            .setCancellations(cancellations.events())
            .uid("draw")
            .apply(prompts.events());
    DiffusionStreams enlarged =
        Diffusion.imageTasks()
            .setModel(MODELS.resolve("tiny-ldm-super-resolution").toString())
            .setCancellations(cancellations.events())
            .uid("enlarge")
            .apply(tasks.events());
    drawn
        .images()
        .union(enlarged.images())
        .sinkTo(DiffusionSinks.images().setTopic("images").setFailuresTopic("failures").build(env));
    prompts
        .failures()
        .union(tasks.failures(), cancellations.failures(), drawn.failures(), enlarged.failures())
        .sinkTo(DiffusionSinks.failures().setTopic("failures").build(env));
    return env;
  }

  private static <T extends SpecificRecord> Decoded.Split<T> source(
      StreamExecutionEnvironment env, EventSourceBuilder<T> source, String topic) {
    return Decoded.split(
        env.fromSource(source.setTopics(topic).build(env), WatermarkStrategy.noWatermarks(), topic)
            .uid(topic));
  }

  private void send(KafkaProducer<byte[], byte[]> producer, int from, int to, Counter counter)
      throws Exception {
    for (int number = from; number < to; number++) {
      EventMutations.Mutated event = mutations.event(number);
      String topic =
          switch (event.kind()) {
            case PROMPT -> "prompts";
            case IMAGE_TASK -> "tasks";
            case CANCELLATION -> "cancellations";
          };
      RecordMetadata place = producer.send(new ProducerRecord<>(topic, event.value())).get();
      counter.sent(event, place);
    }
  }

  private KafkaProducer<byte[], byte[]> producer() {
    Properties properties = new Properties();
    properties.setProperty("bootstrap.servers", kafka.bootstrapServers());
    properties.setProperty("max.request.size", "16777216");
    return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
  }

  private KafkaConsumer<byte[], byte[]> consumer() {
    Properties properties = new Properties();
    properties.setProperty("bootstrap.servers", kafka.bootstrapServers());
    properties.setProperty("group.id", "count");
    properties.setProperty("auto.offset.reset", "earliest");
    properties.setProperty("isolation.level", "read_committed");
    return new KafkaConsumer<>(
        properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  /** Crosses answers off those that are expected. */
  private final class Counter {
    private int requests;
    private int images;
    private int failures;
    private int twice;
    private int open;

    void sent(EventMutations.Mutated event, RecordMetadata place) {
      String id = null;
      try {
        if (event.value() != null) {
          switch (event.kind()) {
            case PROMPT -> id = EventCodec.prompts().decode(event.value()).getId();
            case IMAGE_TASK -> id = EventCodec.imageTasks().decode(event.value()).getId();
            case CANCELLATION -> {
              EventCodec.cancellations().decode(event.value());
              return; // not answered itself
            }
          }
        }
      } catch (UndecodableEventException e) {
        // answered by the place
      }
      requests++;
      open++;
      if (id == null || id.length() > LONGEST_ID) {
        places.add(place(place.topic(), place.partition(), place.offset()));
      } else {
        ids.merge(id, 1, Integer::sum);
      }
    }

    private static String place(String topic, int partition, long offset) {
      return topic + "/" + partition + "/" + offset;
    }

    void await(KafkaConsumer<byte[], byte[]> consumer, JobClient job, int most) throws Exception {
      long last = System.nanoTime();
      while (open > most
          && !job.getJobExecutionResult().isDone()
          && System.nanoTime() - last < PATIENCE.toNanos()) {
        int before = open;
        poll(consumer, Duration.ofMillis(500));
        last = open < before ? System.nanoTime() : last;
      }
    }

    /** What there is beyond the last answer that is expected would be one too many. */
    void drain(KafkaConsumer<byte[], byte[]> consumer) throws Exception {
      for (int i = 0; i < 6; i++) {
        poll(consumer, Duration.ofMillis(500));
      }
    }

    private void poll(KafkaConsumer<byte[], byte[]> consumer, Duration time) throws Exception {
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(time)) {
        if (record.topic().equals("images")) {
          ImageEvent image = EventCodec.images().decode(record.value());
          images++;
          answered(image.getId(), null);
        } else {
          FailureEvent failure = EventCodec.failures().decode(record.value());
          failures++;
          answered(
              failure.getId(),
              failure.getTopic() == null
                  ? null
                  : place(failure.getTopic(), failure.getPartition(), failure.getOffset()));
        }
      }
    }

    /** By the id where there is one, since a result names no place. */
    private void answered(String id, String place) {
      Integer expected = id == null ? null : ids.get(id);
      if (expected != null) {
        open--;
        if (expected == 1) {
          ids.remove(id);
        } else {
          ids.put(id, expected - 1);
        }
      } else if (place != null && places.remove(place)) {
        open--;
      } else {
        twice++;
      }
    }

    Counts counts(boolean running) {
      return new Counts(requests, images, failures, open, twice, running);
    }
  }
}
