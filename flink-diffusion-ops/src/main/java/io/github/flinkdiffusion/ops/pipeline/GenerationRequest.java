package io.github.flinkdiffusion.ops.pipeline;

import java.util.Objects;

/**
 * A request that a model can do: {@link DiffusionPipeline#prepare} has filled in the model's own
 * values and checked all of them.
 *
 * <p>It is all that the picture depends on, together with the model, and it is what a checkpoint
 * stores: a later change of the job's defaults does not touch a request that has begun.
 *
 * @param id the request's name
 * @param prompt what the picture shows; not blank
 * @param negativePrompt what it should not show; may be empty
 * @param seed of the noise
 * @param scheduler diffusers class name
 * @param steps num_inference_steps, at least 1
 * @param guidanceScale finite; at most 1 means no guidance
 * @param width in pixels
 * @param height in pixels
 */
public record GenerationRequest(
    String id,
    String prompt,
    String negativePrompt,
    long seed,
    String scheduler,
    int steps,
    double guidanceScale,
    int width,
    int height) {
  public GenerationRequest {
    Objects.requireNonNull(id, "id");
    Objects.requireNonNull(prompt, "prompt");
    Objects.requireNonNull(negativePrompt, "negativePrompt");
    Objects.requireNonNull(scheduler, "scheduler");
  }
}
