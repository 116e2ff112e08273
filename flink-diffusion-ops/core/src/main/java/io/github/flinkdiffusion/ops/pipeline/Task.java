/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import java.util.List;
import java.util.Optional;

/**
 * What makes one pipeline class of diffusers different from the others. Threads and errors are
 * those of {@link DiffusionPipeline}; {@link TaskPipeline} does the rest.
 */
interface Task extends AutoCloseable {

  /**
   * What it works with.
   *
   * @param components all networks that it has loaded, to be closed with it
   * @param autoencoder of a {@link LatentTask}
   */
  record Parts(
      Description description,
      Components components,
      SamplingPlans plans,
      Denoiser denoiser,
      Optional<Autoencoder> autoencoder) {

    /** Of a task that works on pixels, or has a decoder of its own. */
    Parts(Description description, Components components, SamplingPlans plans, Denoiser denoiser) {
      this(description, components, plans, denoiser, Optional.empty());
    }
  }

  Parts parts();

  /** What it tells of itself. */
  default Description description() {
    return parts().description();
  }

  /** See {@link Model#result}. */
  default ResultMeaning result(Arguments request) {
    return ResultMeaning.PICTURE;
  }

  /**
   * What is done with a request, as audit records name it. Unless the pipeline tells, the request's
   * inputs do.
   */
  default String name(Arguments request) {
    if (request.has(Parameters.CLASS_LABEL)) {
      return "class-to-image";
    }
    if (request.has(Parameters.MASK)) {
      return "inpainting";
    }
    if (request.has(Parameters.IMAGE)) {
      return "image-to-image";
    }
    return request.has(Parameters.PROMPT) ? "text-to-image" : "unconditional";
  }

  /**
   * Checks what the signature cannot, values that must fit each other or the model, and fills in
   * what depends on them. Pure.
   *
   * @throws InvalidRequestException for what cannot be done
   */
  GenerationRequest check(GenerationRequest request);

  /**
   * The way of a request. Pure and cached.
   *
   * @throws InvalidRequestException when the scheduler or the number of steps does not fit
   */
  default SamplingPlan plan(GenerationRequest request) {
    return parts().plans().plan(request);
  }

  /** The sample's shape, where the request alone says it and no image has to be looked at. */
  default Optional<SampleShape> shape(GenerationRequest request) {
    return Optional.empty();
  }

  /** See {@link Model#rowBytes}. */
  default long rowBytes(GenerationRequest request) {
    return 0;
  }

  /** See {@link Model#encodedPixels}. */
  default long encodedPixels(GenerationRequest request) {
    return 0;
  }

  /** See {@link Model#encodedTokens}. */
  default long encodedTokens(GenerationRequest request) {
    return 0;
  }

  /**
   * Encodes what requests are conditioned on and draws their first noise, each its own and in the
   * reference's order.
   *
   * @param noises one a request, before its first draw
   */
  List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises);

  default Denoiser denoiser() {
    return parts().denoiser();
  }

  /**
   * Finished samples to pictures.
   *
   * @return [N, channels, height, width], about 0..1, not yet clipped
   */
  HostTensor.Floats decode(List<Sample> done);

  /**
   * What samples have come to, as pictures to look at.
   *
   * @param rough small stand-ins of samples that are not finished
   * @return as {@link #decode}, of any size
   */
  default HostTensor.Floats decodePreview(List<Sample> rough) {
    return decode(rough);
  }

  @Override
  default void close() {
    parts().components().close();
  }
}
