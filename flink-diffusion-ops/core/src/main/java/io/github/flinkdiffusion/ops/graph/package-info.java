/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * A network as a small typed program: parameters, operations, methods. It knows neither a tensor
 * library nor a file format: an engine turns it into what its runtime loads.
 *
 * <pre>{@code
 * Graph graph = new Graph();
 * Method forward = graph.method("forward");
 * Value x = forward.input("x", 2);
 * forward.returns(forward.silu(forward.linear(x, graph.parameter("weight", 8, 4), null)));
 * }</pre>
 */
package io.github.flinkdiffusion.ops.graph;
