/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * What the programs that train models share.
 *
 * <p>These are internals of the examples, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.examples.training;
