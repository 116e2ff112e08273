package io.github.flinkdiffusion.ops.pipeline;

/**
 * A prompt as the denoising network sees it.
 *
 * @param states hidden states [tokens, size]
 * @param truncated true when the prompt's end did not fit
 */
record PromptEncoding(float[] states, boolean truncated) {}
