/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Jobs to run, to read and to copy from. {@link io.github.flinkdiffusion.examples.TextToImageJob
 * TextToImageJob} is a Flink job that makes pictures of the prompts on a Kafka topic; {@link
 * io.github.flinkdiffusion.examples.TextToImageDemo TextToImageDemo} runs it with a broker and a
 * cluster of its own and leaves pictures on disk. Nothing depends on this package.
 *
 * <pre>{@code
 * examples/run "a red apple on a blue background"
 * }</pre>
 *
 * <p>These are internals of the examples, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.examples;
