/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * JMH benchmarks of what runs on the Java heap around the network calls. Their figures are compared
 * with a network call, which they wait for or delay, rather than with a peer.
 *
 * <pre>{@code
 * benchmarks/run hotpath
 * benchmarks/run hotpath --only 'Noise.*'
 * }</pre>
 *
 * <p>These are internals of benchmarks, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.benchmarks.hotpath;
