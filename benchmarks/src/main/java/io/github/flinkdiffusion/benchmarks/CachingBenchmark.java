/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.batching.BatchPolicy;
import io.github.flinkdiffusion.ops.batching.BatchSession;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Ticker;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Caching;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Numbers;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.quality.Fidelity;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** What reusing features of earlier steps gains, and what it costs. */
@Command(
    name = "caching",
    mixinStandardHelpOptions = true,
    description = "Images a second and PSNR with features reused across steps, on mini-emoji.")
final class CachingBenchmark extends BenchmarkCommand {
  private static final String WHOLE = "every step whole";
  private static final double SPEED_GOAL = 1.4;
  private static final double PSNR_GOAL = 30;

  @Option(
      names = "--requests",
      paramLabel = "N",
      description = "Images of a round (default: ${DEFAULT-VALUE}).")
  private int requests = 64;

  @Option(
      names = "--rows",
      paramLabel = "N",
      description = "Most rows of a network call (default: ${DEFAULT-VALUE}).")
  private int rows = 16;

  @Option(
      names = "--branch",
      paramLabel = "N",
      description = "diffusion.cache.branch (default: ${DEFAULT-VALUE}).")
  private int branch = 0;

  @Option(
      names = "--steps",
      paramLabel = "N",
      split = ",",
      description = "Steps (default: ${DEFAULT-VALUE}).")
  private List<Integer> steps = List.of(25, 50);

  /** What requests ask for. */
  private record Variant(String name, long interval, Numbers guided) {}

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      requests = 2;
      steps = List.of(3);
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Reusing features of earlier steps",
            """
            `mini-emoji`, %d prompts of its vocabulary, DDIM, guidance 2, two rows an image, at most %d rows a network call, without
            Kafka and Flink. `diffusion.cache.branch` %d. PSNR is the mean over the images, each against the image of its
            request when every step is whole.
            """
                .formatted(requests, rows, branch));
    PipelineSettings settings =
        PipelineSettings.on(DeviceSpec.CPU).withCaching(new Caching(1, branch, 1L << 30));
    try (DiffusionPipeline pipeline = Pipelines.open(MiniEmoji.folder(), settings)) {
      for (int each : steps) {
        measure(pipeline, each, result);
      }
    }
    return result;
  }

  private void measure(DiffusionPipeline pipeline, int steps, BenchmarkResult.Builder result)
      throws Exception {
    List<Variant> variants =
        List.of(
            new Variant(WHOLE, 1, null),
            new Variant("interval 2", 2, null),
            new Variant("interval 3", 3, null),
            new Variant("guidance in 0 to 0.6", 1, new Numbers(0, 0.6)),
            new Variant("interval 2, guidance in 0 to 0.6", 2, new Numbers(0, 0.6)));
    String scenario = steps + " steps";
    Map<String, Map<String, Raster>> images = new LinkedHashMap<>();
    Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
    for (Variant variant : variants) {
      subjects.put(
          variant.name(),
          () -> {
            long begin = System.nanoTime();
            images.put(variant.name(), generate(pipeline, steps, variant));
            return requests * 1e9 / (System.nanoTime() - begin);
          });
    }
    Map<String, Measurement> speeds = options().rounds().alternate(scenario, "images/s", subjects);
    speeds.values().forEach(result::add);
    for (Variant variant : variants.subList(1, variants.size())) {
      double psnr =
          images.get(variant.name()).entrySet().stream()
              .mapToDouble(
                  each -> Fidelity.psnr(each.getValue(), images.get(WHOLE).get(each.getKey())))
              .average()
              .orElseThrow();
      result.add(
          Finding.ratio(
              variant.name() + ": speed over every step whole",
              speeds.get(variant.name()),
              speeds.get(WHOLE),
              // Guidance in an interval is no caching: it saves a part of the rows.
              variant.interval() == 1 ? null : Goal.atLeast(SPEED_GOAL)));
      result.add(
          Finding.absolute(
              variant.name() + ": PSNR",
              new Measurement(scenario, variant.name(), "dB", List.of(psnr)),
              Goal.atLeast(PSNR_GOAL)));
    }
  }

  private Map<String, Raster> generate(DiffusionPipeline pipeline, int steps, Variant variant)
      throws IOException {
    StepBatcher batcher = new StepBatcher(pipeline, BatchPolicy.ofRows(rows), Ticker.SYSTEM);
    Map<String, Raster> images = new LinkedHashMap<>();
    try (BatchSession session = batcher.join(cause -> {})) {
      int number = 0;
      for (String prompt : MiniEmoji.prompts(requests)) {
        GenerationSpec spec =
            GenerationSpec.of("request-" + number++)
                .with(Parameters.PROMPT, prompt)
                .with(Parameters.STEPS, (long) steps)
                .with(Parameters.GUIDANCE_SCALE, 2.0)
                .with(Parameters.CACHE_INTERVAL, variant.interval());
        if (variant.guided() != null) {
          spec = spec.with(Parameters.GUIDANCE_INTERVAL, variant.guided());
        }
        session.submit(
            new Work.Fresh(pipeline.model().prepare(spec)),
            Submission.DEFAULT,
            new RequestListener() {
              @Override
              public void onFinished(GeneratedImage image) {
                images.put(image.request().id(), image.image());
              }

              @Override
              public void onFailed(RequestFailure failure) {
                throw new BenchmarkException(failure.message());
              }
            });
      }
      while (batcher.runOnce()) {
        // Until all are done.
      }
    }
    if (images.size() != requests) {
      throw new BenchmarkException("%d of %d images.".formatted(images.size(), requests));
    }
    return images;
  }
}
