package io.github.flinkdiffusion.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What happens when DJL is packed into a job's jar, against the advice of {@code deploy/README.md}:
 * the second job on a TaskManager is told what to do. That the same job can run twice where the
 * advice is followed is part of {@link KillITCase}.
 */
class PlacementITCase {
  private static final Duration PATIENCE = Duration.ofMinutes(4);

  /** Without the native libraries, whose place does not matter: who loads them does. */
  private static final List<String> PACKED =
      List.of(
          "flink-diffusion-ops-",
          "flink-diffusion-core-",
          "flink-diffusion-engine-torch-",
          "flink-diffusion-datastream-",
          "flink-diffusion-sql-",
          "flink-diffusion-connector-",
          "api-",
          "pytorch-engine-");

  @Test
  void theSecondJobThatBringsDjlItselfIsToldWhereItBelongs(@TempDir Path folder) throws Exception {
    LocalCluster cluster =
        new LocalCluster(Path.of("target/placement-test"), ProcessHandle.current().pid());
    cluster.run("clean");
    try (cluster) {
      cluster.run("start", LocalCluster.BROKER);
      forgetTheGuard(cluster.folder().resolve("conf/config.yaml"));
      cluster.run("start", "jobmanager", "taskmanager-1");
      FlinkRest rest = cluster.rest();
      await("the TaskManager is there")
          .atMost(PATIENCE)
          .ignoreExceptions()
          .until(() -> rest.taskManagers().contains("taskmanager-1"));
      Path jar = folder.resolve("packed.jar");
      pack(jar);

      String first = submit(cluster, jar, "first-");
      await("the first job runs").atMost(PATIENCE).until(() -> rest.job(first).allTasksRun());
      String second = submit(cluster, jar, "second-");
      await("the second job fails")
          .atMost(PATIENCE)
          .until(() -> !rest.job(second).rootCause().isEmpty());

      assertThat(rest.job(second).rootCause())
          .contains("libtorch is already loaded in this process by the class loader")
          .contains("into Flink's lib/ folder, leave them out of the job's jar")
          .contains("deploy/README.md");
    }
  }

  /** The setting that would send Flink to lib/ first, whatever a job's jar holds. */
  private static void forgetTheGuard(Path configuration) throws IOException {
    List<String> lines = Files.readAllLines(configuration);
    assertThat(lines.removeIf(line -> line.startsWith("classloader.parent-first-patterns")))
        .isTrue();
    Files.write(configuration, lines);
  }

  private static String submit(LocalCluster cluster, Path jar, String prefix) {
    return LocalCluster.jobId(
        cluster.run(
            "flink",
            "run",
            "--detached",
            "-t",
            "remote",
            "-Ddiffusion.model.folder=" + Path.of("../models/mini-emoji").toAbsolutePath(),
            "-Ddiffusion.kafka.transactional-id-prefix=" + prefix,
            "-c",
            "io.github.flinkdiffusion.examples.TextToImageJob",
            jar.toString(),
            prefix));
  }

  private static void pack(Path target) throws IOException {
    String[] added =
        Files.readString(Path.of("../../deploy/target/lib.classpath")).strip().split(":");
    Set<String> names = new HashSet<>();
    try (OutputStream file = Files.newOutputStream(target);
        ZipOutputStream packed = new ZipOutputStream(file);
        Stream<Path> job = Files.list(Path.of("../jobs/target"))) {
      List<Path> jars =
          Stream.concat(
                  job.filter(path -> path.getFileName().toString().endsWith(".jar")),
                  Stream.of(added).map(Path::of).filter(PlacementITCase::isPacked))
              .toList();
      assertThat(jars).hasSize(1 + PACKED.size());
      for (Path jar : jars) {
        try (ZipFile from = new ZipFile(jar.toFile())) {
          for (ZipEntry entry : from.stream().toList()) {
            if (!entry.isDirectory() && names.add(entry.getName())) {
              packed.putNextEntry(new ZipEntry(entry.getName()));
              try (InputStream content = from.getInputStream(entry)) {
                content.transferTo(packed);
              }
              packed.closeEntry();
            }
          }
        }
      }
    }
  }

  private static boolean isPacked(Path jar) {
    return PACKED.stream().anyMatch(jar.getFileName().toString()::startsWith);
  }
}
