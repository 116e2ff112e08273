/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.gpucheck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.benchmarks.BenchmarkException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.ZipFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/**
 * What goes to a GPU machine is whole and small enough, so that a machine's minutes are not lost.
 */
class GpuCheckPackTest {
  @TempDir private Path folder;

  private Path pack(String... options) {
    Path out = folder.resolve("pack");
    List<String> arguments = new ArrayList<>(List.of(options));
    arguments.addAll(List.of("--out", out.toString()));
    CommandLine command =
        new CommandLine(new GpuCheckPack()).setOut(new PrintWriter(new StringWriter()));
    assertThat(command.execute(arguments.toArray(String[]::new))).isZero();
    return out;
  }

  @Test
  void allNetworksWithAJavaFitIntoWhatAMachineIsGiven() throws Exception {
    Path pack = pack();

    assertThat(GpuCheckPack.size(pack)).isLessThanOrEqualTo(GpuCheckPack.LARGEST);
    assertThat(pack.resolve("jre/bin/java")).isExecutable();
    JsonNode networks = manifest(pack).get("networks");
    assertThat(networks.findValuesAsText("name"))
        .contains("sd15-unet", "sdxl-unet", "dit-xl-2", "sd15-vae", "sd15-text");
    try (ZipFile zip = new ZipFile(pack.resolve("networks.zip").toFile())) {
      for (JsonNode network : networks) {
        assertThat(zip.getEntry(network.get("config").asText())).isNotNull();
        for (String kind : List.of("weights", "archives", "onnx")) {
          assertThat(network.get(kind))
              .as(network.get("name") + " " + kind)
              .isNotEmpty()
              .allMatch(file -> zip.getEntry(file.asText()) != null);
        }
      }
    }
  }

  @Test
  void theJarsOfThePackAreAllThatTheProgramInJavaNeedsUpToLibtorch() throws Exception {
    Path pack = pack("--small", "--no-java");

    ProcessBuilder builder =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                jars(pack),
                JavaCheck.class.getName(),
                pack.resolve("manifest.json").toString(),
                folder.toString(),
                "pytorch",
                "cpu",
                "float32",
                "60",
                "none")
            .redirectErrorStream(true);
    builder.environment().remove("PYTORCH_LIBRARY_PATH");
    Process java = builder.start();
    String said = new String(java.getInputStream().readAllBytes());
    java.waitFor();

    // No libtorch is in the pack: the GPU machine's own is used. Everything up to it is there.
    assertThat(said).contains("UnusableEngineException").contains("engine pytorch add");
  }

  private static String jars(Path pack) throws IOException {
    try (Stream<Path> jars = Files.list(pack.resolve("lib"))) {
      return String.join(":", jars.map(Path::toString).toList());
    }
  }

  @Test
  void aFolderThatIsNoPackIsLeftAsItIs() throws Exception {
    Path precious = Files.writeString(folder.resolve("precious.txt"), "mine");
    GpuCheckPack command = new GpuCheckPack();
    new CommandLine(command).parseArgs("--out", folder.toString());

    assertThatThrownBy(command::call)
        .isInstanceOf(BenchmarkException.class)
        .hasMessageContaining(folder.toString());
    assertThat(precious).hasContent("mine");
  }

  @Test
  void theProgramInPythonIsOneThatPythonCanRead() throws Exception {
    Path program = folder.resolve("check.py");
    Files.write(
        program, GpuCheckPack.class.getResourceAsStream("/gpu-check/check.py").readAllBytes());
    assumeThat(hasPython()).as("python3 is here").isTrue();

    Process python =
        new ProcessBuilder("python3", "-m", "py_compile", program.toString())
            .redirectErrorStream(true)
            .start();
    String said = new String(python.getInputStream().readAllBytes());

    assertThat(python.waitFor()).as(said).isZero();
  }

  private static boolean hasPython() throws InterruptedException {
    try {
      return new ProcessBuilder("python3", "--version").start().waitFor() == 0;
    } catch (IOException e) {
      return false;
    }
  }

  private static JsonNode manifest(Path pack) throws IOException {
    return new ObjectMapper().readTree(pack.resolve("manifest.json").toFile());
  }
}
