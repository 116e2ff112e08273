/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.options.OptionValues;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import io.github.flinkdiffusion.ops.serving.SeriesOptions;
import io.github.flinkdiffusion.ops.serving.SeriesSettings;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.AsyncDataStream;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.jspecify.annotations.NullMarked;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Builds the operators that gather DICOM series. Each file of a series is an image task that names
 * it by reference; a series becomes one image task of all its files, in the order of their places.
 *
 * <pre>{@code
 * SeriesStreams series = Diffusion.series().uid("gather").apply(files);
 * DiffusionStreams results =
 *     Diffusion.imageTasks().setModel("/models/organs").uid("segment").apply(series.volumes());
 * DataStream<FailureEvent> failures = series.failures().union(results.failures());
 * }</pre>
 *
 * <p>A series is complete when as many slices are there as the parameter {@code slices} of its
 * tasks says, else as all its files say (ImagesInAcquisition, if it is 2 or more), else when no
 * slice has come for a time. All tasks of a series ask for the same.
 */
@NullMarked
@Experimental
public final class SeriesGathering {
  private static final Logger LOG = LoggerFactory.getLogger(SeriesGathering.class);
  private static final int WAITING_FOR_EACH_READER = 4;

  private final Configuration set = new Configuration();
  private @Nullable String uid;

  SeriesGathering() {}

  /** {@link SeriesOptions#TIMEOUT}. */
  public SeriesGathering setTimeout(Duration withoutSlice) {
    return setOption(SeriesOptions.TIMEOUT, withoutSlice);
  }

  /**
   * Sets any of {@link SeriesOptions} and {@link PayloadOptions}.
   *
   * @param <T> type of the value
   */
  public <T> SeriesGathering setOption(ConfigOption<T> option, T value) {
    set.set(option, value);
    return this;
  }

  /**
   * The operators' identity in savepoints: this one, and the same with the suffix {@code -headers}.
   */
  public SeriesGathering uid(String operatorUid) {
    uid = Objects.requireNonNull(operatorUid);
    return this;
  }

  /**
   * Adds the operators to the job. Logs a warning if they have no {@link #uid}.
   *
   * @param slices one task for each file
   * @throws DiffusionException when a setting is not accepted
   */
  public SeriesStreams apply(DataStream<ImageTaskEvent> slices) {
    ReadableConfig job = slices.getExecutionEnvironment().getConfiguration();
    KnownOptions.refuseUnknown(job);
    Configuration config = new Configuration();
    List<ConfigOption<?>> options = new ArrayList<>(SeriesOptions.ALL);
    options.addAll(PayloadOptions.ALL);
    options.add(DiffusionOptions.OUTAGE_RETRY_TIME);
    options.forEach(option -> copy(option, set.contains(option) ? set : job, config));
    SeriesSettings settings = SeriesSettings.of(config);
    SingleOutputStreamOperator<ReadSlice> read =
        AsyncDataStream.unorderedWait(
                slices,
                new SliceHeaders(settings),
                // It gives up by itself before.
                settings.outageRetryTime().plusDays(1).toMillis(),
                TimeUnit.MILLISECONDS,
                WAITING_FOR_EACH_READER * settings.readers())
            .returns(TypeInformation.of(ReadSlice.class))
            .name("headers of slices");
    SingleOutputStreamOperator<ImageTaskEvent> volumes =
        read.keyBy(ReadSlice::key, Types.STRING)
            .transform(
                "gather series",
                new AvroTypeInfo<>(ImageTaskEvent.class),
                new SeriesOperator(settings));
    if (uid != null) {
      read.uid(uid + "-headers");
      volumes.uid(uid);
    } else {
      LOG.warn(
          MissingUid.warning(
              "gather series", "series that are not complete yet, with all their slices"));
    }
    DataStream<FailureEvent> failures = volumes.getSideOutput(DiffusionOperator.FAILURES);
    return new SeriesStreams(volumes, failures);
  }

  private static <T> void copy(ConfigOption<T> option, ReadableConfig from, Configuration to) {
    OptionValues.read(from, option, DiffusionException::new)
        .ifPresent(value -> to.set(option, value));
  }
}
