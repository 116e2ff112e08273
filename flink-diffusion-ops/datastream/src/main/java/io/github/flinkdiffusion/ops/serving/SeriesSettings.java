/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import java.io.Serializable;
import java.time.Duration;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;

/** {@link SeriesOptions} read and checked, as they travel to the task managers. */
@Internal
public record SeriesSettings(
    long timeoutMillis,
    SeriesTime time,
    int maxSlices,
    long maxBytes,
    int maxOpen,
    long retentionMillis,
    int readers,
    Duration outageRetryTime,
    PayloadSettings payloads)
    implements Serializable {

  /**
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  public static SeriesSettings of(ReadableConfig config) {
    return new SeriesSettings(
        positive(SeriesOptions.TIMEOUT, config),
        config.get(SeriesOptions.TIME),
        atLeastOne(SeriesOptions.MAX_SLICES, config),
        config.get(SeriesOptions.MAX_SIZE).getBytes(),
        atLeastOne(SeriesOptions.MAX_OPEN, config),
        positive(SeriesOptions.RETENTION, config),
        atLeastOne(SeriesOptions.READERS, config),
        config.get(DiffusionOptions.OUTAGE_RETRY_TIME),
        PayloadSettings.of(config));
  }

  private static long positive(ConfigOption<Duration> option, ReadableConfig config) {
    Duration value = config.get(option);
    if (value.toMillis() < 1) {
      throw DiffusionSettings.refused(option, value, "a time from 1 ms");
    }
    return value.toMillis();
  }

  private static int atLeastOne(ConfigOption<Integer> option, ReadableConfig config) {
    int value = config.get(option);
    if (value < 1) {
      throw DiffusionSettings.refused(option, value, "a number from 1");
    }
    return value;
  }
}
