/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import java.time.Duration;
import java.util.List;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;
import org.jspecify.annotations.NullMarked;

/**
 * Settings of the operator that gathers DICOM series into volumes. Each can be set in Flink's
 * configuration and by a method of its builder, which wins.
 */
@NullMarked
@Experimental
public final class SeriesOptions {

  /** Maximum wait for the next slice of a series. */
  public static final ConfigOption<Duration> TIMEOUT =
      ConfigOptions.key("diffusion.series.timeout")
          .durationType()
          .defaultValue(Duration.ofMinutes(1))
          .withDescription(
              "How long to wait for the next slice of a series. After that, a series of unknown"
                  + " size counts as complete, and a series that lacks slices fails.");

  /** The clock of {@link #TIMEOUT} and {@link #RETENTION}. */
  public static final ConfigOption<SeriesTime> TIME =
      ConfigOptions.key("diffusion.series.time")
          .enumType(SeriesTime.class)
          .defaultValue(SeriesTime.PROCESSING)
          .withDescription(
              "Clock of diffusion.series.timeout. PROCESSING: that of the task manager. EVENT: the"
                  + " records' timestamps and watermarks, so that a replay gathers the same.");

  /** Maximum slices of a series. */
  public static final ConfigOption<Integer> MAX_SLICES =
      ConfigOptions.key("diffusion.series.max-slices")
          .intType()
          .defaultValue(2048)
          .withDescription(
              "Maximum slices of a series. A series with more fails. A value above"
                  + " diffusion.image.max-slices of the job that reads the volumes has no effect.");

  /** Maximum bytes of the files of a series. */
  public static final ConfigOption<MemorySize> MAX_SIZE =
      ConfigOptions.key("diffusion.series.max-size")
          .memoryType()
          .defaultValue(MemorySize.parse("4g"))
          .withDescription(
              "Maximum size of all files of a series, as their references say. A larger series"
                  + " fails. The files are never in memory together.");

  /** Maximum series that a subtask gathers at once, 1 or more. */
  public static final ConfigOption<Integer> MAX_OPEN =
      ConfigOptions.key("diffusion.series.max-open")
          .intType()
          .defaultValue(1000)
          .withDescription(
              "Maximum number of series that a subtask gathers at once, from 1. Slices of further"
                  + " series fail. State holds about 1 KB for each slice.");

  /** How long a finished series is remembered, so that late slices of it fail. */
  public static final ConfigOption<Duration> RETENTION =
      ConfigOptions.key("diffusion.series.retention")
          .durationType()
          .defaultValue(Duration.ofHours(1))
          .withDescription(
              "How long a finished series is remembered, by the clock of diffusion.series.time. A"
                  + " slice that arrives within this time fails as late; one that arrives later"
                  + " begins a new series.");

  /** Threads of a subtask that read headers of slices, 1 or more. */
  public static final ConfigOption<Integer> READERS =
      ConfigOptions.key("diffusion.series.readers")
          .intType()
          .defaultValue(4)
          .withDescription(
              "Threads of a subtask that read slices' files to learn their headers, from 1. Each"
                  + " holds one file, of at most 64 MiB. Four times as many slices wait for them.");

  /** All of them, in the order in which they are documented. */
  @Internal
  public static final List<ConfigOption<?>> ALL =
      List.of(TIMEOUT, TIME, MAX_SLICES, MAX_SIZE, MAX_OPEN, RETENTION, READERS);

  private SeriesOptions() {}
}
