package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.batching.BatchPolicy;
import java.io.Serializable;
import java.time.Duration;
import java.util.Optional;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;

/**
 * {@link DiffusionOptions} read and checked, as they travel to the task managers. References may be
 * null where the option has no default.
 */
record DiffusionSettings(
    String device,
    int capacity,
    int batchRows,
    Duration batchAging,
    OutputOrder outputOrder,
    Duration requestTimeout,
    Integer defaultSteps,
    Double defaultGuidanceScale,
    String defaultScheduler,
    Integer defaultWidth,
    Integer defaultHeight,
    int progressEverySteps,
    int encodingThreads)
    implements Serializable {

  /**
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  static DiffusionSettings of(ReadableConfig config) {
    Duration aging = config.get(DiffusionOptions.BATCH_AGING);
    if (aging.isNegative() || aging.compareTo(Duration.ofDays(1)) > 0) {
      throw refused(DiffusionOptions.BATCH_AGING, aging, "a time from zero to one day");
    }
    Duration timeout = config.get(DiffusionOptions.REQUEST_TIMEOUT);
    if (timeout != null && (timeout.isNegative() || timeout.isZero())) {
      throw refused(DiffusionOptions.REQUEST_TIMEOUT, timeout, "a time above zero, or none");
    }
    return new DiffusionSettings(
        config.get(DiffusionOptions.DEVICE),
        atLeast(1, DiffusionOptions.CAPACITY, config),
        atLeast(1, DiffusionOptions.BATCH_ROWS, config),
        aging,
        config.get(DiffusionOptions.OUTPUT_ORDER),
        timeout,
        config.get(DiffusionOptions.DEFAULT_STEPS),
        config.get(DiffusionOptions.DEFAULT_GUIDANCE_SCALE),
        config.get(DiffusionOptions.DEFAULT_SCHEDULER),
        config.get(DiffusionOptions.DEFAULT_WIDTH),
        config.get(DiffusionOptions.DEFAULT_HEIGHT),
        atLeast(0, DiffusionOptions.PROGRESS_EVERY_STEPS, config),
        atLeast(1, DiffusionOptions.ENCODING_THREADS, config));
  }

  BatchPolicy batchPolicy() {
    BatchPolicy byRows = BatchPolicy.ofRows(batchRows);
    return new BatchPolicy(
        byRows.rowLimit(), byRows.encodeLimit(), byRows.decodeLimit(), batchAging);
  }

  Optional<Duration> timeout() {
    return Optional.ofNullable(requestTimeout);
  }

  private static int atLeast(int least, ConfigOption<Integer> option, ReadableConfig config) {
    int value = config.get(option);
    if (value < least) {
      throw refused(option, value, "a number from " + least);
    }
    return value;
  }

  private static DiffusionException refused(ConfigOption<?> option, Object value, String accepted) {
    return new DiffusionException(
        "Option %s can not be %s; it takes %s.".formatted(option.key(), value, accepted));
  }
}
