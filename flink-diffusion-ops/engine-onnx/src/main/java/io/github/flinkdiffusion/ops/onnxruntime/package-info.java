/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * The engine ONNX Runtime: sessions over models that {@link io.github.flinkdiffusion.ops.onnx}
 * emits. It is the only room that imports {@code ai.onnxruntime}.
 */
package io.github.flinkdiffusion.ops.onnxruntime;
