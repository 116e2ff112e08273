/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.options.OptionValues;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import io.github.flinkdiffusion.ops.serving.OutageAction;
import io.github.flinkdiffusion.ops.serving.OutputOrder;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import java.util.function.UnaryOperator;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.api.common.operators.SlotSharingGroup;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;

/**
 * What building any diffusion operator has in common. What is not set here is taken from the job's
 * configuration, see {@link DiffusionOptions} and {@link PayloadOptions}.
 *
 * @param <E> the requests' event
 * @param <B> the builder itself
 */
@PublicEvolving
public abstract class DiffusionBuilder<E extends SpecificRecord, B extends DiffusionBuilder<E, B>> {
  private final Configuration set = new Configuration();
  private PipelineFactory pipeline;
  private final RequestKind<E> kind;
  private String name;
  private String uid;
  private UnaryOperator<SingleOutputStreamOperator<ImageEvent>> slots = UnaryOperator.identity();
  private DataStream<CancelEvent> cancellations;
  private Integer parallelism;

  DiffusionBuilder(RequestKind<E> kind, String name) {
    this.kind = kind;
    this.name = name;
  }

  @SuppressWarnings("unchecked") // that is what B is for
  private B self() {
    return (B) this;
  }

  /** {@link DiffusionOptions#MODEL_FOLDER}. */
  public B model(String folder) {
    return option(DiffusionOptions.MODEL_FOLDER, folder);
  }

  /**
   * {@link DiffusionOptions#ENGINE}.
   *
   * @param name {@code auto}, {@code onnxruntime} or {@code pytorch}
   */
  public B engine(String name) {
    return option(DiffusionOptions.ENGINE, name);
  }

  /** {@link DiffusionOptions#MODEL_PRECISION}. */
  public B precision(Precision precision) {
    return option(DiffusionOptions.MODEL_PRECISION, precision);
  }

  /** {@link DiffusionOptions#MODEL_PIPELINE}. */
  public B pipelineClass(String diffusersClass) {
    return option(DiffusionOptions.MODEL_PIPELINE, diffusersClass);
  }

  /** {@link DiffusionOptions#MODEL_ARCHIVES}. */
  public B archives(String folder) {
    return option(DiffusionOptions.MODEL_ARCHIVES, folder);
  }

  /** {@link DiffusionOptions#MODEL_SAFETY_CHECKER}. */
  public B safetyChecker(boolean checks) {
    return option(DiffusionOptions.MODEL_SAFETY_CHECKER, checks);
  }

  /** {@link DiffusionOptions#MODEL_WATERMARK}. */
  public B watermark(boolean marks) {
    return option(DiffusionOptions.MODEL_WATERMARK, marks);
  }

  /** Adds one to {@link DiffusionOptions#MODEL_LORAS}. */
  public B lora(String file, double scale) {
    List<String> loras =
        new ArrayList<>(set.getOptional(DiffusionOptions.MODEL_LORAS).orElse(List.of()));
    loras.add(file + "=" + scale);
    return option(DiffusionOptions.MODEL_LORAS, loras);
  }

  /** {@link DiffusionOptions#MODEL_CONFIGS}. */
  public B configs(String folder) {
    return option(DiffusionOptions.MODEL_CONFIGS, folder);
  }

  /** {@link DiffusionOptions#MODEL_VARIANT}. */
  public B variant(String name) {
    return option(DiffusionOptions.MODEL_VARIANT, name);
  }

  /** A pipeline of one's own in place of a model folder. */
  public B pipeline(PipelineFactory factory) {
    pipeline = Objects.requireNonNull(factory);
    return self();
  }

  /** {@link DiffusionOptions#DEVICE}. */
  public B device(String device) {
    return option(DiffusionOptions.DEVICE, device);
  }

  /** {@link DiffusionOptions#CAPACITY}. */
  public B capacity(int requests) {
    return option(DiffusionOptions.CAPACITY, requests);
  }

  /** {@link DiffusionOptions#BATCH_ROWS}. */
  public B batchRows(int rows) {
    return option(DiffusionOptions.BATCH_ROWS, rows);
  }

  /** {@link DiffusionOptions#BATCH_AGING}. */
  public B batchAging(Duration headStartOfOnePriority) {
    return option(DiffusionOptions.BATCH_AGING, headStartOfOnePriority);
  }

  /** {@link DiffusionOptions#OUTPUT_ORDER}. */
  public B outputOrder(OutputOrder order) {
    return option(DiffusionOptions.OUTPUT_ORDER, order);
  }

  /** {@link DiffusionOptions#REQUEST_TIMEOUT}. */
  public B requestTimeout(Duration timeout) {
    return option(DiffusionOptions.REQUEST_TIMEOUT, timeout);
  }

  /** {@link DiffusionOptions#REQUEST_RETRIES}. */
  public B requestRetries(int times) {
    return option(DiffusionOptions.REQUEST_RETRIES, times);
  }

  /** {@link DiffusionOptions#REQUEST_ATTEMPTS}. */
  public B requestAttempts(int attempts) {
    return option(DiffusionOptions.REQUEST_ATTEMPTS, attempts);
  }

  /** {@link DiffusionOptions#REQUEST_PROCESS_DEATHS}. */
  public B requestProcessDeaths(int deaths) {
    return option(DiffusionOptions.REQUEST_PROCESS_DEATHS, deaths);
  }

  /** {@link DiffusionOptions#OUTAGE_RETRY_TIME}. */
  public B outageRetryTime(Duration time) {
    return option(DiffusionOptions.OUTAGE_RETRY_TIME, time);
  }

  /** {@link DiffusionOptions#OUTAGE_ACTION}. */
  public B outageAction(OutageAction action) {
    return option(DiffusionOptions.OUTAGE_ACTION, action);
  }

