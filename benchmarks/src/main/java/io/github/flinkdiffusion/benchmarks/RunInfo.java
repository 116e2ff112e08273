/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Where, when and of what a result was made. Nothing of it names a host or a user.
 *
 * @param date of the run's begin, ISO 8601 in UTC
 * @param command that was given, with paths shortened to their last part
 * @param commit of the project, with {@code -dirty} where files differed from it; {@code unknown}
 *     outside of git
 * @param machine what it ran on
 * @param versions of the software on both sides
 * @param threads that each side may compute with
 * @param loadBefore load average of the last minute before the run: near 0 on a quiet machine;
 *     negative where the system has none
 * @param smoke whether sizes were tiny, so that no figure means anything
 */
public record RunInfo(
    String date,
    String command,
    String commit,
    Machine machine,
    Map<String, String> versions,
    int threads,
    double loadBefore,
    boolean smoke) {

  /**
   * A machine.
   *
   * @param cpu as the system names it
   * @param cores that the process sees
   * @param memoryGiB of the machine
   * @param os name, version and architecture
   */
  public record Machine(String cpu, int cores, long memoryGiB, String os) {
    private static final Path CPU_INFO = Path.of("/proc/cpuinfo");

    static Machine here() {
      var system =
          (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
      return new Machine(
          cpuName(),
          Runtime.getRuntime().availableProcessors(),
          Math.round(system.getTotalMemorySize() / (double) (1L << 30)),
          "%s %s %s"
              .formatted(
                  System.getProperty("os.name"),
                  System.getProperty("os.version"),
                  System.getProperty("os.arch")));
    }

    private static String cpuName() {
      if (!Files.isReadable(CPU_INFO)) {
        return System.getProperty("os.arch");
      }
      try (Stream<String> lines = Files.lines(CPU_INFO)) {
        return lines
            .filter(line -> line.startsWith("model name"))
            .map(line -> line.substring(line.indexOf(':') + 1).strip())
            .findFirst()
            .orElse(System.getProperty("os.arch"));
      } catch (IOException e) {
        return System.getProperty("os.arch");
      }
    }
  }

  /**
   * This process's.
   *
   * @param command that was given
   * @param home the project's folder
   */
  static RunInfo begin(String command, Path home, boolean smoke) {
    Map<String, String> versions = new TreeMap<>();
    versions.put(
        "Java", System.getProperty("java.vm.name") + " " + System.getProperty("java.vm.version"));
    return new RunInfo(
        Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
        command,
        commit(home),
        Machine.here(),
        versions,
        configuredThreads(),
        ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage(),
        smoke);
  }

  /** Threads of one network call, as the launcher and the build set them for both sides. */
  static int configuredThreads() {
    return Integer.getInteger(
        "ai.djl.pytorch.num_threads", Runtime.getRuntime().availableProcessors());
  }

  RunInfo with(Map<String, String> more) {
    Map<String, String> all = new TreeMap<>(versions);
    all.putAll(more);
    return new RunInfo(date, command, commit, machine, all, threads, loadBefore, smoke);
  }

  private static String commit(Path home) {
    try {
      Process git =
          new ProcessBuilder("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
              .directory(home.toFile())
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      String text = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
      return git.waitFor(10, TimeUnit.SECONDS) && git.exitValue() == 0 ? text : "unknown";
    } catch (IOException e) {
      return "unknown";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "unknown";
    }
  }
}
