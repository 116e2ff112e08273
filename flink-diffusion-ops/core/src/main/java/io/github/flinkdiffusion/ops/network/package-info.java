/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Networks as diffusers and transformers define them, each emitted from its config into a {@link
 * io.github.flinkdiffusion.ops.graph.Graph} whose parameters carry the checkpoint's names.
 *
 * <p>Adding a network is one more class here and touches no other. Nothing here knows weights or
 * devices.
 *
 * <pre>{@code
 * Graph graph = new UNet2DCondition(config).graph();
 * }</pre>
 */
package io.github.flinkdiffusion.ops.network;
