/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The cluster that {@code examples/cluster/cluster} starts, driven through that script as its user
 * drives it. Safe for use by several threads.
 */
final class LocalCluster implements AutoCloseable {
  static final String BROKER = "broker";

  private static final Path SCRIPT = Path.of("cluster").toAbsolutePath();
  private static final long PATIENCE_SECONDS = 240;
  private static final Pattern JOB_ID = Pattern.compile("JobID ([0-9a-f]{32})");

  private final Path folder;
  private final long owner;
  private final Map<String, String> environment;

  /**
   * Starts nothing yet.
   *
   * @param folder for everything that the cluster writes
   * @param owner id of the process after whose end the cluster stops itself
   */
  LocalCluster(Path folder, long owner) {
    this(folder, owner, Map.of());
  }

  /**
   * @param environment more of what the script's head names, such as CLUSTER_CONFIG
   */
  LocalCluster(Path folder, long owner, Map<String, String> environment) {
    this.folder = folder.toAbsolutePath();
    this.owner = owner;
    this.environment = environment;
  }

  /** What a command came to. */
  record Ended(int exitCode, String output) {}

  /** Runs a command of the script, whatever it comes to. */
  Ended tryRun(String... command) {
    List<String> line = new ArrayList<>(List.of("bash", SCRIPT.toString()));
    line.addAll(Arrays.asList(command));
    try {
      // Into a file: what the script starts in the background must not keep a pipe open.
      Path output = Files.createTempFile("cluster-", ".out");
      try {
        ProcessBuilder builder =
            new ProcessBuilder(line)
                .redirectErrorStream(true)
                .redirectOutput(output.toFile())
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
        builder.environment().put("CLUSTER_FOLDER", folder.toString());
        builder.environment().put("CLUSTER_OWNER", Long.toString(owner));
        builder.environment().put("CLUSTER_BUILD", "no");
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        builder.environment().putAll(environment);
        Process process = builder.start();
        if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
          process.destroyForcibly();
          throw new AssertionError(
              "%s has not ended after %d s: %s"
                  .formatted(line, PATIENCE_SECONDS, Files.readString(output)));
        }
        return new Ended(process.exitValue(), Files.readString(output));
      } finally {
        Files.delete(output);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot run " + line, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("Interrupted while running " + line, e);
    }
  }

  /** Runs a command of the script, which must succeed. */
  String run(String... command) {
    Ended ended = tryRun(command);
    if (ended.exitCode() != 0) {
      throw new AssertionError(
          "'%s' ended with %d: %s"
              .formatted(String.join(" ", command), ended.exitCode(), ended.output()));
    }
    return ended.output();
  }

  /**
   * Submits the text-to-image job.
   *
   * @param arguments options and, last, the topics' prefix
   * @return its id
   */
  String submit(String... arguments) {
    List<String> command = new ArrayList<>(List.of("submit"));
    command.addAll(Arrays.asList(arguments));
    return jobId(run(command.toArray(String[]::new)));
  }

  /** The id in what Flink's command line says about a job that it has submitted. */
  static String jobId(String output) {
    Matcher id = JOB_ID.matcher(output);
    if (!id.find()) {
      throw new AssertionError("No job id in: " + output);
    }
    return id.group(1);
  }

  FlinkRest rest() {
    Path standby = folder.resolve("conf/jobmanager-2.port");
    try {
      return Files.exists(standby)
          ? new FlinkRest(setting("rest.port"), Files.readString(standby).strip())
          : new FlinkRest(setting("rest.port"));
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read " + standby, e);
    }
  }

  String bootstrapServers() {
    return setting("diffusion.kafka.bootstrap-servers");
  }

  private String setting(String key) {
    Path file = folder.resolve("conf/config.yaml");
    try {
      return Files.readAllLines(file).stream()
          .filter(line -> line.startsWith(key + ": "))
          .map(line -> line.substring(key.length() + 2))
          .findFirst()
          .orElseThrow(() -> new AssertionError("There is no " + key + " in " + file));
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read " + file, e);
    }
  }

  Path folder() {
    return folder;
  }

  /** What runs of it, as the machine sees it. */
  List<String> processes() {
    String mark = "-Dflinkdiffusion.cluster=" + folder;
    return ProcessHandle.allProcesses()
        .map(process -> process.info().commandLine().orElse(""))
        .filter(line -> line.contains(mark))
        .toList();
  }

  @Override
  public void close() {
    run("stop");
  }
}
