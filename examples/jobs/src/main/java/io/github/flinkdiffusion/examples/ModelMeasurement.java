/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Signature;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** What one request costs on this machine, by doing a few steps of it. */
final class ModelMeasurement {
  private static final double NANOS = 1e9;
  private static final int SIDE = 64;
  private static final Path STATUS = Path.of("/proc/self/status");

  private final Path model;
  private final Optional<String> variant;
  private final String device;
  private final int steps;

  ModelMeasurement(Path model, Optional<String> variant, String device, int steps) {
    this.model = model;
    this.variant = variant;
    this.device = device;
    this.steps = steps;
  }

  void print() {
    DeviceSpec on = Engines.standard().device(device);
    PipelineSettings suiting = PipelineSettings.on(on);
    PipelineSettings settings = variant.map(suiting::withVariant).orElse(suiting);
    long begin = System.nanoTime();
    DiffusionPipeline pipeline = Pipelines.open(model, settings);
    try {
      line("loaded on " + on + " in " + settings.precision(), seconds(begin));
      measure(pipeline);
    } finally {
      pipeline.close();
    }
    residentPeak()
        .ifPresent(kib -> System.out.printf("  %-34s %d MiB%n", "peak memory", kib >> 10));
  }

  private void measure(DiffusionPipeline pipeline) {
    GenerationRequest request = pipeline.model().prepare(spec(pipeline));
    List<Trajectory> trajectories = pipeline.start(List.of(request));
    Trajectory one = trajectories.get(0);
    pipeline.step(trajectories);
    long begin = System.nanoTime();
    int made = 0;
    while (made < steps && !one.done()) {
      pipeline.step(trajectories);
      made++;
    }
    if (made > 0) {
      line(
          "a step of one request, %d x %d".formatted(request.width(), request.height()),
          seconds(begin) / made);
    }
    while (!one.done()) {
      pipeline.step(trajectories);
    }
    begin = System.nanoTime();
    pipeline.finish(trajectories);
    line("decoding", seconds(begin));
    System.out.println("  The model is supported and works here.");
  }

  private GenerationSpec spec(DiffusionPipeline pipeline) {
    Signature signature = pipeline.model().signature();
    GenerationSpec spec = GenerationSpec.of("check");
    if (signature.takes(Parameters.SEED)) {
      spec = spec.with(Parameters.SEED, 1L);
    }
    if (signature.takes(Parameters.STEPS)) {
      spec = spec.with(Parameters.STEPS, steps + 1L);
    }
    if (signature.takes(Parameters.PROMPT)) {
      spec = spec.with(Parameters.PROMPT, "a small house");
    }
    for (Signature.Entry entry : signature.entries()) {
      if (entry.required() && entry.parameter() == Parameters.IMAGE) {
        int channels = pipeline.model().imageChannels();
        spec = spec.with(Parameters.IMAGE, Raster.filled(channels, SIDE, SIDE, 0.5f));
      } else if (entry.required() && entry.parameter() == Parameters.MASK) {
        spec = spec.with(Parameters.MASK, Raster.filled(1, SIDE, SIDE, 1));
      } else if (entry.required() && entry.parameter() == Parameters.CLASS_LABEL) {
        spec = spec.with(Parameters.CLASS_LABEL, 0L);
      }
    }
    return spec;
  }

  private static void line(String what, double seconds) {
    System.out.printf(Locale.ROOT, "  %-34s %.3f s%n", what, seconds);
  }

  private static double seconds(long begin) {
    return (System.nanoTime() - begin) / NANOS;
  }

  /** Of the process so far, in KiB, with pages of mapped weights; where Linux tells it. */
  private static Optional<Long> residentPeak() {
    try {
      return Files.readAllLines(STATUS).stream()
          .filter(line -> line.startsWith("VmHWM:"))
          .map(line -> Long.parseLong(line.replaceAll("\\D", "")))
          .findFirst();
    } catch (IOException e) {
      return Optional.empty();
    }
  }
}
