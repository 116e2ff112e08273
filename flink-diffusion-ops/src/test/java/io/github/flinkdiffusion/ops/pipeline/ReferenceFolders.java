/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A test whose folders make the reference's images: some in each build, the others every night. */
@Tag("names-its-engine")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class ReferenceFolders {
  @TempDir static Path temp;

  private final FolderCases cases;

  ReferenceFolders(FolderCases cases) {
    this.cases = cases;
  }

  Stream<Arguments> quick() throws IOException {
    return cases.first();
  }

  Stream<Arguments> others() throws IOException {
    return cases.others();
  }

  @ParameterizedTest
  @MethodSource("quick")
  void makesTheReferencesImage(FolderCase given, String engine) throws IOException {
    FolderCases.compare(given, engine, temp);
  }

  @ParameterizedTest
  @MethodSource("others")
  @Tag("nightly")
  void makesTheReferencesImageOfTheOthersToo(FolderCase given, String engine) throws IOException {
    FolderCases.compare(given, engine, temp);
  }
}
