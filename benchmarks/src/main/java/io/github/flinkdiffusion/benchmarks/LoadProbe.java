package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;

/** A process of its own that loads a model on the CPU and says what that took. */
final class LoadProbe {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final double MEBI = 1 << 20;

  private LoadProbe() {}

  /**
   * Prints seconds, peak heap in MiB, and peak resident memory in MiB (-1 where the system does not
   * tell).
   *
   * @param arguments model folder, precision, and where archives are kept or nothing
   */
  public static void main(String[] arguments) throws IOException {
    PipelineSettings settings =
        PipelineSettings.on(DeviceSpec.CPU).withPrecision(Precision.valueOf(arguments[1]));
    if (arguments.length > 2) {
      settings = settings.withArchives(Path.of(arguments[2]));
    }
    // As the peer has imported torch before: the process's start counts for both.
    Engines.standard().gpuCount();
    long begin = System.nanoTime();
    try (DiffusionPipeline pipeline = Pipelines.open(Path.of(arguments[0]), settings)) {
      double seconds = (System.nanoTime() - begin) / 1e9;
      System.out.printf(
          Locale.ROOT, "%.6f %.3f %.3f%n", seconds, peakHeap() / MEBI, peakResident() / 1024.0);
    }
  }

  /** The sum of the heap's parts, each at its peak: no less than the heap ever held. */
  private static long peakHeap() {
    return ManagementFactory.getMemoryPoolMXBeans().stream()
        .filter(pool -> pool.getType() == MemoryType.HEAP)
        .map(MemoryPoolMXBean::getPeakUsage)
        .mapToLong(usage -> usage.getUsed())
        .sum();
  }

  private static long peakResident() throws IOException {
    if (!Files.isReadable(STATUS)) {
      return -1024;
    }
    try (Stream<String> lines = Files.lines(STATUS)) {
      return lines
          .filter(line -> line.startsWith("VmHWM:"))
          .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
          .findFirst()
          .orElse(-1024);
    }
  }
}
