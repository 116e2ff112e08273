package io.github.flinkdiffusion.ops.pipeline;

/**
 * What somebody asks for, not yet checked against a model. Every reference but {@code id} and
 * {@code prompt} may be null, which stands for the model's own value.
 *
 * @param id the request's name, for messages
 * @param prompt what the picture shows
 * @param negativePrompt what it should not show; null is the empty text
 * @param seed of the noise; null derives it from {@code id} with {@link Seeds#fromId}
 * @param scheduler diffusers class name; null is the model's own scheduler
 * @param steps num_inference_steps
 * @param guidanceScale classifier-free guidance weight; at most 1 turns guidance off
 * @param width in pixels
 * @param height in pixels
 */
public record GenerationSpec(
    String id,
    String prompt,
    String negativePrompt,
    Long seed,
    String scheduler,
    Integer steps,
    Double guidanceScale,
    Integer width,
    Integer height) {}
