/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import org.apache.flink.util.TimeUtils;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** How the tools' options say times. */
final class TimeOption {
  private TimeOption() {}

  /** A duration as Flink writes it: 36 h, 7 d. */
  static final class Span implements ITypeConverter<Duration> {
    @Override
    public Duration convert(String text) {
      try {
        return TimeUtils.parseDuration(text);
      } catch (IllegalArgumentException e) {
        throw new TypeConversionException(
            "'%s' is not a duration; expected one such as '7 d' or '72 h'".formatted(text));
      }
    }
  }

  /** A point in time, or how long ago. */
  static final class Point implements ITypeConverter<Instant> {
    @Override
    public Instant convert(String text) {
      try {
        return Instant.parse(text);
      } catch (DateTimeException notAPoint) {
        try {
          return Instant.now().minus(TimeUtils.parseDuration(text));
        } catch (IllegalArgumentException e) {
          throw new TypeConversionException(
              "'%s' is not a time; expected one such as 2026-11-29T08:00:00Z or '2 h'"
                  .formatted(text));
        }
      }
    }
  }
}
