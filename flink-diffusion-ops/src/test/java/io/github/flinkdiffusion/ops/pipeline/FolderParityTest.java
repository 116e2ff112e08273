/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A stranger's folder: diffusers' picture, or a refusal where diffusers refuses. Cases chosen by
 * hand ({@code make_folder_fixtures.py}), and some of those that {@code random_folders.py} draws.
 */
class FolderParityTest {
  private static final Path CASES = Path.of("src/test/resources/fixtures/folders");
  private static final double TOLERANCE = 1e-3;

  @TempDir private Path folder;

  static Stream<FolderCase> chosen() throws IOException {
    return FolderCase.read(CASES.resolve("chosen.json.gz")).stream();
  }

  static Stream<FolderCase> random() throws IOException {
    return FolderCase.read(CASES.resolve("random.json.gz")).stream();
  }

  /** Of classes that are newer than the random ones: a file each. */
  static Stream<FolderCase> added() throws IOException {
    List<FolderCase> cases = new ArrayList<>();
    try (Stream<Path> files = Files.list(CASES.resolve("added"))) {
      for (Path file : files.sorted().toList()) {
        cases.addAll(FolderCase.read(file));
      }
    }
    return cases.stream();
  }

  /**
   * Those that begin with Concat are our own: the reference has no such pipelines. BLIP, SmolVLM
   * and UniDiffuser write texts and CLIP labels images, which tests of their own compare.
   */
  @Test
  void randomCasesAreOfEveryPipelineThatTheReferenceHas() throws IOException {
    assertThat(random()).hasSize(40);
    assertThat(
            Stream.concat(random(), added()).filter(each -> !each.expected().get(0).has("refused")))
        .extracting(each -> each.json().get("pipeline").asText())
        .containsAll(
            Pipelines.supported().stream()
                .filter(
                    name ->
                        Stream.of("Concat", "Blip", "Idefics3", "CLIPModel", "UniDiffuser")
                            .noneMatch(name::startsWith))
                .toList());
  }

  private static Stream<FolderCase> all(IntPredicate numbers) throws IOException {
    List<FolderCase> cases =
        Stream.of(chosen(), random(), added()).flatMap(Function.identity()).toList();
    return IntStream.range(0, cases.size()).filter(numbers).mapToObj(cases::get);
  }

  static Stream<FolderCase> twoOfFive() throws IOException {
    return all(i -> i % 5 < 2);
  }

  static Stream<FolderCase> theOthers() throws IOException {
    return all(i -> i % 5 >= 2);
  }

  @ParameterizedTest
  @MethodSource("twoOfFive")
  void makesTheReferencesPictureOrRefusesToo(FolderCase folderCase) throws IOException {
    compare(folderCase);
  }

  /** Opening a folder takes most of the time, and there are some hundreds of them. */
  @ParameterizedTest
  @MethodSource("theOthers")
  @Tag("nightly")
  void makesTheReferencesPictureOfTheOthersToo(FolderCase folderCase) throws IOException {
    compare(folderCase);
  }

  private void compare(FolderCase folderCase) throws IOException {
    folderCase.write(folder);
    List<FolderCase.Outcome> outcomes = folderCase.run(folder);
    for (int i = 0; i < outcomes.size(); i++) {
      FolderCase.Outcome outcome = outcomes.get(i);
      JsonNode expected = folderCase.expected().get(i);
      if (expected.has("refused")) {
        assertThat(outcome.image()).as("refused there: %s", expected.get("refused")).isNull();
        continue;
      }
      assertThat(outcome.refusal()).isNull();
      assertThat(FolderCase.distance(outcome.image(), FolderCase.expectedPicture(expected)))
          .isLessThanOrEqualTo(TOLERANCE);
    }
  }
}
