package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.apache.flink.api.common.operators.SlotSharingGroup;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;

/**
 * Builds the operator that makes pictures from prompts. What is not set here is taken from the
 * job's configuration, see {@link DiffusionOptions} and {@link PayloadOptions}.
 */
public final class TextToImage {
  private final Configuration set = new Configuration();
  private PipelineFactory pipeline;
  private String name = "text to image";
  private String uid;
  private UnaryOperator<SingleOutputStreamOperator<ImageEvent>> slots = UnaryOperator.identity();
  private DataStream<CancelEvent> cancellations;
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

  /** {@link DiffusionOptions#MODEL_PIPELINE}. */
  public TextToImage pipelineClass(String diffusersClass) {
    return option(DiffusionOptions.MODEL_PIPELINE, diffusersClass);
  }

  /** {@link DiffusionOptions#MODEL_ARCHIVES}. */
  public TextToImage archives(String folder) {
    return option(DiffusionOptions.MODEL_ARCHIVES, folder);
  }

  /** {@link DiffusionOptions#MODEL_SAFETY_CHECKER}. */
  public TextToImage safetyChecker(boolean checks) {
    return option(DiffusionOptions.MODEL_SAFETY_CHECKER, checks);
  }

  /** {@link DiffusionOptions#MODEL_WATERMARK}. */
  public TextToImage watermark(boolean marks) {
    return option(DiffusionOptions.MODEL_WATERMARK, marks);
  }

  /** Adds one to {@link DiffusionOptions#MODEL_LORAS}. */
  public TextToImage lora(String file, double scale) {
    List<String> loras =
        new ArrayList<>(set.getOptional(DiffusionOptions.MODEL_LORAS).orElse(List.of()));
    loras.add(file + "=" + scale);
    return option(DiffusionOptions.MODEL_LORAS, loras);
  }

  /** {@link DiffusionOptions#MODEL_CONFIGS}. */
  public TextToImage configs(String folder) {
    return option(DiffusionOptions.MODEL_CONFIGS, folder);
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

  /** {@link DiffusionOptions#REQUEST_RETRIES}. */
  public TextToImage requestRetries(int times) {
    return option(DiffusionOptions.REQUEST_RETRIES, times);
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

  /** {@link DiffusionOptions#PREVIEW_EVERY_STEPS}. */
  public TextToImage previewEverySteps(int steps) {
    return option(DiffusionOptions.PREVIEW_EVERY_STEPS, steps);
  }

  /** {@link DiffusionOptions#ENCODING_THREADS}. */
  public TextToImage encodingThreads(int threads) {
    return option(DiffusionOptions.ENCODING_THREADS, threads);
  }

  /** {@link PayloadOptions#STORE}. */
  public TextToImage payloadStore(String uri) {
    return option(PayloadOptions.STORE, uri);
  }

  /** {@link PayloadOptions#INLINE_LIMIT}. */
  public TextToImage payloadInlineLimit(MemorySize limit) {
    return option(PayloadOptions.INLINE_LIMIT, limit);
  }

  /** Any of {@link DiffusionOptions} and {@link PayloadOptions}. */
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
    Objects.requireNonNull(group);
    slots = images -> images.slotSharingGroup(group);
    return this;
  }

  /**
   * Puts the operator into slots with resources of their own, e.g. one GPU each.
   *
   * <pre>{@code
   * SlotSharingGroup.newBuilder("gpu").setCpuCores(2).setTaskHeapMemoryMB(2048)
   *     .setExternalResource("gpu", 1).build()
   * }</pre>
   *
   * Flink then asks that all groups of the job say their resources, and rescales by restarting
   * only.
   */
  public TextToImage slotSharingGroup(SlotSharingGroup group) {
    Objects.requireNonNull(group);
    slots = images -> images.slotSharingGroup(group);
    return this;
  }

  /**
   * Takes requests back: each event here goes to all subtasks and ends the request of its id, which
   * becomes a failure with reason CANCELLED unless its picture was finished by then. Where events
   * have timestamps, as from Kafka, it also counts for requests that were sent before it and are
   * not read yet; others that it does not find are counted and otherwise ignored.
   *
   * <p>The job ends when both this stream and the prompts have ended.
   */
  public TextToImage cancellations(DataStream<CancelEvent> cancelled) {
    cancellations = Objects.requireNonNull(cancelled);
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
    for (List<ConfigOption<?>> options : List.of(DiffusionOptions.ALL, PayloadOptions.ALL)) {
      options.forEach(option -> copy(option, job, config));
      options.forEach(option -> copy(option, set, config));
    }
    SingleOutputStreamOperator<ImageEvent> images =
        slots.apply(transform(prompts, pipelines(config), DiffusionSettings.of(config)));
    if (uid != null) {
      images.uid(uid);
    }
    if (parallelism != null) {
      images.setParallelism(parallelism);
    }
    return new DiffusionStreams(
        images,
        images.getSideOutput(DiffusionOperator.FAILURES),
        images.getSideOutput(DiffusionOperator.PROGRESS));
  }

  private SingleOutputStreamOperator<ImageEvent> transform(
      DataStream<PromptEvent> prompts, PipelineFactory pipelines, DiffusionSettings settings) {
    AvroTypeInfo<ImageEvent> type = new AvroTypeInfo<>(ImageEvent.class);
    return cancellations == null
        ? prompts.transform(name, type, new DiffusionOperatorFactory.OfPrompts(pipelines, settings))
        : prompts
            .connect(cancellations.broadcast())
            .transform(
                name,
                type,
                new DiffusionOperatorFactory.OfPromptsAndCancellations(pipelines, settings));
  }

  /** What was set here. */
  Configuration settings() {
    return set;
  }

  private PipelineFactory pipelines(ReadableConfig config) {
    if (pipeline != null) {
      return pipeline;
    }
    return new ModelFolderPipelines(ModelSettings.of(config));
  }

  private static <T> void copy(ConfigOption<T> option, ReadableConfig from, Configuration to) {
    from.getOptional(option).ifPresent(value -> to.set(option, value));
  }
}
