package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import java.time.Duration;
import java.util.Objects;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;

/**
 * Builds the operator that makes pictures from prompts. What is not set here is taken from the
 * job's configuration, see {@link DiffusionOptions}.
 */
public final class TextToImage {
  private final Configuration set = new Configuration();
  private PipelineFactory pipeline;
  private String name = "text to image";
  private String uid;
  private String slotSharingGroup;
  private Integer parallelism;

  TextToImage() {}

  /** {@link DiffusionOptions#MODEL_FOLDER}. */
  public TextToImage model(String folder) {
    return option(DiffusionOptions.MODEL_FOLDER, folder);
  }

  /** {@link DiffusionOptions#MODEL_PRECISION}. */
  public TextToImage precision(StorageType precision) {
    return option(DiffusionOptions.MODEL_PRECISION, precision);
  }

  /** A pipeline of one's own in place of a model folder. */
  public TextToImage pipeline(PipelineFactory factory) {
    pipeline = Objects.requireNonNull(factory);
    return this;
  }

  /** {@link DiffusionOptions#DEVICE}. */
  public TextToImage device(String device) {
    return option(DiffusionOptions.DEVICE, device);
  }

  /** {@link DiffusionOptions#CAPACITY}. */
  public TextToImage capacity(int requests) {
    return option(DiffusionOptions.CAPACITY, requests);
  }

  /** {@link DiffusionOptions#BATCH_ROWS}. */
  public TextToImage batchRows(int rows) {
    return option(DiffusionOptions.BATCH_ROWS, rows);
  }

  /** {@link DiffusionOptions#BATCH_AGING}. */
  public TextToImage batchAging(Duration headStartOfOnePriority) {
    return option(DiffusionOptions.BATCH_AGING, headStartOfOnePriority);
  }

  /** {@link DiffusionOptions#OUTPUT_ORDER}. */
  public TextToImage outputOrder(OutputOrder order) {
    return option(DiffusionOptions.OUTPUT_ORDER, order);
  }

  /** {@link DiffusionOptions#REQUEST_TIMEOUT}. */
  public TextToImage requestTimeout(Duration timeout) {
    return option(DiffusionOptions.REQUEST_TIMEOUT, timeout);
  }

  /** {@link DiffusionOptions#DEFAULT_STEPS}. */
  public TextToImage defaultSteps(int steps) {
    return option(DiffusionOptions.DEFAULT_STEPS, steps);
  }

  /** {@link DiffusionOptions#DEFAULT_GUIDANCE_SCALE}. */
  public TextToImage defaultGuidanceScale(double scale) {
    return option(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, scale);
  }

  /** {@link DiffusionOptions#DEFAULT_SCHEDULER}. */
  public TextToImage defaultScheduler(String scheduler) {
    return option(DiffusionOptions.DEFAULT_SCHEDULER, scheduler);
  }

  /** {@link DiffusionOptions#DEFAULT_WIDTH} and {@link DiffusionOptions#DEFAULT_HEIGHT}. */
  public TextToImage defaultSize(int width, int height) {
    return option(DiffusionOptions.DEFAULT_WIDTH, width)
        .option(DiffusionOptions.DEFAULT_HEIGHT, height);
  }

  /** {@link DiffusionOptions#PROGRESS_EVERY_STEPS}. */
  public TextToImage progressEverySteps(int steps) {
    return option(DiffusionOptions.PROGRESS_EVERY_STEPS, steps);
  }

  /** {@link DiffusionOptions#ENCODING_THREADS}. */
  public TextToImage encodingThreads(int threads) {
    return option(DiffusionOptions.ENCODING_THREADS, threads);
  }

  /** Any of {@link DiffusionOptions}. */
  public <T> TextToImage option(ConfigOption<T> option, T value) {
    set.set(option, value);
    return this;
  }

  /** The operator's name in Flink's UI and metrics. */
  public TextToImage name(String operatorName) {
    name = Objects.requireNonNull(operatorName);
    return this;
  }

  /**
   * The operator's identity in savepoints. Set it: without one, a change elsewhere in the job makes
   * Flink lose the requests in flight, or refuse the savepoint.
   */
  public TextToImage uid(String operatorUid) {
    uid = Objects.requireNonNull(operatorUid);
    return this;
  }

  /** Puts the operator into slots of its own, e.g. on task managers that have GPUs. */
  public TextToImage slotSharingGroup(String group) {
    slotSharingGroup = Objects.requireNonNull(group);
    return this;
  }

  /** Subtasks; those in one process on one device share a model and its calls. */
  public TextToImage parallelism(int subtasks) {
    parallelism = subtasks;
    return this;
  }

  /**
   * Adds the operator to the job.
   *
   * @throws DiffusionException when a setting is missing or not accepted
   */
  public DiffusionStreams apply(DataStream<PromptEvent> prompts) {
    ReadableConfig job = prompts.getExecutionEnvironment().getConfiguration();
    Configuration config = new Configuration();
    DiffusionOptions.ALL.forEach(option -> copy(option, job, config));
    DiffusionOptions.ALL.forEach(option -> copy(option, set, config));
    SingleOutputStreamOperator<ImageEvent> images =
        prompts.transform(
            name,
            new AvroTypeInfo<>(ImageEvent.class),
            new DiffusionOperatorFactory(pipelines(config), DiffusionSettings.of(config)));
    if (uid != null) {
      images.uid(uid);
    }
    if (slotSharingGroup != null) {
      images.slotSharingGroup(slotSharingGroup);
    }
    if (parallelism != null) {
      images.setParallelism(parallelism);
    }
    return new DiffusionStreams(
        images,
        images.getSideOutput(DiffusionOperator.FAILURES),
        images.getSideOutput(DiffusionOperator.PROGRESS));
  }

  /** What was set here. */
  Configuration settings() {
    return set;
  }

  private PipelineFactory pipelines(ReadableConfig config) {
    if (pipeline != null) {
      return pipeline;
    }
    String folder =
        config
            .getOptional(DiffusionOptions.MODEL_FOLDER)
            .orElseThrow(
                () ->
                    new DiffusionException(
                        "Text to image needs a model: call model(folder) with a folder in diffusers'"
                            + " layout, or set "
                            + DiffusionOptions.MODEL_FOLDER.key()
                            + "."));
    return new ModelFolderPipelines(folder, config.get(DiffusionOptions.MODEL_PRECISION));
  }

  private static <T> void copy(ConfigOption<T> option, ReadableConfig from, Configuration to) {
    from.getOptional(option).ifPresent(value -> to.set(option, value));
  }
}
