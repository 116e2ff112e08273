/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** What tests of trainings share: a few images, recipes on tiny models, and the command. */
abstract class TrainingCase {
  static final Path MODELS =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/models");

  @TempDir Path folder;

  final Path data() throws IOException {
    Path data = Files.createDirectories(folder.resolve("data"));
    for (int i = 0; i < 3; i++) {
      Raster image = Raster.filled(3, 20, 24, 0.2f + 0.3f * i);
      Files.write(data.resolve(i + ".png"), Images.write(image, "image/png"));
      Files.writeString(data.resolve(i + ".txt"), "a small cat");
    }
    return data;
  }

  final int train(String recipe) throws IOException {
    Path file = Files.writeString(folder.resolve("recipe.yaml"), recipe);
    return new CommandLine(new TrainCommand()).execute("--config", file.toString());
  }

  final String recipe(String task, String model, int steps, String more) throws IOException {
    return """
    task: %s
    model: %s
    out: %s
    data: {layout: captions, path: %s, mirrored: true, random_crop: true}
    side: 16
    batch: 2
    steps: %d
    save_every: 2
    rate: {peak: 1.0e-3, warm_up: 1}
    samples: {every: 2, count: 2, steps: 2}
    %s
    """
        .formatted(
            task,
            MODELS.resolve(model).toAbsolutePath(),
            folder.resolve("out"),
            data(),
            steps,
            more);
  }

  static void copy(Path from, Path to) throws IOException {
    try (var files = Files.walk(from)) {
      for (Path file : files.toList()) {
        Path target = to.resolve(from.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(target);
        } else {
          Files.copy(file, target);
        }
      }
    }
  }
}
