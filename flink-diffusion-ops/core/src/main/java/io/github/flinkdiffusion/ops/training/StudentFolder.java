/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.training.Distillation.Consistency;
import io.github.flinkdiffusion.ops.training.Distillation.Progressive;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.apache.flink.annotation.Internal;

/**
 * The model folder of a student: its teacher's, with the student's network, and with the scheduler
 * and the pipeline that make as few steps as it learned.
 *
 * @param teacher its folder
 * @param student from the denoising network's config of the teacher to the student's
 */
@Internal
public record StudentFolder(
    ModelFolder teacher, Distillation distillation, UnaryOperator<ObjectNode> student) {
  private static final String INDEX = "model_index.json";
  private static final String WORDS = "vocabulary.json";
  private static final String GUIDANCE = "guidance";
  private static final String SCHEDULER = "scheduler/scheduler_config.json";
  private static final String CLASS = "_class_name";

  /** What a scheduler's config says of the noise levels, which stay. */
  private static final List<String> LEVELS =
      List.of(
          "_diffusers_version",
          "beta_start",
          "beta_end",
          "beta_schedule",
          "trained_betas",
          "num_train_timesteps",
          "prediction_type",
          "rescale_betas_zero_snr");

  /**
   * Writes the folder.
   *
   * @param trained by the names of a {@link DistillationObjective}
   * @param dtype of the student's weights
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException if a file cannot be read or
   *     written
   */
  public void write(Path out, List<NamedWeight> trained, DType dtype) {
    TrainedFolder folder = new TrainedFolder(teacher, out).edited("unet/config.json", student);
    if (distillation instanceof Consistency consistency) {
      folder =
          folder
              .edited(SCHEDULER, config -> lcm(config, consistency))
              .edited(INDEX, index -> index(index, "LCMScheduler", latentConsistency(index)));
    } else if (distillation instanceof Progressive) {
      folder =
          folder
              .edited(SCHEDULER, StudentFolder::ddim)
              .edited(
                  INDEX,
                  index ->
                      index(
                          index,
                          "DDIMScheduler",
                          index.path(CLASS).asText().replace("DDPMPipeline", "DDIMPipeline")));
    }
    if (distillation.scales().guides() && Files.isRegularFile(teacher.path().resolve(WORDS))) {
      folder = folder.edited(WORDS, this::guidance);
    }
    folder.write(trained, Map.of(Denoiser.UNET, DistillationObjective.STUDENT), dtype);
  }

  /** A student has the scale in it, or takes one of those that it learned. */
  private ObjectNode guidance(ObjectNode words) {
    if (words.has(GUIDANCE)) {
      Distillation.Scales scales = distillation.scales();
      words.put(GUIDANCE, scales.vary() ? (scales.least() + scales.greatest()) / 2 : 1);
    }
    return words;
  }

  /** The pipeline that gives a network its scale; the teacher's if the student takes none. */
  private String latentConsistency(ObjectNode index) {
    ObjectNode unet = student.apply(teacher.component(Denoiser.UNET).config().node().deepCopy());
    return unet.hasNonNull("time_cond_proj_dim")
        ? "LatentConsistencyModelPipeline"
        : index.path(CLASS).asText();
  }

  private static ObjectNode index(ObjectNode index, String scheduler, String pipeline) {
    index.put(CLASS, pipeline);
    index.putArray("scheduler").add("diffusers").add(scheduler);
    return index;
  }

  private static ObjectNode levels(ObjectNode config, String scheduler) {
    ObjectNode kept = new ObjectMapper().createObjectNode().put(CLASS, scheduler);
    LEVELS.stream().filter(config::has).forEach(key -> kept.set(key, config.get(key)));
    return kept.put("clip_sample", false).put("set_alpha_to_one", true);
  }

  private static ObjectNode lcm(ObjectNode config, Consistency consistency) {
    return levels(config, "LCMScheduler")
        .put("original_inference_steps", consistency.solverSteps())
        .put("timestep_scaling", consistency.timestepScaling());
  }

  private static ObjectNode ddim(ObjectNode config) {
    return levels(config, "DDIMScheduler").put("timestep_spacing", "trailing");
  }
}
