/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The command line, without an examination. */
class DoctorCommandTest {
  @TempDir private Path folder;

  @Test
  void aFolderWithoutConfigurationIsOneLine() {
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    assertThat(
            Doctor.run(
                new String[] {"--conf", folder.toString()},
                System.out,
                new PrintStream(err, true, StandardCharsets.UTF_8)))
        .isEqualTo(1);
    assertThat(err.toString(StandardCharsets.UTF_8).lines())
        .singleElement()
        .asString()
        .startsWith("error: ")
        .contains(folder.toString(), "--conf");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'a: 1\n"
            + "b: [1, 2\n"
            + "c: 3' | config.yaml is not valid YAML: while parsing a flow sequence in reader, line"
            + " 2, column 4 expected ',' or ']', but got : in reader, line 3, column 2.",
        "'a: 1\n  b: 2' | line 2, column 4",
        "'a: 1\na: 2' | line 2, column 1",
        "'- a' | config.yaml has no keys with values.",
        "'a' | config.yaml has no keys with values."
      })
  void aMalformedConfigurationIsOneLineWithItsPlace(String yaml, String place) throws IOException {
    Path conf = Files.createDirectory(folder.resolve("conf"));
    Files.writeString(conf.resolve("config.yaml"), yaml);
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    assertThat(
            Doctor.run(
                new String[] {"--conf", conf.toString()},
                System.out,
                new PrintStream(err, true, StandardCharsets.UTF_8)))
        .isEqualTo(1);
    assertThat(err.toString(StandardCharsets.UTF_8).lines())
        .as("%s", err)
        .singleElement()
        .asString()
        .startsWith("error: ")
        .contains(conf.resolve("config.yaml").toString(), place, "Correct the file");
  }
}
