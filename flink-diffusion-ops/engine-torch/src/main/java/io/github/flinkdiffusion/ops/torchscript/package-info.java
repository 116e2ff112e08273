/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * A {@link io.github.flinkdiffusion.ops.graph.Graph} as a TorchScript archive that libtorch loads.
 *
 * <p>{@link io.github.flinkdiffusion.ops.torchscript.ArchiveWriter} writes the zip that {@code
 * torch.jit.load} reads: pickled attributes, raw weights and the source text of the methods. No
 * tensor library is needed to write one.
 *
 * <pre>{@code
 * new ArchiveWriter(graph, Precision.FLOAT32).write(path, weights);
 * }</pre>
 */
package io.github.flinkdiffusion.ops.torchscript;
