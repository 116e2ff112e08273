/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.gpucheck;

import io.github.flinkdiffusion.benchmarks.BenchmarkException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Properties;
import java.util.regex.Pattern;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/** The programs of a pack: Python's, the jars of the one in Java, and a Java to run them. */
final class PackedProgram {
  /** The kind of torch that DJL has native code for, beside that for CPUs. */
  static final String FLAVOR = "cu128";

  private static final String OWN_CLASSES =
      PackedProgram.class.getPackageName().replace('.', '/') + "/";

  /** The project's modules that networks need, and what these need. */
  private static final Pattern JARS =
      Pattern.compile(
          "(flink-diffusion-(core|engine-torch|engine-onnx)|api|pytorch-engine|pytorch-jni|jna|gson|slf4j-api"
              + "|jackson-(core|databind|annotations)|commons-(compress|io|lang3|codec))-\\d.*\\.jar");

  /** Folders of classes, when the build has made no jars: a class of each such module. */
  private static final List<String> MARKS =
      List.of(
          "io/github/flinkdiffusion/ops/graph/Graph.class",
          "io/github/flinkdiffusion/ops/torch/TorchEngine.class",
          "io/github/flinkdiffusion/ops/onnxruntime/OnnxRuntimeEngine.class");

  private static final String MODULES =
      "java.base,java.logging,java.management,java.xml,jdk.unsupported";

  private final Path pack;

  PackedProgram(Path pack) {
    this.pack = pack;
  }

  /** The version of libtorch that DJL's native code was built for, such as 2.7.1. */
  static String libtorch() throws IOException {
    Properties about = new Properties();
    try (InputStream in = PackedProgram.class.getResourceAsStream("/jnilib/pytorch.properties")) {
      about.load(in);
    }
    return about.getProperty("jni_version").split("-")[0];
  }

  void writePython() throws IOException {
    try (InputStream in = PackedProgram.class.getResourceAsStream("/gpu-check/check.py")) {
      Files.write(pack.resolve("check.py"), in.readAllBytes());
    }
  }

  /** Archives and models are texts in files that may not be compressed by themselves. */
  void compressNetworks() throws IOException {
    jar(pack, PackedNetworks.FOLDER, pack.resolve("networks.zip"));
    delete(pack.resolve(PackedNetworks.FOLDER));
  }

  /** Deletes a folder with all that is in it, if it is there. */
  static void delete(Path folder) throws IOException {
    if (Files.exists(folder)) {
      try (Stream<Path> files = Files.walk(folder)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }

  void writeJars() throws IOException {
    Path lib = Files.createDirectories(pack.resolve("lib"));
    int modules = 0;
    for (Path entry : classPath()) {
      String name = entry.getFileName().toString();
      if (Files.isDirectory(entry)) {
        if (MARKS.stream().anyMatch(mark -> Files.exists(entry.resolve(mark)))) {
          jar(entry, "", lib.resolve("module" + modules++ + ".jar"));
        }
        if (Files.isDirectory(entry.resolve(OWN_CLASSES))
            && Files.exists(entry.resolve(OWN_CLASSES + "JavaCheck.class"))) {
          jar(entry, OWN_CLASSES, lib.resolve("gpu-check.jar"));
        }
      } else if (name.startsWith("pytorch-jni-")) {
        withoutOtherPlatforms(entry, lib.resolve(name));
      } else if (JARS.matcher(name).matches()) {
        Files.copy(entry, lib.resolve(name));
        modules += name.startsWith("flink-diffusion-") ? 1 : 0;
      }
    }
    if (modules != MARKS.size()) {
      throw new BenchmarkException(
          "The class path has %d of the %d modules that the pack needs: build with Maven first, as benchmarks/run does."
              .formatted(modules, MARKS.size()));
    }
  }

  private static List<Path> classPath() {
    return Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
        .map(Path::of)
        .filter(Files::exists)
        .toList();
  }

  private static void jar(Path classes, String prefix, Path target) throws IOException {
    try (ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(target));
        Stream<Path> files = Files.walk(classes.resolve(prefix))) {
      for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
        String name = classes.relativize(file).toString().replace(File.separatorChar, '/');
        if (!name.contains(".ft-")) {
          out.putNextEntry(new ZipEntry(name));
          Files.copy(file, out);
        }
      }
    }
  }

  /** DJL's native code for the platform of GPU machines. */
  private static void withoutOtherPlatforms(Path jar, Path target) throws IOException {
    try (ZipFile in = new ZipFile(jar.toFile());
        ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(target))) {
      for (ZipEntry entry : in.stream().map(ZipEntry.class::cast).toList()) {
        String name = entry.getName();
        boolean needed =
            !entry.isDirectory()
                && (!name.startsWith("jnilib/")
                    || name.endsWith(".properties")
                    || name.startsWith("jnilib/linux-x86_64/"));
        if (needed) {
          out.putNextEntry(new ZipEntry(name));
          in.getInputStream(entry).transferTo(out);
        }
      }
    }
  }

  /** A Java for machines like this one. */
  void writeRuntime() {
    ToolProvider jlink =
        ToolProvider.findFirst("jlink")
            .orElseThrow(
                () ->
                    new BenchmarkException(
                        "This Java has no jlink: use a JDK, or leave the runtime out (--no-java)."));
    StringWriter said = new StringWriter();
    int status =
        jlink.run(
            new PrintWriter(said),
            new PrintWriter(said),
            "--add-modules",
            MODULES,
            "--compress=2",
            "--strip-java-debug-attributes",
            "--no-header-files",
            "--no-man-pages",
            "--output",
            pack.resolve("jre").toString());
    if (status != 0) {
      throw new BenchmarkException(
          "jlink made no runtime: %s. Leave it out with --no-java."
              .formatted(said.toString().strip()));
    }
  }
}
