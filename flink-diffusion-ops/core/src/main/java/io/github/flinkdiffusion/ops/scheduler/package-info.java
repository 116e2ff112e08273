/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Samplers as tables of numbers. Every scheduler that diffusers offers for images moves a sample by
 * a linear combination of what is at hand (the sample, the network's output, fresh noise and a few
 * remembered arrays), so its config and a step count compile, in double precision and without any
 * tensor code, to an immutable {@link io.github.flinkdiffusion.ops.scheduler.SamplingPlan}. (Two
 * classes do more after a step: RePaint puts a known part back and goes back to more noise, score
 * models correct by the size of the output. Both are values in the plan's rows, too.) The moving
 * part is one small {@link io.github.flinkdiffusion.ops.scheduler.SamplerState} per trajectory:
 * plain arrays that can be saved and restored at any step.
 *
 * <pre>{@code
 * SchedulerConfig config = SchedulerConfig.parse(Files.readString(file), file.toString());
 * SamplingPlan plan = Schedulers.plan(config, 25);
 * NoiseSource noise = new TorchGenerator(seed);
 * SamplerState state = SamplerState.start(plan, noise.gaussian(4 * 64 * 64));
 * while (!state.done()) {
 *   float[] output = network(state.modelInput(), plan.timestep(state.call()));
 *   state.advance(output, noise);
 * }
 * float[] latent = state.sample();
 * }</pre>
 *
 * <p>A new scheduler is one file with a static {@code plan} method and one line in {@link
 * io.github.flinkdiffusion.ops.scheduler.Schedulers}.
 */
package io.github.flinkdiffusion.ops.scheduler;
