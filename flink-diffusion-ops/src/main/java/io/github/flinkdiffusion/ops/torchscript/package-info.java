/**
 * A network as a small typed graph, and its one emitter: a TorchScript archive that libtorch loads.
 *
 * <p>{@link io.github.flinkdiffusion.ops.torchscript.Graph} holds operations, not text, so that
 * another emitter (ONNX, say) is one more file. {@link
 * io.github.flinkdiffusion.ops.torchscript.ArchiveWriter} writes the zip that {@code
 * torch.jit.load} reads: pickled attributes, raw weights and the source text of the methods. No
 * tensor library is needed to write one.
 *
 * <pre>{@code
 * Graph graph = new Graph();
 * Method forward = graph.method("forward");
 * Value x = forward.input("x");
 * forward.returns(forward.silu(forward.linear(x, graph.parameter("weight", 8, 4), null)));
 * new ArchiveWriter(graph, StorageType.FLOAT32).write(path, weights);
 * }</pre>
 */
package io.github.flinkdiffusion.ops.torchscript;
