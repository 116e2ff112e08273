/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * A Flink cluster and a Kafka broker of separate processes, as {@code examples/cluster/cluster}
 * starts them, under load and under attack. What only real processes can show is shown here: a
 * process that is killed takes its memory with it, cleans up nothing, and comes back with another
 * id.
 *
 * <pre>{@code
 * try (LocalCluster cluster = new LocalCluster(folder, ProcessHandle.current().pid())) {
 *   cluster.run("start");
 *   String job = cluster.submit("-p", "2", "posters-");
 *   cluster.run("kill", "taskmanager-1");
 *   cluster.run("start", "taskmanager-1");
 * }
 * }</pre>
 */
package io.github.flinkdiffusion.cluster;
