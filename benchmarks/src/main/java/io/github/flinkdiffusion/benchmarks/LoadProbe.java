/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.batching.BatchSettings;
import io.github.flinkdiffusion.ops.batching.MemoryShare;
import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.batching.ModelSource;
import io.github.flinkdiffusion.ops.batching.Patience;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

/**
 * A process of its own that loads a model on the CPU and says what that took, a line each:
 *
 * <ol>
 *   <li>{@code ready} when the pipeline is open;
 *   <li>{@code stepped} after its first step, of two rows and 64 x 64 pixels;
 *   <li>when all weights have been checked: {@code memory} with the peaks of the heap and of
 *       resident memory, and what of it is the process's own, in MiB. It then waits for a line;
 *   <li>{@code again} with the seconds that it takes to close the pipeline, to open it again and to
 *       make a step;
 *   <li>{@code kept} with the seconds from the end of a task to an image of one step that its
 *       restarted self makes, of the model that has stayed on the device.
 * </ol>
 */
final class LoadProbe {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final double MEBI = 1 << 20;
  private static final long PIXELS = 64;

  private LoadProbe() {}

  /**
   * @param arguments model folder, engine, precision, and where converted weights are kept or
   *     nothing
   */
  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    PipelineSettings plain =
        PipelineSettings.on(DeviceSpec.CPU)
            .withEngine(arguments[1])
            .withPrecision(Precision.valueOf(arguments[2]));
    PipelineSettings settings =
        arguments.length > 3 ? plain.withArchives(Path.of(arguments[3])) : plain;
    long begin;
    try (DiffusionPipeline pipeline = Pipelines.open(folder, settings)) {
      System.out.println("ready");
      step(pipeline);
      System.out.println("stepped");
      pipeline.model().info().digest();
      System.out.printf(
          Locale.ROOT,
          "memory %.3f %.3f %.3f%n",
          peakHeap() / MEBI,
          status("VmHWM:"),
          status("RssAnon:"));
      System.in.read();
      begin = System.nanoTime();
    }
    try (DiffusionPipeline pipeline = Pipelines.open(folder, settings)) {
      step(pipeline);
      System.out.printf(Locale.ROOT, "again %.6f%n", (System.nanoTime() - begin) / 1e9);
    }
    ModelSource source =
        new ModelSource() {
          @Override
          public String model() {
            return "model";
          }

          @Override
          public DiffusionPipeline open(String device) {
            return Pipelines.open(folder, settings);
          }
        };
    ModelPool.Member task = join();
    image(task, source);
    begin = System.nanoTime();
    task.close();
    task = join();
    image(task, source);
    System.out.printf(Locale.ROOT, "kept %.6f%n", (System.nanoTime() - begin) / 1e9);
    task.close();
  }

  private static ModelPool.Member join() {
    return ModelPool.ofProcess()
        .join(
            DeviceSpec.CPU.toString(),
            MemoryShare.UNLIMITED,
            BatchSettings.ofRows(2),
            new Patience(Duration.ofMinutes(1), "patience"),
            Duration.ofMinutes(1),
            cause -> {
              throw cause;
            });
  }

  private static void image(ModelPool.Member task, ModelSource source) throws Exception {
    CompletableFuture<GeneratedImage> image = new CompletableFuture<>();
    try (ModelPool.Use use = task.use(source, true).get()) {
      use.session()
          .submit(
              new Work.Fresh(use.batcher().model().prepare(spec().with(Parameters.STEPS, 1L))),
              Submission.DEFAULT,
              new RequestListener() {
                @Override
                public void onFinished(GeneratedImage finished) {
                  image.complete(finished);
                }

                @Override
                public void onFailed(RequestFailure failure) {
                  image.completeExceptionally(new BenchmarkException(failure.toString()));
                }
              });
      image.get();
    }
  }

  private static void step(DiffusionPipeline pipeline) {
    List<Trajectory> alone = pipeline.start(List.of(pipeline.model().prepare(spec())));
    pipeline.step(alone);
  }

  private static GenerationSpec spec() {
    return GenerationSpec.of("first")
        .with(Parameters.PROMPT, "a cat")
        .with(Parameters.WIDTH, PIXELS)
        .with(Parameters.HEIGHT, PIXELS);
  }

  /** The sum of the heap's parts, each at its peak: no less than the heap ever held. */
  private static long peakHeap() {
    return ManagementFactory.getMemoryPoolMXBeans().stream()
        .filter(pool -> pool.getType() == MemoryType.HEAP)
        .map(MemoryPoolMXBean::getPeakUsage)
        .mapToLong(usage -> usage.getUsed())
        .sum();
  }

  /** In MiB; -1 where the system does not tell. */
  private static double status(String field) throws IOException {
    if (!Files.isReadable(STATUS)) {
      return -1;
    }
    try (Stream<String> lines = Files.lines(STATUS)) {
      return lines
          .filter(line -> line.startsWith(field))
          .mapToDouble(line -> Long.parseLong(line.replaceAll("\\D", "")) / 1024.0)
          .findFirst()
          .orElse(-1);
    }
  }
}
