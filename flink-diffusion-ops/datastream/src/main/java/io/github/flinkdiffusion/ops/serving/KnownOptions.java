/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.options.OptionValues;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;

/** The options of the whole project: a configuration's other keys below its prefix are mistakes. */
@Internal
public final class KnownOptions {
  private KnownOptions() {}

  /**
   * Refuses keys that look like options of this project and are none, and values that cannot be
   * read.
   *
   * @throws DiffusionException naming the first such option
   */
  public static void refuseUnreadable(ReadableConfig config) {
    refuseUnknown(config);
    known().forEach(option -> OptionValues.read(config, option, DiffusionException::new));
  }

  /**
   * Refuses keys that look like options of this project and are none.
   *
   * @throws DiffusionException naming each with the option that was probably meant
   */
  public static void refuseUnknown(ReadableConfig config) {
    OptionValues.unknown(config, "diffusion.", known())
        .ifPresent(
            sentence -> {
              throw new DiffusionException(sentence);
            });
  }

  private static List<ConfigOption<?>> known() {
    List<ConfigOption<?>> known = new ArrayList<>(DiffusionOptions.ALL);
    known.addAll(ImageTaskOptions.ALL);
    known.addAll(LiveOptions.ALL);
    known.addAll(SeriesOptions.ALL);
    known.addAll(PayloadOptions.ALL);
    known.addAll(KafkaOptions.ALL);
    return known;
  }
}
