/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.docs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Public types outside of the modules for users carry no stability mark: their packages say so. */
class ExamplesTest {
  private static final String SENTENCE = "not public API: they may change in any version.";

  @Test
  void eachPackageOfExamplesAndBenchmarksSaysThatItIsNotApi() throws IOException {
    List<Path> packages;
    try (Stream<Path> files =
        Stream.of(Path.of("../../examples"), Path.of("../../benchmarks")).flatMap(this::sources)) {
      packages = files.map(Path::getParent).distinct().collect(Collectors.toList());
    }

    assertThat(packages)
        .hasSizeGreaterThan(10)
        .allSatisfy(
            folder ->
                assertThat(folder.resolve("package-info.java"))
                    .content()
                    .satisfies(
                        text ->
                            assertThat(text.replaceAll("\\s+\\*?\\s*", " ")).contains(SENTENCE)));
  }

  private Stream<Path> sources(Path root) {
    try {
      return Files.walk(root)
          .filter(file -> file.toString().contains("src/main/java"))
          .filter(file -> file.toString().endsWith(".java"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
