/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.examples.gallery.Gallery;
import io.github.flinkdiffusion.examples.gallery.GalleryException;
import io.github.flinkdiffusion.examples.gallery.GalleryTopics;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RpcOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerRecord;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * A page to type prompts and drop images, and to look at what comes of them. Ends with Ctrl-C.
 *
 * <p>Exit codes: 0 when it was ended, 1 when something failed, with one line on standard error that
 * says what; 2 when the arguments are wrong.
 */
@Command(
    name = "examples/gallery",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Serves a page on http://localhost:8080 to type prompts and drop images, and to watch the"
          + " results: previews step by step, audit records, replays, dead letters, votes.",
      "Starts a Kafka broker and a job of three models in this process. With --bootstrap-servers it"
          + " starts neither, and shows the topics of a job that runs elsewhere. The page is for"
          + " this machine only; reach it from another one by an ssh tunnel.",
      ""
    })
public final class GalleryDemo implements Callable<Integer> {
  private static final Duration CHECKPOINTS = Duration.ofSeconds(1);
  private static final Duration RPC_TIMEOUT = Duration.ofMinutes(2);
  private static final int FIRST_PROMPTS = 12;
  private static final int DEFAULT_STEPS = 25;
  private static final int BATCH_ROWS = 8;
  private static final List<String> ENLARGED = List.of("himalaya.png", "java.png");
  private static final List<String> SEGMENTED = List.of("slice-60.png", "slice-96.png");

  @Mixin private HelpOption help;

  @Option(
      names = "--port",
      paramLabel = "N",
      defaultValue = "8080",
      description =
          "Where the page is, on localhost; 0 for any free one (default: ${DEFAULT-VALUE}).")
  private int port;

