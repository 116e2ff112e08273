/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.options.OptionValues;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.util.Objects;
import java.util.function.Function;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.functions.ProcessFunction;

/**
 * What the builders of operators that look at events' images have in common: options of payloads,
 * which the job's own stand behind, and the operator's name and uid.
 */
final class ImageWork {
  private final String name;
  private final Configuration set = new Configuration();
  private String uid;

  /**
   * @param name of the operator
   */
  ImageWork(String name) {
    this.name = name;
  }

  <T> void setOption(ConfigOption<T> option, T value) {
    set.set(option, value);
  }

  void uid(String operatorUid) {
    uid = Objects.requireNonNull(operatorUid);
  }

  /** Adds the operator for requests; those that it refuses are failures. */
  <E extends SpecificRecordBase> RequestStreams<E> ofRequests(
      DataStream<E> requests,
      Class<E> kind,
      Function<PayloadSettings, ProcessFunction<E, E>> function) {
    SingleOutputStreamOperator<E> passed = process(requests, kind, function);
    return new RequestStreams<>(passed, passed.getSideOutput(DiffusionOperator.FAILURES));
  }

  <E extends SpecificRecordBase> SingleOutputStreamOperator<E> process(
      DataStream<E> events,
      Class<E> kind,
      Function<PayloadSettings, ProcessFunction<E, E>> function) {
    return named(events.process(function.apply(payloads(events)), new AvroTypeInfo<>(kind)));
  }

  <O> SingleOutputStreamOperator<O> named(SingleOutputStreamOperator<O> operator) {
    operator.name(name);
    return uid == null ? operator : operator.uid(uid);
  }

  PayloadSettings payloads(DataStream<?> events) {
    ReadableConfig job = events.getExecutionEnvironment().getConfiguration();
    Configuration config = new Configuration();
    PayloadOptions.ALL.forEach(option -> copy(option, set.contains(option) ? set : job, config));
    return PayloadSettings.of(config);
  }

  private static <T> void copy(ConfigOption<T> option, ReadableConfig from, Configuration to) {
    OptionValues.read(from, option, DiffusionException::new)
        .ifPresent(value -> to.set(option, value));
  }
}
