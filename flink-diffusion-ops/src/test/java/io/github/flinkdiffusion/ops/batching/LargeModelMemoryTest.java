/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.batching.MemoryGuard.Call;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.NativeMemory;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/**
 * Whether what {@link MemoryGuard} estimates of a large model is what its calls take, at sizes far
 * above those that were measured. Not part of the build: it takes ten minutes and 10 GB.
 *
 * <pre>
 * benchmarks/run load   # makes a Stable Diffusion 1.5 of random weights
 * mvn verify -pl flink-diffusion-ops -am -Dtest=LargeModelMemoryTest -Dsurefire.failIfNoSpecifiedTests=false \
 *   -Dmemory.model=$PWD/benchmarks/target/models/sd15-float16 -Dmemory.precision=FLOAT32
 * </pre>
 */
@EnabledIfSystemProperty(named = LargeModelMemoryTest.MODEL, matches = ".+")
class LargeModelMemoryTest {
  static final String MODEL = "memory.model";

  private static final List<Integer> SIDES = List.of(256, 512, 768);
  private static final double MIB = 1 << 20;

  private final NativeMemory memory = NativeMemory.ofProcess();
  private final List<String> lines = new ArrayList<>();
  private final List<String> tooLow = new ArrayList<>();

  @Test
  void whatALargeModelsCallsTakeIsNotAboveWhatIsEstimated() {
    Precision precision = Precision.valueOf(System.getProperty("memory.precision", "FLOAT32"));
    GenerationSpec example =
        GenerationSpec.of("example").with(Parameters.PROMPT, "a photo of a cat");
    try (DiffusionPipeline pipeline =
            Pipelines.open(
                Path.of(System.getProperty(MODEL)),
                PipelineSettings.on(DeviceSpec.CPU).withPrecision(precision));
        MemoryGuard guard =
            (MemoryGuard)
                MemoryGuard.around(
                    pipeline,
                    new BatchSettings(
                        OptionalInt.of(8),
                        Duration.ZERO,
                        Optional.of(example),
                        OptionalLong.empty()),
                    memory)) {
      lines.add("known: " + guard.known());
      for (int side : SIDES) {
        compare(guard, pipeline, side);
      }
    }
    lines.forEach(System.out::println);
    assertThat(tooLow).isEmpty();
  }

  private void compare(MemoryGuard guard, DiffusionPipeline pipeline, int side) {
    GenerationRequest text = pipeline.model().prepare(spec("text", side));
    float[] gray = new float[3 * side * side];
    GenerationRequest image =
        pipeline
            .model()
            .prepare(
                spec("image", side)
                    .with(Parameters.IMAGE, new Raster(3, side, side, gray))
                    .with(Parameters.STEPS, 2L)
                    .with(Parameters.STRENGTH, 0.5));
    List<Trajectory> one = new ArrayList<>();
    compare(guard, Call.ENCODE_TEXTS, 1, 1, side, () -> one.addAll(pipeline.start(List.of(text))));
    compare(
        guard,
        Call.ENCODE_IMAGES,
        1,
        pipeline.model().encodedPixels(image),
        side,
        () -> pipeline.start(List.of(image)));
    int size = one.get(0).snapshot().sample().length;
    compare(guard, Call.PREVIEW, 1, one.get(0).previewSize(), side, () -> pipeline.preview(one));
    compare(guard, Call.STEP, one.get(0).rows(), size, side, () -> pipeline.step(one));
    while (!one.get(0).done()) {
      pipeline.step(one);
    }
    compare(guard, Call.DECODE, 1, size, side, () -> pipeline.finish(one));
  }

  private static GenerationSpec spec(String id, int side) {
    return GenerationSpec.of(id)
        .with(Parameters.PROMPT, "a photo of a cat")
        .with(Parameters.STEPS, 1L)
        .with(Parameters.WIDTH, (long) side)
        .with(Parameters.HEIGHT, (long) side);
  }

  private void compare(
      MemoryGuard guard, Call call, int rows, long size, int side, Runnable makingIt) {
    long taken = memory.growthDuring(makingIt).orElseThrow();
    double estimated = guard.known().get(call).bytes(rows, size);
    String line =
        String.format(
            Locale.ROOT,
            "%-14s %d rows at %d x %d: %.0f MiB estimated, %.0f taken",
            call,
            rows,
            side,
            side,
            estimated / MIB,
            taken / MIB);
    lines.add(line);
    System.out.println(line);
    if (estimated * MemoryGuard.MARGIN + MemoryGuard.RESERVE_BYTES < taken) {
      tooLow.add(line);
    }
  }
}
