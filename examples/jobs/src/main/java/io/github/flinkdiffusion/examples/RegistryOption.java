/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.format.Framing;
import io.github.flinkdiffusion.connector.format.RegistrySettings;
import io.github.flinkdiffusion.connector.format.UnknownFields;
import java.time.Duration;
import picocli.CommandLine.Option;

/** Where schemas are, for formats of topics that need them. */
final class RegistryOption {
  private static final Duration TIMEOUT = Duration.ofSeconds(5);

  @Option(
      names = "--registry",
      paramLabel = "URL",
      description = "The schema registry, for formats that need one, with Confluent's framing.")
  private String registry;

  /**
   * @param format null for none
   * @return null for none
   * @throws DemoException if the format needs a registry and none is named
   */
  FormatSettings settings(EventFormat format) {
    if (format == null) {
      return null;
    }
    if (format.usesRegistry() && registry == null) {
      throw new DemoException("The format %s needs --registry.".formatted(format));
    }
    return new FormatSettings(
        format,
        UnknownFields.REFUSE,
        null,
        format.usesRegistry()
            ? new RegistrySettings(registry, Framing.CONFLUENT, true, TIMEOUT, null, null)
            : null);
  }
}
