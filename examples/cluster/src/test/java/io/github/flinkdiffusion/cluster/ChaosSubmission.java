/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * How jobs of a run are submitted.
 *
 * @param folder of the run
 * @param payloads folder of large results
 */
record ChaosSubmission(Path folder, Path payloads) {
  private static final int CAPACITY = 16;

  /**
   * The command for the cluster.
   *
   * @param snapshot that the job goes on from
   */
  List<String> command(ChaosJob job, int parallelism, Optional<Path> snapshot) throws IOException {
    List<String> command = new ArrayList<>(List.of("flink", "run", "--detached", "-t", "remote"));
    snapshot.ifPresent(from -> command.addAll(List.of("-s", from.toUri().toString())));
    command.addAll(
        List.of(
            "-p",
            Integer.toString(parallelism),
            "-Ddiffusion.model.folder=" + ChaosRun.HOME.resolve(job.model()),
            "-Ddiffusion.device=cpu",
            "-Ddiffusion.capacity=" + CAPACITY,
            "-Ddiffusion.batch.rows=8",
            "-Ddiffusion.progress.every-steps=1",
            "-Ddiffusion.payload.store=" + SlowFileSystem.SCHEME + "://" + payloads,
            "-Ddiffusion.payload.allowed-prefixes=file://%s;%s://%s"
                .formatted(
                    folder.resolve("inputs"), SlowFileSystem.SCHEME, folder.resolve("inputs")),
            "-Ddiffusion.kafka.transactional-id-prefix=" + job.prefix().replaceAll("-$", "")));
    command.addAll(job.options());
    if (job == ChaosJob.ADAPTERS) {
      command.add("-Ddiffusion.loras.allowed=" + ChaosLoras.allowed(folder.resolve("loras")));
    }
    command.addAll(List.of("-c", job.program(), jar().toString(), job.prefix()));
    return command;
  }

  private static Path jar() throws IOException {
    try (Stream<Path> files = Files.list(ChaosRun.HOME.resolve("examples/jobs/target"))) {
      return files
          .filter(
              file -> file.getFileName().toString().matches("flink-diffusion-examples-.*\\.jar"))
          .filter(file -> !file.toString().matches(".*(sources|javadoc|tests).*"))
          .findFirst()
          .orElseThrow(() -> new IOException("The job's jar is missing: build examples/jobs."));
    }
  }

  /** A folder of its own for each job: what is in it is the newest that there is of this job. */
  Path savepoints(ChaosJob job, String id) {
    return folder.resolve("cluster/savepoints").resolve(job.letter() + "-" + id);
  }
}
