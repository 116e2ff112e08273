/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * What runs networks, without saying which library does: an {@link
 * io.github.flinkdiffusion.ops.engine.Engine} is found on the class path and loads a {@link
 * io.github.flinkdiffusion.ops.engine.Program} onto a device.
 *
 * <pre>{@code
 * Engine engine = Engines.standard();
 * Program program = Program.of("unet", graph, Precision.FLOAT32, weights);
 * try (Network unet = engine.load(program, engine.device("auto"))) {
 *   HostTensor.Floats out = unet.call("forward", sample, timestep, context);
 * }
 * }</pre>
 */
package io.github.flinkdiffusion.ops.engine;