  @Mixin private PromptModel model;

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "auto",
      description = "auto, cpu or gpu:N (default: ${DEFAULT-VALUE}).")
  private String device;

  @Option(
      names = "--out",
      paramLabel = "FOLDER",
      defaultValue = "out",
      description = "Where the log and large images go (default: ${DEFAULT-VALUE}).")
  private Path out;

  @Option(names = "--empty", description = "Begin without the example requests.")
  private boolean empty;

  @Option(
      names = "--real",
      paramLabel = "FOLDER",
      description = "Images that no model made; votes compare generated ones with them, blind.")
  private Path real;

  @Option(
      names = "--bootstrap-servers",
      paramLabel = "HOST:PORT",
      description = "Show the topics of this Kafka, instead of starting one and a job.")
  private String bootstrapServers;

  @Option(
      names = "--topic-prefix",
      paramLabel = "PREFIX",
      defaultValue = "gallery-",
      description =
          "The topics are PREFIXprompts, PREFIXimage-tasks, PREFIXcancellations, PREFIXimages,"
              + " PREFIXfailures, PREFIXprogress and PREFIXvotes (default: ${DEFAULT-VALUE}). Of"
              + " those, images must exist, votes is created, and the page does without the"
              + " others.")
  private String topicPrefix;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      converter = ResendTool.FormatConverter.class,
      description =
          "With --bootstrap-servers: the topics' format, as diffusion.kafka.sink.format (default:"
              + " reads Avro and JSON, writes Avro).")
  private EventFormat format;

  @Mixin private RegistryOption registry;

  @Option(
      names = "--payloads",
      paramLabel = "URI",
      description =
          "With --bootstrap-servers: folder below which images may lie that an event names; may be"
              + " given several times.")
  private List<String> payloads = List.of();

  @Option(
      names = "--kafka-property",
      paramLabel = "KEY=VALUE",
      description = "A property of the Kafka clients, such as security.protocol=SSL.")
  private Map<String, String> kafkaProperties = new HashMap<>();

  private final CountDownLatch end = new CountDownLatch(1);

  private GalleryDemo() {}

  public static void main(String[] args) {
    DemoCommand.main(new GalleryDemo(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new GalleryDemo(), args);
  }

  @Override
  public Integer call() throws Exception {
    OutputFolder.existing(out);
    try {
      Gallery.requireFree(port);
    } catch (GalleryException e) {
      throw new DemoException(e.getMessage(), e);
    }
    DemoCommand.logTo(out.resolve(OutputFolder.LOG));
    if (bootstrapServers == null) {
      runWithJob();
    } else {
      runOnTopics();
    }
    return 0;
  }

  private void runOnTopics() throws Exception {
    Properties client = client(bootstrapServers);
    GalleryTopics topics = GalleryTopics.withPrefix(topicPrefix);
    FormatSettings settings = registry.settings(format);
    PayloadStore store =
        new PayloadStore(
            PayloadSettings.of(new Configuration().set(PayloadOptions.ALLOWED_PREFIXES, payloads)));
    serve(
        new Gallery.Settings(
            client,
            topics,
            settings,
            store,
            real,
            // Which words the job's model knows is not known here.
            Gallery.Hints.NONE,
            new GalleryResender(client, topics.failures(), settings),
            new GalleryReplayer(ownModels(), payloads, device),
            port),
        null);
  }

  private void runWithJob() throws Exception {
    Path home = Path.of(System.getProperty("flinkdiffusion.home", "."), "examples/models");
    Map<String, Path> tasks = new LinkedHashMap<>();
    tasks.put("enlarge", home.resolve("mini-satellite-x4"));
    tasks.put("segment", home.resolve("mini-brain-mask"));
    GalleryTopics topics =
        GalleryTopics.withPrefix(
            topicPrefix,
            List.of(
                new GalleryTopics.Task(
                    "enlarge", "Enlarge 4x (satellite)", topicPrefix + "enlarge-tasks", 4, 2),
                new GalleryTopics.Task(
                    "segment", "Find the brain (MRI slice)", topicPrefix + "segment-tasks", 4, 4)));
    ModelFolder promptModel = ModelFolder.open(model.folder());
    System.err.printf("Starting Kafka and Flink with %s%n", promptModel.name());
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start();
        TemporaryFolder state = TemporaryFolder.create("flink-diffusion-gallery")) {
      kafka.createTopics(1, topics.ofTheJob().toArray(new String[0]));
      String folder = out.resolve("payloads").toAbsolutePath().toUri().toString();
      Configuration settings = settings(kafka.bootstrapServers(), state, folder);
      StreamExecutionEnvironment env =
          StreamExecutionEnvironment.createLocalEnvironment(1, settings);
      new GalleryJob(topics, model.folder().toAbsolutePath(), tasks).define(env);
      JobClient job = env.executeAsync("gallery");
      try {
        if (!empty) {
          sendExamples(
              kafka, topics, tasks, model.words().map(ModelWords::prompts).orElse(List.of()));
        }
        Properties client = client(kafka.bootstrapServers());
        serve(
            new Gallery.Settings(
                client,
                topics,
                null,
                new PayloadStore(PayloadSettings.of(settings)),
                real,
                hints(model.folder()),
                new GalleryResender(client, topics.failures(), null),
                new GalleryReplayer(ownModels(), List.of(folder), device),
                port),
            job);
      } finally {
        if (!job.getJobExecutionResult().isDone()) {
          job.cancel().get();
          job.getJobExecutionResult().handle((result, cancelled) -> null).get();
        }
      }
    }
  }

  /** Until Ctrl-C, or the job's end. */
  private void serve(Gallery.Settings settings, JobClient job)
      throws IOException, InterruptedException, ExecutionException {
    Thread hook = new Thread(end::countDown, "gallery-end");
    Runtime.getRuntime().addShutdownHook(hook);
    try (Gallery gallery = Gallery.start(settings)) {
      System.out.printf("The gallery is at %s%nCtrl-C ends it.%n", gallery.address());
      if (job != null) {
        job.getJobExecutionResult().whenComplete((result, failed) -> end.countDown());
      }
      end.await();
    } catch (GalleryException e) {
      throw new DemoException(e.getMessage(), e);
    }
    if (job != null && job.getJobExecutionResult().isDone()) {
      job.getJobExecutionResult().get();
      throw new DemoException("The Flink job ended.");
    }
  }

  private Properties client(String servers) {
    Properties client = new Properties();
    client.putAll(Topics.PATIENCE);
    client.putAll(kafkaProperties);
    client.setProperty("bootstrap.servers", servers);
    return client;
  }

  private Configuration settings(String servers, TemporaryFolder state, String payloadFolder)
      throws IOException {
    Files.createDirectories(out.resolve("payloads"));
    Configuration settings =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, CHECKPOINTS)
            .set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem")
            .set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, state.path().toUri().toString())
            // Models are loaded meanwhile, which may take all processors.
            .set(RpcOptions.ASK_TIMEOUT_DURATION, RPC_TIMEOUT)
            .set(KafkaOptions.BOOTSTRAP_SERVERS, servers)
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "gallery")
            .set(DiffusionOptions.DEVICE, device)
            .set(DiffusionOptions.DEFAULT_STEPS, DEFAULT_STEPS)
            .set(DiffusionOptions.PROGRESS_EVERY_STEPS, 1)
            .set(DiffusionOptions.PREVIEW_EVERY_STEPS, 1)
            .set(PayloadOptions.STORE, payloadFolder);
    model
        .words()
        .ifPresent(
            words -> {
              words
                  .guidance()
                  .ifPresent(scale -> settings.set(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, scale));
              // Measuring three models' devices would delay the first image, and those with few
              // words are small.
              settings.set(DiffusionOptions.BATCH_ROWS, BATCH_ROWS);
            });
    return settings;
  }

  /** So that the first look is not at an empty wall. */
  private static void sendExamples(
      EmbeddedKafka kafka, GalleryTopics topics, Map<String, Path> tasks, List<String> prompts)
      throws IOException {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (String prompt : prompts.subList(0, Math.min(FIRST_PROMPTS, prompts.size()))) {
      PromptEvent event =
          PromptEvent.newBuilder()
              .setId("example-%02d".formatted(records.size() + 1))
              .setPrompt(prompt)
              .setSeed((long) records.size() + 1)
              .build();
      records.add(record(topics.prompts(), event.getId(), EventCodec.prompts().encode(event)));
    }
    for (GalleryTopics.Task task : topics.tasks()) {
      for (String name : task.name().equals("enlarge") ? ENLARGED : SEGMENTED) {
        byte[] file = Files.readAllBytes(tasks.get(task.name()).resolve("inputs").resolve(name));
        ImageTaskEvent event =
            ImageTaskEvent.newBuilder()
                .setId("example-" + name.substring(0, name.indexOf('.')))
                .setImage(Payloads.inline(file, "image/png"))
                .setSeed(1L)
                .setAttributes(Map.of("name", name))
                .setSteps(task.steps())
                .setEnsembleSize(task.samples())
                .build();
        records.add(record(task.topic(), event.getId(), EventCodec.imageTasks().encode(event)));
      }
    }
    kafka.send(records);
  }

  private static ProducerRecord<byte[], byte[]> record(String topic, String id, byte[] value) {
    return new ProducerRecord<>(topic, id.getBytes(StandardCharsets.UTF_8), value);
  }

  private static Gallery.Hints hints(Path model) {
    return ModelWords.of(model)
        .map(words -> new Gallery.Hints(words.form(), words.prompts(), words.groups()))
        .orElse(Gallery.Hints.NONE);
  }

  /** Those that come with the project, and the one that was given. */
  private Map<String, Path> ownModels() throws IOException {
    Path home = Path.of(System.getProperty("flinkdiffusion.home", "."), "examples/models");
    Map<String, Path> models = new LinkedHashMap<>();
    try (var folders = Files.list(home)) {
      folders.forEach(folder -> models.put(folder.getFileName().toString(), folder));
    }
    models.put(ModelFolder.open(model.folder()).name(), model.folder());
    return models;
  }
}
