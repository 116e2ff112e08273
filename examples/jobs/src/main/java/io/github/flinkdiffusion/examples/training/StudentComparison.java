/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.quality.Fidelity;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A page with a student beside its teacher, on the same seeds. Likeness is a measure of students
 * that are to end in their teacher's images; it says little of one that was pruned.
 *
 * @param device on which both are run
 * @param page that is written
 */
record StudentComparison(String device, Path page) {
  void write(
      Path teacher,
      List<GenerationSpec> teacherSpecs,
      Path student,
      List<GenerationSpec> studentSpecs)
      throws IOException {
    if (studentSpecs.isEmpty()) {
      return;
    }
    Drawn taught = drawn(teacher, teacherSpecs);
    Drawn learned = drawn(student, studentSpecs);
    double psnr = 0;
    double ssim = 0;
    int count = studentSpecs.size();
    for (int i = 0; i < count; i++) {
      psnr += Fidelity.psnr(taught.images().get(i), learned.images().get(i)) / count;
      ssim += Fidelity.ssim(taught.images().get(i), learned.images().get(i)) / count;
    }
    String text =
        """
        # Student and teacher

        %d images of the same seeds and prompts; seconds are those of one image after another on this machine.

        | | teacher | student |
        | --- | --- | --- |
        | parameters of the denoising network | %,d | %,d |
        | steps | %d | %d |
        | seconds an image | %.3f | %.3f |

        The student's images beside the teacher's: PSNR %.2f dB, SSIM %.3f in the mean.
        """;
    Files.writeString(
        page,
        String.format(
            Locale.ROOT,
            text,
            count,
            taught.parameters(),
            learned.parameters(),
            taught.steps(),
            learned.steps(),
            taught.seconds(),
            learned.seconds(),
            psnr,
            ssim));
  }

  private record Drawn(List<Raster> images, int steps, double seconds, long parameters) {}

  private Drawn drawn(Path model, List<GenerationSpec> specs) {
    PipelineSettings settings = PipelineSettings.on(Engines.standard().trainer().device(device));
    List<Raster> images = new ArrayList<>();
    double seconds = 0;
    int steps = 0;
    try (DiffusionPipeline pipeline = Pipelines.open(model, settings)) {
      // The first one is not timed: libraries are loaded and code is compiled meanwhile.
      steps = pipeline.model().calls(pipeline.model().prepare(specs.get(0)));
      image(pipeline, specs.get(0));
      for (GenerationSpec spec : specs) {
        long start = System.nanoTime();
        images.add(image(pipeline, spec));
        seconds += (System.nanoTime() - start) / 1e9 / specs.size();
      }
    }
    long parameters = 0;
    try (TensorStore unet = ModelFolder.open(model).component("unet").open()) {
      for (String name : unet.names()) {
        long elements = 1;
        for (long size : unet.info(name).shape()) {
          elements *= size;
        }
        parameters += elements;
      }
    }
    return new Drawn(images, steps, seconds, parameters);
  }

  private static Raster image(DiffusionPipeline pipeline, GenerationSpec spec) {
    List<Trajectory> alone = pipeline.start(List.of(pipeline.model().prepare(spec)));
    while (!alone.get(0).done()) {
      pipeline.step(alone);
    }
    return pipeline.finish(alone).get(0).image();
  }
}
