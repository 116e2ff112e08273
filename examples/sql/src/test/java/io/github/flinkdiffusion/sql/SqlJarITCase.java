/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.sql;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.junit.jupiter.api.Test;

/** What is in the SQL jar, and what must not be. */
class SqlJarITCase {

  private static Path jar() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("../../deploy/sql-jar/target"))) {
      return files
          .filter(file -> file.getFileName().toString().matches("flink-sql-diffusion-.*\\.jar"))
          .findFirst()
          .orElseThrow();
    }
  }

  @Test
  void itHoldsOursAndTheLibrariesButNothingOfFlinksAndNoNamesThatConflict() throws IOException {
    try (ZipFile jar = new ZipFile(jar().toFile())) {
      List<String> classes =
          jar.stream().map(ZipEntry::getName).filter(name -> name.endsWith(".class")).toList();
      assertThat(classes)
          .contains(
              "io/github/flinkdiffusion/ops/table/DiffusionModelProviderFactory.class",
              "io/github/flinkdiffusion/connector/event/PromptEvent.class",
              "io/github/flinkdiffusion/shaded/avro/Schema.class",
              "ai/djl/engine/Engine.class",
              "ai/djl/pytorch/jni/PyTorchLibrary.class");
      assertThat(classes)
          .allMatch(
              name ->
                  name.startsWith("io/github/flinkdiffusion/")
                      || name.startsWith("ai/djl/")
                      || name.startsWith("com/sun/jna/")
                      || name.startsWith("META-INF/versions/"));
      assertThat(classes).noneMatch(name -> name.contains("org/apache/flink/"));
    }
  }

  @Test
  void servicesAreFoundAndLicensesAreThere() throws IOException {
    try (ZipFile jar = new ZipFile(jar().toFile())) {
      assertThat(text(jar, "META-INF/services/org.apache.flink.table.factories.Factory"))
          .contains(
              "DiffusionModelProviderFactory",
              "DiffusionModuleFactory",
              "EventFormatFactory",
              "EventFormatFactory$RegistryJson");
      assertThat(text(jar, "META-INF/services/ai.djl.engine.EngineProvider")).contains("ai.djl");
      assertThat(text(jar, "META-INF/services/io.github.flinkdiffusion.ops.engine.Engine"))
          .contains(
              "io.github.flinkdiffusion.ops.torch.TorchEngine",
              "io.github.flinkdiffusion.ops.onnxruntime.OnnxRuntimeEngine");
      assertThat(text(jar, "META-INF/LICENSE")).contains("Apache License");
      assertThat(text(jar, "META-INF/NOTICE"))
          .contains("Flink Diffusion", "ai.djl:api", "org.apache.avro:avro", "jna");
      assertThat(jar.stream().map(ZipEntry::getName))
          .noneMatch(name -> name.matches("META-INF/.*\\.(SF|RSA|DSA)"));
    }
  }

  private static String text(ZipFile jar, String name) throws IOException {
    ZipEntry entry = jar.getEntry(name);
    assertThat(entry).as(name).isNotNull();
    return new String(jar.getInputStream(entry).readAllBytes(), StandardCharsets.UTF_8);
  }
}
