/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Where noise comes from. A diffusion sampler's picture is a function of its noise, so the
 * generator is part of a request's identity: same seed, same values, on every machine. A
 * generator's state can be saved between any two draws and restored elsewhere, which is what lets a
 * trajectory survive a checkpoint. {@link io.github.flinkdiffusion.ops.noise.TorchGenerator} gives
 * the reference's stream; {@link io.github.flinkdiffusion.ops.noise.NoiseField} gives tiles of a
 * large picture the same noise where they overlap.
 *
 * <pre>{@code
 * TorchGenerator generator = new TorchGenerator(42);
 * float[] latent = generator.gaussian(4 * 64 * 64);   // torch.randn((1, 4, 64, 64), generator=manual_seed(42))
 * byte[] state = generator.saveState();
 * float[] same = TorchGenerator.restore(state).gaussian(16); // what generator.gaussian(16) would have returned
 * float[] tile = new NoiseField(42).draw(0, 4, 512, 256, 64, 64);     // what its neighbours see there, too
 * }</pre>
 */
package io.github.flinkdiffusion.ops.noise;
