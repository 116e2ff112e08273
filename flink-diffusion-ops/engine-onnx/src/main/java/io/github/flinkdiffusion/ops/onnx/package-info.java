/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * A {@link io.github.flinkdiffusion.ops.graph.Graph} as ONNX models, one a method, whose weights
 * stay in the user's own files. No ONNX library is needed to write one.
 *
 * <pre>{@code
 * OnnxEmitter emitter = new OnnxEmitter(graph, Precision.FLOAT32, placed::place, locations);
 * byte[] model = emitter.model(graph.methods().get(0));
 * }</pre>
 */
package io.github.flinkdiffusion.ops.onnx;
