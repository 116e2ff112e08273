/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;
import java.util.Optional;

/**
 * What a single-file checkpoint says of the way it was trained, where its tensors' shapes cannot: a
 * tensor {@code v_pred} (it predicts velocities), a tensor {@code ztsnr} (its noise schedule ends
 * in noise alone), and {@code modelspec.prediction_type} of its metadata. Trainers and web
 * interfaces write them. diffusers does not read them and makes noise of such files.
 *
 * @param predictionType diffusers' {@code prediction_type}, if the file says one
 * @param zeroTerminal whether {@code rescale_betas_zero_snr} is on
 */
record SingleFileMarks(Optional<String> predictionType, boolean zeroTerminal) {
  /** The component whose config they change. */
  static final String SCHEDULER = "scheduler";

  private static final String METADATA = "modelspec.prediction_type";
  private static final String V_PREDICTION = "v_prediction";

  /** What the metadata may say, and diffusers' word for it. */
  private static final Map<String, String> PREDICTION_TYPES =
      Map.of("epsilon", "epsilon", "v", V_PREDICTION, V_PREDICTION, V_PREDICTION);

  /** Does not know {@code rescale_betas_zero_snr}. */
  private static final String PNDM = "PNDMScheduler";

  private static final String DDIM = "DDIMScheduler";

  /**
   * @throws WeightsException if the metadata says what is not known, or another thing than a tensor
   */
  static SingleFileMarks of(Safetensors tensors) {
    Optional<String> said = Optional.ofNullable(tensors.metadata().get(METADATA));
    Optional<String> known = said.map(PREDICTION_TYPES::get);
    if (said.isPresent() && known.isEmpty()) {
      throw new WeightsException(
          "Checkpoint %s: its metadata say %s = '%s'; known are epsilon, v, v_prediction. Give the configs of a folder (diffusion.model.configs)."
              .formatted(tensors.source(), METADATA, said.get()));
    }
    boolean marked = tensors.contains("v_pred");
    if (marked && known.isPresent() && !known.get().equals(V_PREDICTION)) {
      throw new WeightsException(
          "Checkpoint %s has a tensor 'v_pred', but its metadata say %s = '%s'. Give the configs of a folder (diffusion.model.configs)."
              .formatted(tensors.source(), METADATA, said.get()));
    }
    return new SingleFileMarks(
        marked ? Optional.of(V_PREDICTION) : known, tensors.contains("ztsnr"));
  }

  /** The inferred index, with a scheduler that can do what the file asks for. */
  JsonNode markedIndex(JsonNode inferred) {
    if (!zeroTerminal || !inferred.path(SCHEDULER).path(1).asText().equals(PNDM)) {
      return inferred;
    }
    ObjectNode index = inferred.deepCopy();
    index.putArray(SCHEDULER).add("diffusers").add(DDIM);
    return index;
  }

  /** The inferred config of the scheduler, as the file asks for it. */
  JsonNode markedScheduler(JsonNode inferred) {
    ObjectNode config = inferred.deepCopy();
    predictionType.ifPresent(type -> config.put("prediction_type", type));
    if (zeroTerminal) {
      config.put("rescale_betas_zero_snr", true);
      if (config.path("_class_name").asText().equals(PNDM)) {
        config.put("_class_name", DDIM);
        config.put("clip_sample", false);
      }
    }
    return config;
  }
}
