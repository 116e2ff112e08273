/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Text to token ids, exactly as text encoders expect them.
 *
 * <p>{@link io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer} reads the {@code tokenizer}
 * folder of a model and gives the ids that transformers' {@code CLIPTokenizer} gives, padded and
 * truncated as diffusers asks for them. {@link
 * io.github.flinkdiffusion.ops.tokenizer.PromptTokenizer} does the same for T5, Qwen and Gemma,
 * whose texts have a mask. {@link io.github.flinkdiffusion.ops.tokenizer.BpeTrainer} learns a small
 * vocabulary of that kind for models that are trained from nothing. Both are plain Java, immutable
 * once made, and safe for several threads.
 *
 * <pre>{@code
 * ClipTokenizer tokenizer = ClipTokenizer.load(folder.component("tokenizer"));
 * Tokens tokens = tokenizer.encode("a photo of an astronaut riding a horse");
 * tokens.ids();       // 77 ids: start, the text's, end, padding
 * tokens.truncated(); // false: the whole text fits
 * }</pre>
 */
package io.github.flinkdiffusion.ops.tokenizer;
