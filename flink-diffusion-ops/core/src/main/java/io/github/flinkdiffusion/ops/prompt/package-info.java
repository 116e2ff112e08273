/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Prompts that say more than their words: which words count more, which prompts are combined, and
 * which words a prompt has at which step. Texts only; what becomes of them is for the room {@code
 * pipeline}.
 */
package io.github.flinkdiffusion.ops.prompt;
