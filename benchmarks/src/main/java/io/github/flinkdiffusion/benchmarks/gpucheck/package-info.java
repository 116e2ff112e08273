/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * What {@code benchmarks/gpu-check} takes to a machine with a GPU: archives, ONNX models and lists
 * of weights of full-size networks, a program in Java and one in Python. The machine needs Python
 * and torch, no network and none of this project's build.
 *
 * <p>These are internals of benchmarks, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.benchmarks.gpucheck;
