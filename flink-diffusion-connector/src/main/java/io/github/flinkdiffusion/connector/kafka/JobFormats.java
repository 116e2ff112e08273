/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.format.FormatSettings;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/** The formats of a job's topics, for programs that send it requests and read its results. */
@Internal
public final class JobFormats {
  private JobFormats() {}

  /**
   * How the job reads requests: {@link KafkaOptions#SOURCE_FORMAT} and what belongs to it.
   *
   * @throws KafkaSettingsException naming the option that is missing or not accepted
   */
  public static FormatSettings requests(ReadableConfig job) {
    return Formats.ofSource(new Settings(), job, "A source");
  }

  /**
   * How the job writes results: {@link KafkaOptions#SINK_FORMAT} and what belongs to it.
   *
   * @throws KafkaSettingsException naming the option that is missing or not accepted
   */
  public static FormatSettings results(ReadableConfig job) {
    return Formats.ofSink(new Settings(), job, "A sink");
  }
}
