/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Students that learn from a teacher, by the command. */
class DistillationCommandTest extends TrainingCase {
  /** It is asked with guidance, so it must know the empty prompt. */
  @Test
  void aPrunedStudentLearnsTheEmptyPromptToo() throws Exception {
    String text =
        recipe(
            "distill", "tiny-sd1", 2, "distillation: {kind: pruned}\nloss: {prompt_dropout: 1.0}");
    Recipe recipe = Recipe.read(Files.writeString(folder.resolve("recipe.yaml"), text));
    try (TrainingTask task = TrainCommand.task(recipe, recipe.examples())) {
      HostTensor[] inputs = task.at(0);
      HostTensor.Longs ids = (HostTensor.Longs) inputs[inputs.length - 1];
      int tokens = (int) ids.shape()[1];
      // Nothing but the padding is behind the two ends of an empty prompt.
      assertThat(Arrays.stream(ids.data(), 2, tokens).distinct().count()).isEqualTo(1);
      assertThat(Arrays.copyOfRange(ids.data(), tokens, 2 * tokens))
          .isEqualTo(Arrays.copyOfRange(ids.data(), 0, tokens));
    }
  }

  @Test
  void studentsOfEachKindAreTrainedDrawnAndComparedWithTheirTeacher() throws Exception {
    for (String kind :
        List.of(
            "kind: consistency, guidance_min: 2, guidance_max: 8, guidance_embedding: 16",
            "kind: guidance, guidance_min: 3, guidance_max: 3",
            "kind: pruned, blocks: 1, block_out_channels: [16, 16, 16, 32]")) {
      Path out = folder.resolve(kind.replaceAll("\\W.*", "") + kind.length());
      String recipe =
          recipe("distill", "tiny-sd1", 2, "distillation: {" + kind + "}")
              .replace(folder.resolve("out").toString(), out.toString());
      assertThat(train(recipe)).as(kind).isZero();
      assertThat(out.resolve("samples/step-000002.png")).isNotEmptyFile();
      assertThat(out.resolve("comparison.md")).content().contains("PSNR", "parameters");
    }
  }

  /** A student without prompts, and a teacher that predicts what progressive steps need. */
  @Test
  void aNetworkOfPixelsLearnsToNeedHalfAsManySteps() throws Exception {
    Path teacher = folder.resolve("teacher");
    copy(MODELS.resolve("tiny-ddpm"), teacher);
    Path scheduler = teacher.resolve("scheduler/scheduler_config.json");
    Files.writeString(
        scheduler,
        Files.readString(scheduler)
            .replace(
                "\"trained_betas\"", "\"prediction_type\": \"v_prediction\", \"trained_betas\""));
    String recipe =
        recipe(
                "distill",
                "tiny-ddpm",
                2,
                "distillation: {kind: progressive, student_steps: 4, teacher_steps: 8}\n"
                    + "stored_as: float16")
            .replace(MODELS.resolve("tiny-ddpm").toAbsolutePath().toString(), teacher.toString());
    assertThat(train(recipe)).isZero();
    assertThat(folder.resolve("out/model/model_index.json")).content().contains("DDIMPipeline");
    assertThat(folder.resolve("out/comparison.md")).content().contains("| steps | 8 | 2 |");
    try (TensorStore weights =
        Safetensors.open(folder.resolve("out/model/unet/diffusion_pytorch_model.safetensors"))) {
      assertThat(weights.names()).allMatch(name -> weights.info(name).dtype() == DType.F16);
    }
  }
}