  /** {@link DiffusionOptions#DEFAULT_STEPS}. */
  public B defaultSteps(int steps) {
    return option(DiffusionOptions.DEFAULT_STEPS, steps);
  }

  /** {@link DiffusionOptions#DEFAULT_GUIDANCE_SCALE}. */
  public B defaultGuidanceScale(double scale) {
    return option(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, scale);
  }

  /** {@link DiffusionOptions#DEFAULT_SCHEDULER}. */
  public B defaultScheduler(String scheduler) {
    return option(DiffusionOptions.DEFAULT_SCHEDULER, scheduler);
  }

  /** {@link DiffusionOptions#PROGRESS_EVERY_STEPS}. */
  public B progressEverySteps(int steps) {
    return option(DiffusionOptions.PROGRESS_EVERY_STEPS, steps);
  }

  /** {@link DiffusionOptions#ENCODING_WORKERS}. */
  public B encodingWorkers(int workers) {
    return option(DiffusionOptions.ENCODING_WORKERS, workers);
  }

  /**
   * @deprecated the former name of {@link #encodingWorkers}
   */
  @Deprecated
  public B encodingThreads(int threads) {
    return encodingWorkers(threads);
  }

  /** {@link DiffusionOptions#AUDIT_IN_PICTURES}. */
  public B auditInPictures(boolean inPictures) {
    return option(DiffusionOptions.AUDIT_IN_PICTURES, inPictures);
  }

  /** {@link PayloadOptions#STORE}. */
  public B payloadStore(String uri) {
    return option(PayloadOptions.STORE, uri);
  }

  /** {@link PayloadOptions#INLINE_LIMIT}. */
  public B payloadInlineLimit(MemorySize limit) {
    return option(PayloadOptions.INLINE_LIMIT, limit);
  }

  /** Any of {@link DiffusionOptions} and {@link PayloadOptions}. */
  public <T> B option(ConfigOption<T> option, T value) {
    set.set(option, value);
    return self();
  }

  /** The operator's name in Flink's UI and metrics. */
  public B name(String operatorName) {
    name = Objects.requireNonNull(operatorName);
    return self();
  }

  /**
   * The operator's identity in savepoints. Set it: without one, a change elsewhere in the job makes
   * Flink lose the requests in flight, or refuse the savepoint.
   */
  public B uid(String operatorUid) {
    uid = Objects.requireNonNull(operatorUid);
    return self();
  }

  /** Puts the operator into slots of its own, e.g. on task managers that have GPUs. */
  public B slotSharingGroup(String group) {
    Objects.requireNonNull(group);
    slots = images -> images.slotSharingGroup(group);
    return self();
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
  public B slotSharingGroup(SlotSharingGroup group) {
    Objects.requireNonNull(group);
    slots = images -> images.slotSharingGroup(group);
    return self();
  }

  /**
   * Takes requests back: each event here goes to all subtasks and ends the requests of its id,
   * which become failures with reason CANCELLED unless their images were finished by then. Where
   * events have timestamps, as from Kafka, it counts for requests that were sent before it and not
   * for later ones; also for those that are not read yet. The last 10,000 cancellations are
   * remembered for that. Others that find no request are counted and otherwise ignored.
   *
   * <p>Cancellations go through the job manager, in an operator of their own with one subtask: the
   * requests' operator keeps one input, so it can be chained to its source, and its checkpoints can
   * be unaligned. They arrive at once, also while the operator is full. With {@link #uid}, that
   * operator has the uid with the suffix {@code -cancellations}. Of a reason, the first 1,000
   * characters are kept.
   *
   * <p>The job ends when both this stream and the requests have ended.
   */
  public B cancellations(DataStream<CancelEvent> cancelled) {
    cancellations = Objects.requireNonNull(cancelled);
    return self();
  }

  /** Subtasks; those in one process on one device share a model and its calls. */
  public B parallelism(int subtasks) {
    parallelism = subtasks;
    return self();
  }

  /**
   * Adds the operator to the job.
   *
   * @throws DiffusionException when a setting is missing or not accepted
   */
  public DiffusionStreams apply(DataStream<E> requests) {
    ReadableConfig job = requests.getExecutionEnvironment().getConfiguration();
    DiffusionOptions.refuseUnknown(job);
    Configuration config = new Configuration();
    for (List<ConfigOption<?>> options :
        List.of(DiffusionOptions.ALL, ImageTaskOptions.ALL, PayloadOptions.ALL)) {
      options.forEach(option -> copy(option, set.contains(option) ? set : job, config));
    }
    SingleOutputStreamOperator<ImageEvent> images =
        slots.apply(transform(requests, pipelines(config), DiffusionSettings.of(config)));
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
      DataStream<E> requests, PipelineFactory pipelines, DiffusionSettings settings) {
    return requests.transform(
        name,
        new AvroTypeInfo<>(ImageEvent.class),
        new DiffusionOperatorFactory.OfRequests<>(
            kind, pipelines, settings, cancellations == null ? null : relayed(cancellations)));
  }

  /**
   * @return name of the board that the cancellations are put up on
   */
  private String relayed(DataStream<CancelEvent> cancelled) {
    String board = uid == null ? UUID.randomUUID().toString() : uid;
    SingleOutputStreamOperator<Void> relay =
        cancelled
            .transform(name + ": cancellations", Types.VOID, new CancellationRelay.Factory(board))
            .forceNonParallel();
    if (uid != null) {
      relay.uid(uid + "-cancellations");
    }
    return board;
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
    OptionValues.read(from, option, DiffusionException::new)
        .ifPresent(value -> to.set(option, value));
  }
}
