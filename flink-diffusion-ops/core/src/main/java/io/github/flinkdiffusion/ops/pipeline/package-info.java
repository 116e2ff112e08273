/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * A task on a model: a request becomes a {@link io.github.flinkdiffusion.ops.pipeline.Trajectory},
 * a batch of trajectories moves on by one network call, and a finished trajectory becomes a
 * picture.
 *
 * <p>The types here say what a pipeline promises (threads, shapes, errors), so that whoever decides
 * which trajectories share a call needs to know neither the model nor the tensor library. A
 * trajectory is small, lives on the Java heap and can be saved between any two steps; restored in
 * another process it ends in the same picture.
 *
 * <pre>{@code
 * GenerationRequest request = pipeline.model().prepare(spec);          // any thread; refuses what cannot be done
 * List<Trajectory> batch = pipeline.start(List.of(request));   // from here on: the device's thread
 * while (!batch.get(0).done()) {
 *   pipeline.step(batch);
 * }
 * GeneratedImage picture = pipeline.finish(batch).get(0);
 * }</pre>
 */
package io.github.flinkdiffusion.ops.pipeline;
