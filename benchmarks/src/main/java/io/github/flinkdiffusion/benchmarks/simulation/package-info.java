/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Loads, servers and devices in a time of their own.
 *
 * <p>A {@link io.github.flinkdiffusion.benchmarks.simulation.Load} comes to a {@link
 * io.github.flinkdiffusion.benchmarks.simulation.Server} by a {@link
 * io.github.flinkdiffusion.benchmarks.simulation.Clock} that skips the time in which nothing
 * happens: with a model's pipeline it measures, with a stand-in whose calls cost what was measured
 * it simulates. {@link io.github.flinkdiffusion.benchmarks.simulation.StepLevelModel} is the same
 * without the batcher, for more devices than there are; {@link
 * io.github.flinkdiffusion.benchmarks.simulation.Fleet} is many of them behind a topic.
 *
 * <pre>{@code
 * Clock clock = Clock.simulated();
 * Server server = new StepLevelServer(StandInPipeline.of(costs, clock), requests, 16, clock);
 * List<Served> served = Server.serve(Load.mixed(1).poisson(1_000, 20), server, clock);
 * double p99 = Served.latency(served, Load.mixed(1)::isShort, 99);
 * }</pre>
 *
 * <p>These are internals of benchmarks, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.benchmarks.simulation;
