/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.stream.Stream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiter;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * One life of a job that serves three models with memory for two, and changes the versions of one
 * of them, through a Flink cluster in this process. It goes on from the last checkpoint that an
 * earlier life has left. It prints a line for each checkpoint, and writes all results into a file
 * at the end: they are state until then, so each is there exactly once.
 */
final class ServingProgram {
  static final int REQUESTS = 96;
  private static final int PER_CHECKPOINT = 6;
  private static final Duration INTERVAL = Duration.ofMillis(250);

  /** By number of the checkpoint, roughly. */
  private static final Map<Integer, ModelEvent> EVENTS =
      Map.of(
          1, event("to-2").setVersion("2").setFolder("models/v2").build(),
          2, event("missing").setVersion("9").setFolder("models/v9").build(),
          4, event("to-3").setVersion("3").setFolder("models/v3").build(),
          6, event("back").setVersion("configured").build(),
          8, event("to-2-again").setVersion("2").build());

  private ServingProgram() {}

  private static ModelEvent.Builder event(String id) {
    return ModelEvent.newBuilder().setId(id);
  }

  /**
   * @param arguments a folder with {@code models} v1, v2, v3, b and c, where checkpoints and
   *     results are written
   */
  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    Path checkpoints = folder.resolve("checkpoints");
    Configuration settings = new Configuration();
    settings.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, INTERVAL);
    settings.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, checkpoints.toUri().toString());
    settings.set(
        CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION,
        ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
    settings.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    latest(checkpoints)
        .ifPresent(path -> settings.set(StateRecoveryOptions.SAVEPOINT_PATH, path.toString()));
    settings.set(DiffusionOptions.DEVICE, "cpu");
    settings.set(DiffusionOptions.BATCH_ROWS, 8);
    settings.set(DiffusionOptions.MODEL_FOLDER, folder.resolve("models/v1").toString());
    settings.set(
        DiffusionOptions.MODELS,
        Stream.of("b", "c").map(name -> name + "=" + folder.resolve("models/" + name)).toList());
    long bytes = new ModelFolderPipelines(ModelSettings.of(settings)).bytes("cpu");
    long budget = 2 * bytes + bytes / 2;
    settings.set(DiffusionOptions.MODELS_MEMORY, new MemorySize(budget));
    settings.set(DiffusionOptions.MODELS_TURN, Duration.ofMillis(100));

    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(settings);
    env.setParallelism(2);
    DiffusionStreams streams =
        Diffusion.textToImage()
            .uid("images")
            .setCapacity(8)
            .setModelEvents(events(env, folder))
            .apply(prompts(env));
    DataStream<String> images =
        streams.images().map(ServingProgram::line).returns(Types.STRING).uid("image-lines");
    DataStream<String> failures =
        streams.failures().map(ServingProgram::line).returns(Types.STRING).uid("failure-lines");
    images
        .union(failures)
        .transform("results", Types.VOID, new Results(folder.resolve("results").toString(), budget))
        .setParallelism(1)
        .uid("results");
    env.execute("serving");
    System.out.println("unloads " + unloads(folder));
  }

  private static long unloads(Path folder) {
    try (Stream<Path> models = Files.list(folder.resolve("models"))) {
      return models
          .mapToLong(
              model ->
                  ModelPool.ofProcess().counts("cpu", model.toAbsolutePath().toString()).unloads())
          .sum();
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Optional<Path> latest(Path checkpoints) throws IOException {
    if (!Files.exists(checkpoints)) {
      return Optional.empty();
    }
    try (Stream<Path> files = Files.walk(checkpoints, 3)) {
      return files
          .filter(file -> file.getFileName().toString().equals("_metadata"))
          .max(Comparator.comparing(file -> file.toFile().lastModified()))
          .map(Path::getParent);
    }
  }

  private static DataStream<PromptEvent> prompts(StreamExecutionEnvironment env) {
    return env.fromSource(
            new DataGeneratorSource<>(
                number -> prompt(number.intValue()),
                REQUESTS,
                parallelism -> new Portions<>(PER_CHECKPOINT / parallelism),
                new AvroTypeInfo<>(PromptEvent.class)),
            WatermarkStrategy.noWatermarks(),
            "prompts")
        .uid("prompts");
  }

  private static PromptEvent prompt(int number) {
    return PromptEvent.newBuilder()
        .setId("r" + number)
        .setPrompt("a moon")
        .setSteps(3 + number % 4)
        .setParameters(Map.of("model", List.of("default", "default", "b", "c").get(number % 4)))
        .build();
  }

  /** One number for each checkpoint; some of them are events. */
  private static DataStream<ModelEvent> events(StreamExecutionEnvironment env, Path folder) {
    String place = folder.toString();
    return env.fromSource(
            new DataGeneratorSource<>(
                number -> number,
                REQUESTS / PER_CHECKPOINT,
                parallelism -> new Portions<>(1),
                Types.LONG),
            WatermarkStrategy.noWatermarks(),
            "ticks")
        .uid("ticks")
        .setParallelism(1)
        .filter(number -> EVENTS.containsKey(number.intValue()))
        .uid("some-ticks")
        .setParallelism(1)
        .map(
            number -> {
              ModelEvent event = EVENTS.get(number.intValue());
              return event.getFolder() == null
                  ? event
                  : ModelEvent.newBuilder(event).setFolder(place + "/" + event.getFolder()).build();
            })
        .returns(new AvroTypeInfo<>(ModelEvent.class))
        .uid("events")
        .setParallelism(1);
  }

  private static String line(ImageEvent image) {
    return "image %s %s %s %s"
        .formatted(
            image.getId(),
            image.getModel(),
            image.getModelDigest(),
            image.getAudit().getModelDigest());
  }

  private static String line(FailureEvent failure) {
    return "failure %s %s".formatted(failure.getId(), failure.getMessage());
  }

  /**
   * So many records after each checkpoint, as Flink's own limiter gives them, which fails when a
   * checkpoint completes before its first record.
   */
  private static final class Portions<S extends SourceSplit> implements RateLimiter<S> {
    private final int size;
    private int left;
    private CompletableFuture<Void> next = new CompletableFuture<>();

    Portions(int size) {
      this.size = size;
      this.left = size;
    }

    @Override
    public CompletionStage<Void> acquire(int records) {
      if (left > 0) {
        left -= records;
        return CompletableFuture.completedFuture(null);
      }
      return next.thenRun(() -> left -= records);
    }

    @Override
    public void notifyCheckpointComplete(long id) {
      CompletableFuture<Void> portion = next;
      next = new CompletableFuture<>();
      left = size;
      portion.complete(null);
    }
  }

  /** All that came out, in its state; in a file at the end. */
  private static final class Results extends AbstractStreamOperator<Void>
      implements OneInputStreamOperator<String, Void>, BoundedOneInput {
    private static final long serialVersionUID = 1L;

    private final String file;
    private final long budget;
    private transient ListState<String> state;
    private transient int count;

    Results(String file, long budget) {
      this.file = file;
      this.budget = budget;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
      super.initializeState(context);
      state =
          context
              .getOperatorStateStore()
              .getListState(new ListStateDescriptor<>("lines", Types.STRING));
      for (String line : state.get()) {
        count++;
      }
    }

    @Override
    public void processElement(StreamRecord<String> element) throws Exception {
      state.add(element.getValue());
      count++;
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
      super.snapshotState(context);
    }

    @Override
    public void notifyCheckpointComplete(long id) throws Exception {
      super.notifyCheckpointComplete(id);
      System.out.printf(
          "checkpoint %d: %d results, %d of %d bytes%n",
          id, count, ModelPool.ofProcess().mostBytes("cpu"), budget);
    }

    @Override
    public void endInput() throws Exception {
      Files.write(Path.of(file), (Iterable<String>) state.get());
    }
  }
}
