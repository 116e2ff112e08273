/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static java.nio.charset.StandardCharsets.UTF_8;
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
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A job that is submitted, cancelled and submitted again to one TaskManager, with its classes in a
 * class loader of its own that looks into the job's jar first, as Flink's does. With DJL in {@code
 * lib/} both work. With DJL in the job's jar, against the advice of {@code deploy/README.md}, later
 * ones are told what to do. Either way no class is missed, and ended jobs' class loaders go, but
 * for the one that has libtorch.
 */
class PlacementITCase {
  private static final Duration PATIENCE = Duration.ofMinutes(4);

  /** Flink's, for a job's jar. */
  private static final String JOB_CLASS_LOADER = "org.apache.flink.util.ChildFirstClassLoader";

  /** Without the native libraries, whose place does not matter: who loads them does. */
  private static final List<String> PACKED =
      List.of(
          "flink-diffusion-core-",
          "flink-diffusion-engine-torch-",
          "flink-diffusion-datastream-",
          "flink-diffusion-sql-",
          "flink-diffusion-connector-",
          "api-",
          "pytorch-engine-");

  @TempDir private Path folder;

  private interface OnACluster {
    void run(LocalCluster cluster, FlinkRest rest) throws Exception;
  }

  private static void onACluster(OnACluster test) throws Exception {
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
      test.run(cluster, rest);
    }
  }

  @Test
  void aJobWithDjlInLibRunsAgainAfterItWasCancelledAndLeavesNoClassLoader() throws Exception {
    Path jar = folder.resolve("thin.jar");
    pack(jar, List.of());
    onACluster(
        (cluster, rest) -> {
          for (String prefix : List.of("first-", "second-")) {
            String job = submit(cluster, jar, prefix);
            await("the job runs").atMost(PATIENCE).until(() -> rest.job(job).allTasksRun());
            assertThat(classLoaders(cluster)).isPositive();
            cancel(rest, job);
          }
          assertEndedInOrder(cluster, 0);
        });
  }

  /** That the message names the place and the way out is NativeLibraryOwnerTest's, each time. */
  @Test
  @Tag("nightly")
  void aLaterJobThatBringsDjlItselfIsToldWhereItBelongs() throws Exception {
    Path jar = folder.resolve("packed.jar");
    pack(jar, PACKED);
    onACluster(
        (cluster, rest) -> {
          String first = submit(cluster, jar, "first-");
          await("the first job runs").atMost(PATIENCE).until(() -> rest.job(first).allTasksRun());
          assertIsToldWhereDjlBelongs(rest, submit(cluster, jar, "while-it-runs-"));
          cancel(rest, first);
          assertIsToldWhereDjlBelongs(rest, submit(cluster, jar, "after-it-"));
          // DJL's native library holds two classes of the first job's until the process ends.
          assertEndedInOrder(cluster, 1);
        });
  }

  private static void cancel(FlinkRest rest, String job) {
    rest.cancel(job);
    await("the job has ended")
        .atMost(PATIENCE)
        .until(() -> rest.job(job).state().equals("CANCELED"));
  }

  /** At every restart, since another TaskManager could run it; until it is cancelled. */
  private static void assertIsToldWhereDjlBelongs(FlinkRest rest, String job) {
    await("the job fails").atMost(PATIENCE).until(() -> !rest.job(job).rootCause().isEmpty());
    assertThat(rest.job(job).rootCause())
        .contains("libtorch is already loaded in this process by the class loader")
        .contains("into Flink's lib/ folder, leave them out of the job's jar")
        .contains("deploy/README.md");
    cancel(rest, job);
  }

  private static void assertEndedInOrder(LocalCluster cluster, long held) throws IOException {
    await("the jobs' class loaders are collected")
        .atMost(PATIENCE)
        .untilAsserted(() -> assertThat(classLoaders(cluster)).isEqualTo(held));
    assertThat(Files.readString(cluster.folder().resolve("log/taskmanager-1.log")))
        .doesNotContain("NoClassDefFoundError", "leaking classloaders");
  }

  /** That are left in the TaskManager after a garbage collection. */
  private static long classLoaders(LocalCluster cluster) throws Exception {
    Path pid = cluster.folder().resolve("pids/taskmanager-1");
    Process jcmd =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "jcmd").toString(),
                Files.readString(pid).strip(),
                "GC.class_histogram")
            .redirectErrorStream(true)
            .start();
    String histogram = new String(jcmd.getInputStream().readAllBytes(), UTF_8);
    assertThat(jcmd.waitFor()).as("%s", histogram).isZero();
    // "  17:   2   144  org.apache.flink.util.ChildFirstClassLoader"
    return histogram
        .lines()
        .map(line -> line.strip().split("\\s+"))
        .filter(columns -> columns.length > 3 && columns[3].equals(JOB_CLASS_LOADER))
        .mapToLong(columns -> Long.parseLong(columns[1]))
        .sum();
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

  /**
   * The job's jar and, in it, what some of those in {@code lib/} hold.
   *
   * @param more how their names begin
   */
  private static void pack(Path target, List<String> more) throws IOException {
    String[] added =
        Files.readString(Path.of("../../deploy/target/lib.classpath")).strip().split(":");
    Set<String> names = new HashSet<>();
    try (OutputStream file = Files.newOutputStream(target);
        ZipOutputStream packed = new ZipOutputStream(file);
        Stream<Path> job = Files.list(Path.of("../jobs/target"))) {
      List<Path> jars =
          Stream.concat(
                  job.filter(path -> path.getFileName().toString().endsWith(".jar")),
                  Stream.of(added).map(Path::of).filter(path -> begins(path, more)))
              .toList();
      assertThat(jars).hasSize(1 + more.size());
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

  private static boolean begins(Path jar, List<String> names) {
    return names.stream().anyMatch(jar.getFileName().toString()::startsWith);
  }
}
