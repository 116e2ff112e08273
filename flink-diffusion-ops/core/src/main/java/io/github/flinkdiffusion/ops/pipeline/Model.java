/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * What a loaded model tells of itself and of requests to it, without the device. Everything here is
 * pure and cheap, and may be asked from any thread at any time.
 */
@Internal
public interface Model {

  /** Which model this is; computed when it was opened. */
  ModelInfo info();

  /** What its requests may say and what stands for what they do not. */
  Signature signature();

  /**
   * Why a trajectory of an earlier run cannot go on here: what it was begun with is not what
   * decides its image now, or its request says what no request may say here.
   *
   * @return a text for each, such as {@code precision (FLOAT32, now BFLOAT16)}; empty when it may
   *     go on
   */
  default List<String> differencesFrom(TrajectorySnapshot saved) {
    List<String> differences = new ArrayList<>(info().basis().differencesFrom(saved.basis()));
    signature()
        .notTaken(saved.request())
        .forEach(name -> differences.add("%s (taken, now not)".formatted(name)));
    return differences;
  }

  /** Channels of the image that requests bring; 3 where they bring none. */
  default int imageChannels() {
    return 3;
  }

  /** How it works on parts of larger images; empty if only whole ones make sense. */
  default Optional<Tiling> tiling() {
    return Optional.empty();
  }

  /**
   * What the image of a request's result says.
   *
   * @param request what it says; nothing gives what holds unless a request says otherwise
   * @throws InvalidRequestException when what it says of its result does not fit together
   */
  default ResultMeaning result(Arguments request) {
    return ResultMeaning.PICTURE;
  }

  /**
   * What the model does with a request, as audit records name it: text-to-image, image-to-image,
   * inpainting, super-resolution, segmentation and so on.
   */
  String taskName(Arguments request);

  /**
   * Fills in the model's own values for what the spec leaves open and checks every value.
   *
   * @throws InvalidRequestException naming the value and what would be accepted: a parameter that
   *     the pipeline does not take, a size that is no multiple of the model's scale factor or out
   *     of range, steps outside 1 .. num_train_timesteps, an unknown scheduler, a guidance scale
   *     that is not finite
   */
  GenerationRequest prepare(GenerationSpec spec);

  /**
   * {@link Trajectory#totalSteps} of a request's trajectory, known before it begins.
   *
   * @param request that {@link #prepare} returned
   */
  default int calls(GenerationRequest request) {
    return request.steps();
  }

  /**
   * Bytes of a trajectory's sample and of what its scheduler remembers, between two steps: the part
   * of heap and state that grows with the size.
   *
   * @param request prepared
   * @return 0 where it is not known without the request's image
   */
  default long trajectoryBytes(GenerationRequest request) {
    return 0;
  }

  /**
   * Bytes that each row of a request brings to a step, beside what every row has: factors of LoRAs.
   *
   * @param request prepared
   */
  default long rowBytes(GenerationRequest request) {
    return 0;
  }

  /**
   * Pixels of images that {@link DiffusionPipeline#start} gives a network for a request, which is
   * what the call's memory grows with.
   *
   * @param request prepared
   * @return 0 where no network sees an image before the first step
   */
  default long encodedPixels(GenerationRequest request) {
    return 0;
  }

  /**
   * Tokens of texts that {@link DiffusionPipeline#start} gives a text encoder for a request, with
   * what fills the shorter ones up; the call's memory grows with them.
   *
   * @param request prepared
   * @return 0 where all texts are of one length
   */
  default long encodedTokens(GenerationRequest request) {
    return 0;
  }
}
