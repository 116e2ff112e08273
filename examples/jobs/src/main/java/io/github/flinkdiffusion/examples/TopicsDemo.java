/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.format.EventJson;
import io.github.flinkdiffusion.connector.kafka.Delivery;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.operator.PromptCheck;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.Stream;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.TimeUtils;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * A broker and the job, for prompts in JSON from any producer; each image that becomes visible is a
 * file. Also a small console producer.
 */
@Command(
    name = "examples/topics",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Starts a Kafka broker and the text-to-image job, both in this process and both for JSON, and"
          + " writes each image that becomes visible to a file, until Ctrl-C.",
      "",
      "With --send it is a console producer instead: every line of standard input is a record of"
          + " the topic prompts, as kafka-console-producer.sh would send it. A line is"
          + " {\"prompt\": \"a heart\"}.",
      ""
    })
public final class TopicsDemo implements Callable<Integer> {
  private static final Duration POLL = Duration.ofMillis(20);
  private static final int MAX_KNOWN = 100_000;
  private static final int NAME_CHARS = 80;
  private static final int PROMPT_CHARS = 100;
  private static final double MANY = 0.95;

  @Mixin private HelpOption help;

  @Option(names = "--send", description = "Send the lines of standard input, and exit.")
  private boolean send;

  @Option(
      names = "--every",
      paramLabel = "DURATION",
      converter = TimeOption.Span.class,
      description = "With --send: a pause after each line, such as '500 ms'.")
  private Duration pause = Duration.ZERO;

  @Option(
      names = "--port",
      paramLabel = "N",
      defaultValue = "9092",
      description = "Where the broker listens, on localhost (default: ${DEFAULT-VALUE}).")
  private int port;

  @Option(
      names = "--out",
      paramLabel = "FOLDER",
      description =
          "Where the images go: a folder that is empty or not there (default: out, or out-2 and so"
              + " on if that exists).")
  private Path out;

