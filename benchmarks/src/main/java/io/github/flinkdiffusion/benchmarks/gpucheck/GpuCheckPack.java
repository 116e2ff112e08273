/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.gpucheck;

import io.github.flinkdiffusion.benchmarks.BenchmarkException;
import io.github.flinkdiffusion.benchmarks.RunOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Makes the folder that gpu-check runs from; {@code benchmarks/gpu-check pack} calls it. */
@Command(
    name = "gpu-check-pack",
    mixinStandardHelpOptions = true,
    description =
        "Packs what benchmarks/gpu-check needs on a machine with a GPU, Python and torch, and no network:"
            + " at most 64 MiB.")
public final class GpuCheckPack implements Callable<Integer> {
  /** What a machine may be given at most. */
  static final long LARGEST = 64L << 20;

  @Spec private CommandSpec spec;

  @Option(
      names = "--out",
      paramLabel = "FOLDER",
      description = "Made anew (default: benchmarks/target/gpu-check).")
  private Path out = RunOptions.home().resolve("benchmarks/target/gpu-check");

  @Option(names = "--small", description = "The tiny networks only, for a rehearsal.")
  private boolean small;

  @Option(
      names = "--no-java",
      description = "Leave the Java runtime out; the machine has a Java 17, or none is wanted.")
  private boolean noJava;

  @Override
  public Integer call() throws Exception {
    empty();
    PackedNetworks.write(out, small);
    PackedProgram program = new PackedProgram(out);
    program.compressNetworks();
    program.writePython();
    program.writeJars();
    if (!noJava) {
      program.writeRuntime();
    }
    long size = size(out);
    if (size > LARGEST) {
      throw new BenchmarkException(
          "The pack %s has %d bytes, more than %d: leave something out of it, such as the Java runtime (--no-java)."
              .formatted(out, size, LARGEST));
    }
    var terminal = spec.commandLine().getOut();
    terminal.printf("%s: %.1f MiB%n", out, size / (double) (1 << 20));
    terminal.flush();
    return 0;
  }

  /** Nothing but an earlier pack is deleted. */
  private void empty() throws IOException {
    if (Files.exists(out) && !Files.exists(out.resolve(PackedNetworks.MANIFEST))) {
      try (Stream<Path> files = Files.list(out)) {
        if (files.findAny().isPresent()) {
          throw new BenchmarkException(
              "%s is there and is no earlier pack: name an empty folder with --out."
                  .formatted(out));
        }
      }
    }
    PackedProgram.delete(out);
    Files.createDirectories(out);
  }

  static long size(Path folder) throws IOException {
    long size = 0;
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        size += Files.size(file);
      }
    }
    return size;
  }
}
