/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.ops.batching.BatchSettings;
import io.github.flinkdiffusion.ops.batching.MemoryShare;
import io.github.flinkdiffusion.ops.batching.Patience;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import java.io.Serializable;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;

/**
 * {@link DiffusionOptions} and {@link PayloadOptions} read and checked, as they travel to the task
 * managers. References may be null where the option has no default.
 */
@Internal
public record DiffusionSettings(
    String device,
    Duration deviceWait,
    Duration keepModel,
    Long deviceMemoryBytes,
    MemoryShare modelsMemory,
    int capacity,
    Integer batchRows,
    Duration batchAging,
    OutputOrder outputOrder,
    Duration requestTimeout,
    int requestRetries,
    int requestAttempts,
    int requestProcessDeaths,
    Duration outageRetryTime,
    OutageAction outageAction,
    Integer defaultSteps,
    Double defaultGuidanceScale,
    String defaultScheduler,
    Integer defaultWidth,
    Integer defaultHeight,
    int progressEverySteps,
    int previewEverySteps,
    int encodingWorkers,
    boolean auditInPictures,
    AuditAttributes auditAttributes,
    LabelSettings label,
    CredentialSettings credentials,
    WatermarkSettings watermark,
    RequestLimits limits,
    PayloadSettings payload,
    ImageSettings image,
    TenantSettings tenants,
    LiveSettings live)
    implements Serializable {
  private static final int MOST_RETRIES = 10;

  /** What the device is measured with, where no number of rows is set. */
  private static final Arguments EXAMPLE =
      Arguments.NONE.with(Parameters.PROMPT, "a photo of a cat");

  /**
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  public static DiffusionSettings of(ReadableConfig config) {
    Duration timeout = config.get(DiffusionOptions.REQUEST_TIMEOUT);
    if (timeout != null && (timeout.isNegative() || timeout.isZero() || isEndless(timeout))) {
      throw refused(
          DiffusionOptions.REQUEST_TIMEOUT, timeout, "a time above zero, up to a year, or none");
    }
    Duration outage = config.get(DiffusionOptions.OUTAGE_RETRY_TIME);
    if (outage.isNegative() || isEndless(outage)) {
      throw refused(DiffusionOptions.OUTAGE_RETRY_TIME, outage, "a time from zero to a year");
    }
    int retries = config.get(DiffusionOptions.REQUEST_RETRIES);
    if (retries < 0 || retries > MOST_RETRIES) {
      throw refused(
          DiffusionOptions.REQUEST_RETRIES, retries, "a number from 0 to " + MOST_RETRIES);
    }
    return new DiffusionSettings(
        config.get(DiffusionOptions.DEVICE),
        aboveZero(DiffusionOptions.DEVICE_WAIT, config),
        upToADay(DiffusionOptions.DEVICE_KEEP_MODEL, config),
        config.getOptional(DiffusionOptions.DEVICE_MEMORY).map(MemorySize::getBytes).orElse(null),
        modelsMemory(config),
        atLeast(1, DiffusionOptions.CAPACITY, config),
        config.getOptional(DiffusionOptions.BATCH_ROWS).isPresent()
            ? atLeast(1, DiffusionOptions.BATCH_ROWS, config)
            : null,
        upToADay(DiffusionOptions.BATCH_AGING, config),
        config.get(DiffusionOptions.OUTPUT_ORDER),
        timeout,
        retries,
        atLeast(1, DiffusionOptions.REQUEST_ATTEMPTS, config),
        atLeast(1, DiffusionOptions.REQUEST_PROCESS_DEATHS, config),
        outage,
        config.get(DiffusionOptions.OUTAGE_ACTION),
        defaultFromOne(DiffusionOptions.DEFAULT_STEPS, config),
        defaultScale(config),
        config.get(DiffusionOptions.DEFAULT_SCHEDULER),
        defaultFromOne(DiffusionOptions.DEFAULT_WIDTH, config),
        defaultFromOne(DiffusionOptions.DEFAULT_HEIGHT, config),
        atLeast(0, DiffusionOptions.PROGRESS_EVERY_STEPS, config),
        atLeast(0, DiffusionOptions.PREVIEW_EVERY_STEPS, config),
        atLeast(1, DiffusionOptions.ENCODING_WORKERS, config),
        config.get(DiffusionOptions.AUDIT_IN_IMAGES),
        AuditAttributes.of(config),
        LabelSettings.of(config),
        CredentialSettings.of(config),
        WatermarkSettings.of(config),
        RequestLimits.of(config),
        PayloadSettings.of(config),
        ImageSettings.of(config),
        TenantSettings.of(config),
        LiveSettings.of(config));
  }

  private static MemoryShare modelsMemory(ReadableConfig config) {
    return new MemoryShare(
        config.getOptional(DiffusionOptions.MODELS_MEMORY).map(MemorySize::getBytes).orElse(null),
        upToADay(DiffusionOptions.MODELS_TURN, config));
  }

  public BatchSettings batch() {
    return new BatchSettings(
        batchRows == null ? OptionalInt.empty() : OptionalInt.of(batchRows),
        batchAging,
        Optional.of(new GenerationSpec("measurement", defaults(EXAMPLE).with(EXAMPLE))),
        deviceMemoryBytes == null ? OptionalLong.empty() : OptionalLong.of(deviceMemoryBytes));
  }

  /** The job's own values for what requests leave open; a list of timesteps says how many. */
  public Arguments defaults(Arguments asked) {
    boolean listed = asked.has(Parameters.TIMESTEPS) || asked.has(Parameters.SIGMAS);
    return Arguments.NONE
        .with(Parameters.SCHEDULER, defaultScheduler)
        .with(Parameters.STEPS, listed ? null : whole(defaultSteps))
        .with(Parameters.GUIDANCE_SCALE, defaultGuidanceScale)
        .with(Parameters.WIDTH, whole(defaultWidth))
        .with(Parameters.HEIGHT, whole(defaultHeight));
  }

  private static Long whole(Integer number) {
    return number == null ? null : number.longValue();
  }

  /** The record of a result, with its label and the payload of its watermark if it gets them. */
  public Audit marked(Audit audit, Raster result, ResultMeaning meaning) {
    boolean plain = meaning.equals(ResultMeaning.PICTURE) && result.noData().isEmpty();
    return plain ? marked(audit, result.channels(), result.height(), result.width()) : audit;
  }

  /** The same of a plain picture of that size. */
  public Audit marked(Audit audit, int channels, int height, int width) {
    return watermark.in(label.in(audit, channels, height, width), channels, height, width);
  }

  /** A picture with the label and the watermark that its record has. */
  public Raster mark(Raster picture, Audit audit) {
    return watermark.mark(label.draw(picture, audit), audit);
  }

  /** The picture as it is encoded: marked, if its record says so, and with its record. */
  public Raster withRecord(Raster picture, Audit audit) {
    return recorded(mark(picture, audit), audit);
  }

  /** A picture that is never marked, such as a mask, with its record. */
  Raster recorded(Raster picture, Audit audit) {
    return auditInPictures ? audit.in(picture) : picture;
  }

  /** What goes into an image task's files. */
  public Map<String, String> texts(Audit audit) {
    return auditInPictures ? audit.texts() : Map.of();
  }

  /** How long to wait for a model that is being freed. */
  public Patience patience() {
    return new Patience(deviceWait, DiffusionOptions.DEVICE_WAIT.key());
  }

  public Optional<Duration> timeout() {
    return Optional.ofNullable(requestTimeout);
  }

  private static Duration upToADay(ConfigOption<Duration> option, ReadableConfig config) {
    Duration value = config.get(option);
    if (value.isNegative() || value.compareTo(Duration.ofDays(1)) > 0) {
      throw refused(option, value, "a time from zero to one day");
    }
    return value;
  }

  private static Duration aboveZero(ConfigOption<Duration> option, ReadableConfig config) {
    Duration value = config.get(option);
    if (value.isNegative() || value.isZero() || isEndless(value)) {
      throw refused(option, value, "a time above zero, up to a year");
    }
    return value;
  }

  /** Clocks count in nanoseconds, which overflow after 292 years. */
  private static boolean isEndless(Duration time) {
    return time.compareTo(Duration.ofDays(365)) > 0;
  }

  /** A default that fits no request would fail each one that leaves the field open. */
  private static Integer defaultFromOne(ConfigOption<Integer> option, ReadableConfig config) {
    return config.getOptional(option).isPresent() ? atLeast(1, option, config) : null;
  }

  private static Double defaultScale(ReadableConfig config) {
    Double scale = config.get(DiffusionOptions.DEFAULT_GUIDANCE_SCALE);
    if (scale != null && !Double.isFinite(scale)) {
      throw refused(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, scale, "a finite number");
    }
    return scale;
  }

  static int atLeast(int least, ConfigOption<Integer> option, ReadableConfig config) {
    int value = config.get(option);
    if (value < least) {
      throw refused(option, value, "a number from " + least);
    }
    return value;
  }

  static DiffusionException refused(ConfigOption<?> option, Object value, String accepted) {
    return new DiffusionException(
        "Invalid value %2$s for option %1$s: expected %3$s."
            .formatted(option.key(), value, accepted));
  }
}
