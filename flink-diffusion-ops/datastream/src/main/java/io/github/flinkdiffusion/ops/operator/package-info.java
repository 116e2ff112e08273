/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Diffusion as a Flink operator: prompts in, pictures out, exactly once, with denoising that
 * survives a failure.
 *
 * <p>{@link io.github.flinkdiffusion.ops.operator.Diffusion} is where a job begins. The operator
 * behind it admits a bounded number of requests, hands them to the device that its process shares,
 * and never computes on the task's thread; a checkpoint holds each request as far as it has come:
 * as prompt, as trajectory at step k, or as finished picture. What cannot be done goes to a side
 * output with its reason, and never fails the job.
 *
 * <pre>{@code
 * DiffusionStreams pictures =
 *     Diffusion.textToImage()
 *         .setModel("/models/stable-diffusion-v1-5")
 *         .setCapacity(64)
 *         .uid("text-to-image")
 *         .apply(prompts);
 * pictures.images().sinkTo(images);
 * pictures.failures().sinkTo(failures);
 * }</pre>
 */
package io.github.flinkdiffusion.ops.operator;
