/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/** What the programs that train models share. */
package io.github.flinkdiffusion.examples.training;