  @Mixin private PromptModel model;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "25",
      description = "Denoising steps of prompts that do not set them (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--guidance",
      paramLabel = "SCALE",
      description =
          "Guidance scale of prompts that do not set it (default: what the model's vocabulary.json"
              + " says, else the job's).")
  private Double guidance;

  @Option(
      names = "--delivery",
      paramLabel = "DELIVERY",
      defaultValue = "exactly-once",
      description =
          "exactly-once: visible with the next checkpoint. at-least-once: visible at once (default:"
              + " ${DEFAULT-VALUE}).")
  private String delivery;

  @Option(
      names = "--checkpoints",
      paramLabel = "DURATION",
      defaultValue = "1 s",
      converter = TimeOption.Span.class,
      description = "Time between checkpoints (default: ${DEFAULT-VALUE}).")
  private Duration checkpoints;

  @Option(
      names = "-D",
      paramLabel = "KEY=VALUE",
      description =
          "Option of the job, of docs/OPTIONS.md or Flink's own, such as"
              + " -Ddiffusion.loras.allowed=style=/loras/style.safetensors; may be given several"
              + " times.")
  private Map<String, String> jobOptions = new LinkedHashMap<>();

  @Option(
      names = "--until",
      paramLabel = "N",
      description = "Exit after this many answers, and print how long they took.")
  private Integer until;

  private TopicsDemo() {}

  public static void main(String[] args) {
    DemoCommand.main(new TopicsDemo(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new TopicsDemo(), args);
  }

  @Override
  public Integer call() throws Exception {
    if (send) {
      sendLines("localhost:" + port);
      return 0;
    }
    Delivery chosen =
        Arrays.stream(Delivery.values())
            .filter(each -> each.toString().equals(delivery))
            .findFirst()
            .orElseThrow(
                () ->
                    new DemoException(
                        "--delivery is '%s'; it takes %s."
                            .formatted(delivery, Arrays.toString(Delivery.values()))));
    if (!Files.exists(model.folder())) {
      throw new DemoException("There is no model at %s.".formatted(model.folder()));
    }
    // What is wrong with the options is found before anything starts.
    PromptCheck.of(settings("localhost:" + port, chosen, Path.of("")));
    OutputFolder.check(out);
    OutputFolder folder = OutputFolder.create(out);
    DemoCommand.logTo(folder.path().resolve(OutputFolder.LOG));
    Topics topics = Topics.withPrefix("");
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().port(port).start();
        TemporaryFolder state = TemporaryFolder.create("flink-diffusion-checkpoints")) {
      topics.createMissing(kafka.bootstrapServers(), 1);
      StreamExecutionEnvironment env =
          StreamExecutionEnvironment.createLocalEnvironment(
              1, settings(kafka.bootstrapServers(), chosen, state.path()));
      TextToImageJob.create().define(env, topics);
      JobClient job = env.executeAsync("topics");
      try {
        System.out.printf(
            "Kafka listens at %s. Send lines such as {\"prompt\": \"a heart\"} to the topic"
                + " prompts:%n  examples/topics --send%n  kafka-console-producer.sh"
                + " --bootstrap-server %s --topic prompts   (part of Kafka:"
                + " kafka.apache.org/downloads)%nImages go to the topic images and to %s. Ctrl-C"
                + " ends it.%n",
            kafka.bootstrapServers(), kafka.bootstrapServers(), folder.path());
        watch(kafka.bootstrapServers(), topics, job, folder);
      } finally {
        if (!job.getJobExecutionResult().isDone()) {
          job.cancel().get();
          job.getJobExecutionResult().handle((result, cancelled) -> null).get();
        }
      }
    }
    return 0;
  }

  private Configuration settings(String servers, Delivery chosen, Path state) {
    Configuration settings =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, checkpoints)
            .set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem")
            .set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, state.toUri().toString())
            .set(KafkaOptions.BOOTSTRAP_SERVERS, servers)
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "topics")
            .set(KafkaOptions.SOURCE_FORMAT, EventFormat.JSON)
            .set(KafkaOptions.SINK_FORMAT, EventFormat.JSON)
            .set(KafkaOptions.DELIVERY, chosen)
            .set(DiffusionOptions.MODEL_FOLDER, model.folder().toAbsolutePath().toString())
            .set(DiffusionOptions.DEFAULT_STEPS, steps);
    OptionalDouble scale =
        guidance != null
            ? OptionalDouble.of(guidance)
            : model.words().map(ModelWords::guidance).orElse(OptionalDouble.empty());
    scale.ifPresent(each -> settings.set(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, each));
    jobOptions.forEach(
        (key, value) -> {
          if (settings.containsKey(key)) {
            throw new DemoException(
                "-D%s is an option that examples/topics sets itself; --help lists its own."
                    .formatted(key));
          }
          settings.setString(key, value);
        });
    KnownOptions.refuseUnreadable(settings);
    return settings;
  }

  private void sendLines(String servers) throws IOException, InterruptedException {
    Properties writing = new Properties();
    writing.setProperty("bootstrap.servers", servers);
    writing.setProperty("delivery.timeout.ms", "30000");
    writing.setProperty("request.timeout.ms", "10000");
    writing.setProperty("max.block.ms", "15000"); // for a broker that is not there
    int sent = 0;
    try (KafkaProducer<byte[], byte[]> producer =
            new KafkaProducer<>(writing, new ByteArraySerializer(), new ByteArraySerializer());
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (!line.isBlank()) {
          producer.send(new ProducerRecord<>("prompts", line.getBytes(UTF_8))).get();
          sent++;
          if (!pause.isZero()) {
            Thread.sleep(pause.toMillis());
          }
        }
      }
      System.out.printf(
          "Sent %s to the topic prompts at %s; the terminal of examples/topics shows the"
              + " answers.%n",
          Count.of(sent, "line"), servers);
    } catch (ExecutionException e) {
      throw new DemoException(
          "Cannot send to Kafka at %s: %s. Does examples/topics run?"
              .formatted(servers, e.getCause().getMessage()),
          e.getCause());
    }
  }

  /** Reads as any consumer would, requests too, for the time at which they were sent. */
  private void watch(String servers, Topics topics, JobClient job, OutputFolder folder)
      throws ExecutionException, InterruptedException {
    Properties reading = new Properties();
    reading.setProperty("bootstrap.servers", servers);
    reading.setProperty("isolation.level", "read_committed");
    List<TopicPartition> partitions =
        Stream.of(topics.requests(), topics.images(), topics.failures())
            .map(topic -> new TopicPartition(topic, 0))
            .toList();
    Map<String, Long> sent =
        new LinkedHashMap<>() {
          private static final long serialVersionUID = 1L;

          @Override
          protected boolean removeEldestEntry(Map.Entry<String, Long> eldest) {
            return size() > MAX_KNOWN;
          }
        };
    List<Long> millis = new ArrayList<>();
    int answers = 0;
    try (KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      while (until == null || answers < until) {
        if (job.getJobExecutionResult().isDone()) {
          job.getJobExecutionResult().get();
          throw new DemoException("The Flink job has ended.");
        }
        var records = consumer.poll(POLL);
        long now = System.currentTimeMillis();
        for (var record : records.records(partitions.get(0))) {
          sent.put(
              "%s-%d-%d".formatted(record.topic(), record.partition(), record.offset()),
              record.timestamp());
        }
        for (var record : records.records(partitions.get(1))) {
          answers++;
          ImageEvent image = read(ImageEvent.class, record);
          Long at = sent.get(image.getId());
          if (at != null) {
            millis.add(now - at);
          }
          System.out.printf(
              Locale.ROOT,
              "%s  %s%s%s%n",
              write(folder, image, answers),
              shortened(image.getPrompt()),
              image.getPromptTruncated()
                  ? "  (longer than the model reads; its end is not used)"
                  : "",
              at == null ? "" : "  (%.2f s)".formatted((now - at) / 1000.0));
        }
        for (var record : records.records(partitions.get(2))) {
          answers++;
          FailureEvent failure = read(FailureEvent.class, record);
          System.out.printf(
              "%s  %s: %s%n",
              failure.getId() == null ? place(failure) : failure.getId(),
              failure.getReason(),
              failure.getMessage());
        }
      }
    }
    if (!millis.isEmpty()) {
      millis.sort(null);
      System.out.printf(
          Locale.ROOT,
          "%s, visible after their prompts: median %d ms, 95 %% within %d ms, all within %d"
              + " ms (%s, checkpoints every %s)%n",
          Count.of(millis.size(), "image"),
          millis.get(millis.size() / 2),
          millis.get((int) Math.min(millis.size() - 1, Math.ceil(millis.size() * MANY) - 1)),
          millis.get(millis.size() - 1),
          delivery,
          TimeUtils.formatWithHighestUnit(checkpoints));
    }
  }

  private static <T extends SpecificRecord> T read(
      Class<T> eventClass, ConsumerRecord<byte[], byte[]> record) {
    try {
      return EventJson.of(eventClass).read(record.value(), null);
    } catch (UndecodableEventException e) {
      throw new DemoException(
          "Topic %s, offset %d: %s".formatted(record.topic(), record.offset(), e.getMessage()), e);
    }
  }

  /** As a prompt without an id is called. */
  private static String place(FailureEvent failure) {
    return "%s-%d-%d".formatted(failure.getTopic(), failure.getPartition(), failure.getOffset());
  }

  private static String shortened(String prompt) {
    return prompt.length() <= PROMPT_CHARS ? prompt : prompt.substring(0, PROMPT_CHARS) + "...";
  }

  /** An id is the sender's to choose, so of it only what any file system takes. */
  private static String write(OutputFolder folder, ImageEvent image, int number) {
    String id = image.getId().replaceAll("[^A-Za-z0-9_-]", "_");
    String name =
        "%04d-%s.png"
            .formatted(number, id.length() <= NAME_CHARS ? id : id.substring(0, NAME_CHARS));
    folder.write(name, image.getImage());
    return name;
  }
}
