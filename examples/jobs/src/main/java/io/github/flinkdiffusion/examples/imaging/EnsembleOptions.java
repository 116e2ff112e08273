/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/** How an evaluation asks a model, and where it shows the answers. */
final class EnsembleOptions {
  @Option(
      names = "--samples",
      defaultValue = "8",
      description = "Samples of an image (default: ${DEFAULT-VALUE}).")
  private int samples;

  @Option(
      names = "--steps",
      defaultValue = "8",
      description = "Denoising steps (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(names = "--sheet", description = "PNG file for a contact sheet.")
  private Path sheet;

  int samples() {
    return samples;
  }

  int steps() {
    return steps;
  }

  Optional<Path> sheet() {
    return Optional.ofNullable(sheet);
  }
}
