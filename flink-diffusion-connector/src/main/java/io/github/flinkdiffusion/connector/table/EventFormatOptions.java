/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import java.util.List;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;

/** Options of the format {@code diffusion-avro}, without {@code diffusion-avro.} before them. */
@Internal
public final class EventFormatOptions {

  public static final ConfigOption<EventKind> EVENT =
      ConfigOptions.key("event")
          .enumType(EventKind.class)
          .noDefaultValue()
          .withDescription(
              "Which event the topic holds: prompt, image-task, image, failure, progress,"
                  + " cancel or model."
                  + " Required.");

  public static final ConfigOption<Boolean> IGNORE_PARSE_ERRORS =
      ConfigOptions.key("ignore-parse-errors")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "Leaves out records that are no such event, with a line in the log for the first of a"
                  + " subtask, and counts them (metric numIgnoredRecords; its former name ignoredRecords is deprecated); false fails the job.");

  /** All of them, in the order of the reference page. */
  public static final List<ConfigOption<?>> ALL = List.of(EVENT, IGNORE_PARSE_ERRORS);

  private EventFormatOptions() {}
}
