/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.kafka.EventSourceBuilder;
import io.github.flinkdiffusion.connector.options.OptionValues;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.OutageAction;
import io.github.flinkdiffusion.ops.serving.OutputOrder;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.api.common.operators.SlotSharingGroup;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.jspecify.annotations.NullMarked;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Settings that all diffusion operators share. Each setter sets the option that it links to, whose
 * description has unit, range and default; the option can be set in the job's configuration too,
 * and the setter wins. Values are checked by {@link #apply}.
 *
 * @param <E> the requests' event
 * @param <B> the builder itself
 */
@NullMarked
@PublicEvolving
public abstract class DiffusionBuilder<E extends SpecificRecord, B extends DiffusionBuilder<E, B>> {
  private static final Logger LOG = LoggerFactory.getLogger(DiffusionBuilder.class);

  private static final String STATE =
      "requests in flight with the steps made so far, images that no checkpoint has released yet,"
          + " attempts counted, and cancellations remembered";

  private final Configuration set = new Configuration();
  private @Nullable PipelineFactory pipeline;
  private final Map<String, PipelineFactory> pipelines = new TreeMap<>();
  private final RequestKind<E> kind;
  private String name;
  private @Nullable String uid;
  private UnaryOperator<SingleOutputStreamOperator<ImageEvent>> slots = UnaryOperator.identity();
  private @Nullable DataStream<CancelEvent> cancellations;
  private @Nullable DataStream<ModelEvent> modelEvents;
  private @Nullable Integer parallelism;

  DiffusionBuilder(RequestKind<E> kind, String name) {
    this.kind = kind;
    this.name = name;
  }

  @SuppressWarnings("unchecked") // that is what B is for
  private B self() {
    return (B) this;
  }

  /** {@link DiffusionOptions#MODEL_FOLDER}. */
  public B setModel(String folder) {
    return setOption(DiffusionOptions.MODEL_FOLDER, folder);
  }

  /**
   * {@link DiffusionOptions#ENGINE}.
   *
   * @param name {@code auto}, {@code onnxruntime} or {@code pytorch}
   */
  public B setEngine(String name) {
    return setOption(DiffusionOptions.ENGINE, name);
  }

  /** {@link DiffusionOptions#MODEL_PRECISION}. */
  public B setPrecision(Precision precision) {
    return setOption(DiffusionOptions.MODEL_PRECISION, precision);
  }

  /** {@link DiffusionOptions#MODEL_PIPELINE}. */
  public B setPipelineClass(String diffusersClass) {
    return setOption(DiffusionOptions.MODEL_PIPELINE, diffusersClass);
  }

  /** {@link DiffusionOptions#MODEL_ARCHIVES}. */
  public B setArchives(String folder) {
    return setOption(DiffusionOptions.MODEL_ARCHIVES, folder);
  }

  /** {@link DiffusionOptions#MODEL_SAFETY_CHECKER}. */
  public B setSafetyChecker(boolean checks) {
    return setOption(DiffusionOptions.MODEL_SAFETY_CHECKER, checks);
  }

  /** {@link DiffusionOptions#MODEL_WATERMARK}. */
  public B setWatermark(boolean marks) {
    return setOption(DiffusionOptions.MODEL_WATERMARK, marks);
  }

  /**
   * Adds one to {@link DiffusionOptions#MODEL_LORAS}.
   *
   * @param file safetensors, under the same path on every task manager, or on the hub
   * @param scale weight of the LoRA, as diffusers' {@code adapter_weights}; may be negative
   */
  public B addLora(String file, double scale) {
    List<String> loras =
        new ArrayList<>(set.getOptional(DiffusionOptions.MODEL_LORAS).orElse(List.of()));
    loras.add(file + "=" + scale);
    return setOption(DiffusionOptions.MODEL_LORAS, loras);
  }

  /** {@link DiffusionOptions#MODEL_CONFIGS}. */
  public B setConfigs(String folder) {
    return setOption(DiffusionOptions.MODEL_CONFIGS, folder);
  }

  /** {@link DiffusionOptions#MODEL_VARIANT}. */
  public B setVariant(String name) {
    return setOption(DiffusionOptions.MODEL_VARIANT, name);
  }

  /** A pipeline of one's own in place of a model folder; for tests and programs of this project. */
  @Internal
  public B setPipeline(PipelineFactory factory) {
    pipeline = Objects.requireNonNull(factory);
    return self();
  }

  /** Adds one to {@link DiffusionOptions#MODELS}, which requests may name. */
  public B addModel(String modelName, String folder) {
    List<String> models =
        new ArrayList<>(set.getOptional(DiffusionOptions.MODELS).orElse(List.of()));
    models.add(modelName + "=" + folder);
    return setOption(DiffusionOptions.MODELS, models);
  }

  /** A pipeline of one's own that requests may name. */
  @Internal
  public B addPipeline(String modelName, PipelineFactory factory) {
    pipelines.put(modelName, Objects.requireNonNull(factory));
    return self();
  }

  /** {@link DiffusionOptions#MODELS_MEMORY}. */
  public B setModelsMemory(MemorySize most) {
    return setOption(DiffusionOptions.MODELS_MEMORY, most);
  }

  /** {@link DiffusionOptions#MODELS_TURN}. */
  public B setModelsTurn(Duration time) {
    return setOption(DiffusionOptions.MODELS_TURN, time);
  }

  /** {@link DiffusionOptions#DEVICE}. */
  public B setDevice(String device) {
    return setOption(DiffusionOptions.DEVICE, device);
  }

  /** {@link DiffusionOptions#CAPACITY}. */
  public B setCapacity(int requests) {
    return setOption(DiffusionOptions.CAPACITY, requests);
  }

  /** {@link DiffusionOptions#BATCH_ROWS}. */
  public B setBatchRows(int rows) {
    return setOption(DiffusionOptions.BATCH_ROWS, rows);
  }

  /** {@link DiffusionOptions#BATCH_AGING}. */
  public B setBatchAging(Duration headStartOfOnePriority) {
    return setOption(DiffusionOptions.BATCH_AGING, headStartOfOnePriority);
  }

  /** {@link DiffusionOptions#OUTPUT_ORDER}. */
  public B setOutputOrder(OutputOrder order) {
    return setOption(DiffusionOptions.OUTPUT_ORDER, order);
  }

  /** {@link DiffusionOptions#TENANTS_ATTRIBUTE}. */
  public B setTenantsAttribute(String attribute) {
    return setOption(DiffusionOptions.TENANTS_ATTRIBUTE, attribute);
  }

  /** {@link DiffusionOptions#TENANTS_WEIGHTS}. */
  public B setTenantsWeights(Map<String, Double> weights) {
    Map<String, String> texts = new TreeMap<>();
    weights.forEach((tenant, weight) -> texts.put(tenant, weight.toString()));
    return setOption(DiffusionOptions.TENANTS_WEIGHTS, texts);
  }

  /** {@link DiffusionOptions#TENANTS_MAX_IN_FLIGHT}. */
  public B setTenantsMaxInFlight(int requests) {
    return setOption(DiffusionOptions.TENANTS_MAX_IN_FLIGHT, requests);
  }

  /** {@link DiffusionOptions#REQUEST_TIMEOUT}. */
  public B setRequestTimeout(Duration timeout) {
    return setOption(DiffusionOptions.REQUEST_TIMEOUT, timeout);
  }

  /** {@link DiffusionOptions#REQUEST_RETRIES}. */
  public B setRequestRetries(int times) {
    return setOption(DiffusionOptions.REQUEST_RETRIES, times);
  }

  /** {@link DiffusionOptions#REQUEST_ATTEMPTS}. */
  public B setRequestAttempts(int attempts) {
    return setOption(DiffusionOptions.REQUEST_ATTEMPTS, attempts);
  }

  /** {@link DiffusionOptions#REQUEST_PROCESS_DEATHS}. */
  public B setRequestProcessDeaths(int deaths) {
    return setOption(DiffusionOptions.REQUEST_PROCESS_DEATHS, deaths);
  }

  /** {@link DiffusionOptions#OUTAGE_RETRY_TIME}. */
  public B setOutageRetryTime(Duration time) {
    return setOption(DiffusionOptions.OUTAGE_RETRY_TIME, time);
  }

  /** {@link DiffusionOptions#OUTAGE_ACTION}. */
  public B setOutageAction(OutageAction action) {
    return setOption(DiffusionOptions.OUTAGE_ACTION, action);
  }

  /** {@link DiffusionOptions#DEFAULT_STEPS}. */
  public B setDefaultSteps(int steps) {
    return setOption(DiffusionOptions.DEFAULT_STEPS, steps);
  }

  /** {@link DiffusionOptions#DEFAULT_GUIDANCE_SCALE}. */
  public B setDefaultGuidanceScale(double scale) {
    return setOption(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, scale);
  }

  /** {@link DiffusionOptions#DEFAULT_SCHEDULER}. */
  public B setDefaultScheduler(String scheduler) {
    return setOption(DiffusionOptions.DEFAULT_SCHEDULER, scheduler);
  }

  /** {@link DiffusionOptions#PROGRESS_EVERY_STEPS}. */
  public B setProgressEverySteps(int steps) {
    return setOption(DiffusionOptions.PROGRESS_EVERY_STEPS, steps);
  }

  /** {@link DiffusionOptions#ENCODING_WORKERS}. */
  public B setEncodingWorkers(int workers) {
    return setOption(DiffusionOptions.ENCODING_WORKERS, workers);
  }

  /** {@link DiffusionOptions#AUDIT_IN_IMAGES}. */
  public B setAuditInImages(boolean inImages) {
    return setOption(DiffusionOptions.AUDIT_IN_IMAGES, inImages);
  }

  /** {@link PayloadOptions#STORE}. */
  public B setPayloadStore(String uri) {
    return setOption(PayloadOptions.STORE, uri);
  }

  /** {@link PayloadOptions#INLINE_LIMIT}. */
  public B setPayloadInlineLimit(MemorySize limit) {
    return setOption(PayloadOptions.INLINE_LIMIT, limit);
  }

  /**
   * Sets any of {@link DiffusionOptions}, {@link ImageTaskOptions}, {@link LiveOptions} and {@link
   * PayloadOptions}.
   *
   * @param <T> type of the value
   */
  public <T> B setOption(ConfigOption<T> option, T value) {
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
  public B setCancellations(DataStream<CancelEvent> cancelled) {
    cancellations = Objects.requireNonNull(cancelled);
    return self();
  }

  /**
   * Changes the versions of models while the job runs: after each event here, requests of its model
   * begin on the version that it names, a folder or an earlier version. Requests that have begun
   * end on the version that they began on, also after a restart. Both versions are loaded only that
   * long, and only as {@link DiffusionOptions#MODELS_MEMORY} allows; else the earlier one's
   * requests end first. An event that cannot be followed is a failure, and changes nothing.
   *
   * <p>The order of the events counts, so all of a model come from one partition. They reach the
   * subtasks as cancellations do. With {@link #uid}, their operator has the uid with the suffix
   * {@code -models}.
   */
  public B setModelEvents(DataStream<ModelEvent> events) {
    modelEvents = Objects.requireNonNull(events);
    return self();
  }

  /**
   * Number of subtasks, 1 or more. Default: the job's parallelism. Subtasks in one process on one
   * device share the model and its network calls.
   */
  public B setParallelism(int subtasks) {
    parallelism = subtasks;
    return self();
  }

  /**
   * Adds the operator to the job. Logs a warning if it has no {@link #uid}.
   *
   * @param requests with or without timestamps; a request's record context comes with it
   * @return the operator's outputs: every request becomes one image or one failure
   * @throws DiffusionException when a setting is missing or not accepted
   */
  public DiffusionStreams apply(DataStream<E> requests) {
    if (set.get(LiveOptions.ENABLED) && !takesFrames()) {
      throw new DiffusionException(
          "Invalid value 'true' for option '%s' of the operator '%s': only Diffusion.imageTasks() processes frames of streams; leave it out."
              .formatted(LiveOptions.ENABLED.key(), name));
    }
    ReadableConfig job = requests.getExecutionEnvironment().getConfiguration();
    KnownOptions.refuseUnknown(job);
    Configuration config = new Configuration();
    for (List<ConfigOption<?>> options :
        List.of(DiffusionOptions.ALL, ImageTaskOptions.ALL, LiveOptions.ALL, PayloadOptions.ALL)) {
      options.forEach(option -> copy(option, set.contains(option) ? set : job, config));
    }
    SingleOutputStreamOperator<ImageEvent> images =
        slots.apply(transform(requests, models(config), DiffusionSettings.of(config)));
    if (uid != null) {
      images.uid(uid);
    } else {
      LOG.warn(MissingUid.warning(name, STATE));
    }
    if (parallelism != null) {
      images.setParallelism(parallelism);
    }
    return new DiffusionStreams(
        images,
        images.getSideOutput(DiffusionOperator.TEXTS),
        images.getSideOutput(DiffusionOperator.FAILURES),
        images.getSideOutput(DiffusionOperator.PROGRESS));
  }

  private SingleOutputStreamOperator<ImageEvent> transform(
      DataStream<E> requests, ModelList models, DiffusionSettings settings) {
    return arranged(requests, settings)
        .transform(
            name,
            new AvroTypeInfo<>(ImageEvent.class),
            new DiffusionOperatorFactory.OfRequests<>(
                kind,
                models,
                settings,
                relayed(cancellations, ControlKind.CANCELLATIONS, "cancellations"),
                relayed(modelEvents, ControlKind.MODELS, "models")));
  }

  /**
   * @param events null when there are none
   * @return name of the board that the events are put up on, or null
   */
  private <C> @Nullable String relayed(
      @Nullable DataStream<C> events, ControlKind<C> what, String whatName) {
    return events == null ? null : ControlRelay.add(events, what, whatName, name, uid);
  }

  /** Whether requests may be frames of streams. */
  boolean takesFrames() {
    return false;
  }

  /** Whether its results are texts; else they are images. */
  boolean emitsTexts() {
    return kind.emitsTexts();
  }

  /** The uid of an operator that was given none. */
  void uidIfNone(String operatorUid) {
    uid = uid == null ? operatorUid : uid;
  }

  /** Whether a stream of cancellations was given. */
  boolean hasCancellations() {
    return cancellations != null;
  }

  /** The requests as they are dealt out to subtasks. */
  DataStream<E> arranged(DataStream<E> requests, DiffusionSettings settings) {
    return requests;
  }

  /** A source of the requests. */
  abstract EventSourceBuilder<E> source();

  /** What was set here. */
  Configuration settings() {
    return set;
  }

  private ModelList models(ReadableConfig config) {
    ModelList list = pipeline == null ? ModelList.of(config) : ModelList.of(pipeline);
    for (Map.Entry<String, PipelineFactory> other : pipelines.entrySet()) {
      list = list.with(other.getKey(), other.getValue());
    }
    return list;
  }

  private static <T> void copy(ConfigOption<T> option, ReadableConfig from, Configuration to) {
    OptionValues.read(from, option, DiffusionException::new)
        .ifPresent(value -> to.set(option, value));
  }
}
