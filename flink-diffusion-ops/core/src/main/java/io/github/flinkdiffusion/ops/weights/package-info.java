/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Model folders and their weights: safetensors files, dtype conversion, configs.
 *
 * <p>A {@link io.github.flinkdiffusion.ops.weights.ModelFolder} is a diffusers folder on disk, or a
 * single-file checkpoint that looks like one, with {@link
 * io.github.flinkdiffusion.ops.weights.Lora}s in it if asked for; each of its components has a
 * {@link io.github.flinkdiffusion.ops.weights.Config} and a {@link
 * io.github.flinkdiffusion.ops.weights.TensorStore}, whose tensors are memory-mapped and so cost no
 * heap until they are read. Everything read is checked before anything is allocated, and nothing
 * that could run code (a pickle) is opened. What is wrong with a file is said once, in a {@link
 * io.github.flinkdiffusion.ops.weights.WeightsException} that names the file and the key.
 *
 * <pre>{@code
 * ModelFolder folder = ModelFolder.open(Path.of("/models/stable-diffusion-v1-5"));
 * ModelComponent unet = folder.component("unet");
 * int channels = unet.config().integer("in_channels", 4);
 * try (TensorStore weights = unet.open()) {
 *   float[] bias = weights.floats("conv_in.bias");
 *   weights.writeTo("conv_in.weight", DType.F16, archive);
 * }
 * }</pre>
 */
package io.github.flinkdiffusion.ops.weights;
