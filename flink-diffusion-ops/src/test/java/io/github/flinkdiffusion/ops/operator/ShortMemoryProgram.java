/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.GenerationException;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.apache.flink.configuration.Configuration;

/**
 * Small requests to an embedded model and, if asked for, a far too large one among them: a {@code
 * text}, or an {@code image} to begin from. Says how much address space the process has taken at
 * most; ends with 0 when the small ones are done and the large one has failed.
 */
final class ShortMemoryProgram {
  static final String LARGEST = "address space in KiB:";
  private static final int SMALL = 20;
  private static final long LARGE_SIDE = 2048;

  private ShortMemoryProgram() {}

  public static void main(String[] arguments) throws Exception {
    boolean large = !arguments[0].equals("small");
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, "../examples/models/mini-emoji");
    config.set(DiffusionOptions.DEVICE, "cpu");
    config.set(DiffusionOptions.BATCH_ROWS, 8);
    config.set(DiffusionOptions.REQUEST_MAX_PIXELS, LARGE_SIDE * LARGE_SIDE);
    try (GenerationService service =
            GenerationService.open(
                GenerationService.Settings.of(config), name -> Set.of(), 0, "short");
        GenerationService.Served model = service.use(null).join()) {
      List<CompletableFuture<GeneratedImage>> small = new ArrayList<>();
      CompletableFuture<GeneratedImage> failing = null;
      for (int i = 0; i < SMALL; i++) {
        small.add(model.generate(spec("small-" + i)));
        if (large && i == SMALL / 2) {
          failing = model.generate(arguments[0].equals("image") ? largeImage() : largeText());
        }
      }
      for (CompletableFuture<GeneratedImage> image : small) {
        image.get();
      }
      if (large) {
        requireOutOfMemory(failing);
        model.generate(spec("afterwards")).get();
      }
    }
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmPeak:")) {
        System.out.println(LARGEST + line.replaceAll("\\D", ""));
      }
    }
    System.exit(0);
  }

  private static GenerationSpec spec(String id) {
    return GenerationSpec.of(id)
        .with(Parameters.PROMPT, "a cat")
        .with(Parameters.SEED, 1L)
        .with(Parameters.STEPS, 2L);
  }

  private static GenerationSpec largeText() {
    return spec("large").with(Parameters.WIDTH, LARGE_SIDE).with(Parameters.HEIGHT, LARGE_SIDE);
  }

  private static GenerationSpec largeImage() {
    int side = (int) LARGE_SIDE;
    return spec("large").with(Parameters.IMAGE, Raster.filled(3, side, side, 0.5f));
  }

  private static void requireOutOfMemory(CompletableFuture<GeneratedImage> failing)
      throws InterruptedException {
    try {
      failing.get();
      throw new IllegalStateException("The large image was made.");
    } catch (ExecutionException e) {
      RequestFailure failure = ((GenerationException) e.getCause()).failure();
      if (failure.kind() != RequestFailure.Kind.OUT_OF_MEMORY) {
        throw new IllegalStateException(failure.toString());
      }
      System.out.println(failure.message());
    }
  }
}
