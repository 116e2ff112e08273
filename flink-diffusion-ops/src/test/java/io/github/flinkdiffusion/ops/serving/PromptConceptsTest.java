/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.configuration.Configuration;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Against transformers: {@code src/test/python/make_clip_score_fixtures.py}. */
class PromptConceptsTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/quality");

  @TempDir private Path folder;

  private Configuration config(String list) throws Exception {
    return new Configuration()
        .set(
            DiffusionOptions.SAFETY_CONCEPTS_FILE,
            Files.writeString(folder.resolve("concepts.txt"), list).toString())
        .set(DiffusionOptions.SAFETY_CLIP_FOLDER, FIXTURES.resolve("tiny-clip").toString());
  }

  private PromptConcepts concepts(String list) throws Exception {
    return PromptConcepts.of(config(list));
  }

  @Test
  void cosinesAreTransformersAndALimitIsReachedAtItsValue() throws Exception {
    JsonNode expected = new ObjectMapper().readTree(FIXTURES.resolve("clip.json").toFile());
    List<String> names = new ArrayList<>();
    expected.get("concepts").forEach(concept -> names.add(concept.textValue()));
    PromptConcepts all = concepts("0.9 " + String.join("\n0.9 ", names));
    all.open();
    for (int i = 0; i < expected.get("texts").size(); i++) {
      String text = expected.get("texts").get(i).textValue();
      double[] cosines = all.cosines(text); // the last text is longer than 77 tokens
      assertThat(cosines).hasSize(names.size());
      for (int j = 0; j < cosines.length; j++) {
        assertThat(cosines[j])
            .isCloseTo(expected.get("cosines").get(i).get(j).doubleValue(), Offset.offset(1e-5));
      }
    }
    all.close();

    String text = expected.get("texts").get(0).textValue();
    double exact = expected.get("cosines").get(0).get(1).doubleValue();
    PromptConcepts below =
        concepts("# ours\n\n0.9 castle\n%.5f %s".formatted(exact - 1e-4, names.get(1)));
    below.open();
    PromptConcepts.Found found = below.find(text).orElseThrow();
    assertThat(found.concept().text()).isEqualTo(names.get(1));
    assertThat(found.concept().line()).isEqualTo(4);
    assertThat(found.cosine()).isCloseTo(exact, Offset.offset(1e-5));
    below.close();
    PromptConcepts above = concepts("%.5f %s".formatted(exact + 1e-4, names.get(1)));
    above.open();
    assertThat(above.find(text)).isEmpty();
    above.close();
  }

  @Test
  void allPromptsAreComparedAndNegativeAndEmptyOnesAreNot() throws Exception {
    PromptScreen screen = PromptScreen.of(config("0.99 castle"));
    try (PromptScreen.Use use = screen.open()) {
      assertThatThrownBy(
              () ->
                  screen.compare(
                      Arguments.NONE
                          .with(Parameters.PROMPT, "a cat")
                          .with(Parameters.PROMPT_2, "castle")))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageStartingWith(
              "prompt2 is too close to the concept 'castle': the cosine is 1.0000, the limit is"
                  + " 0.99 (line 1 of the list in diffusion.safety.concepts-file).");
      screen.compare(
          Arguments.NONE.with(Parameters.PROMPT, " ").with(Parameters.NEGATIVE_PROMPT, "castle"));
      use.close(); // once more than needed
    }
  }

  @Test
  void resultsOfEqualTextsAreKeptUpToABound() throws Exception {
    PromptConcepts concepts = concepts("0.99 castle");
    concepts.open();
    for (int i = 0; i < 3; i++) {
      assertThat(concepts.find("castle")).isPresent();
    }
    assertThat(concepts.kept()).isEqualTo(1);
    for (int i = 0; i < PromptConcepts.KEPT + 1; i++) {
      concepts.find("cat " + i);
    }
    assertThat(concepts.kept()).isEqualTo(PromptConcepts.KEPT);
    concepts.close();
  }

  @Test
  void theClipStaysUntilItsLastUserIsGoneAndThenNothingPasses() throws Exception {
    PromptConcepts concepts = concepts("0.99 castle");
    assertThatThrownBy(() -> concepts.find("a cat")).isInstanceOf(BatchingException.class);
    concepts.open();
    concepts.open();
    concepts.close();
    assertThat(concepts.find("castle")).isPresent();
    concepts.close();
    assertThatThrownBy(() -> concepts.find("a cat")).isInstanceOf(BatchingException.class);
  }

  @ParameterizedTest
  @ValueSource(strings = {"castle", "1.5 castle", "0 castle", "NaN castle", "0.8"})
  void aLineThatIsNoConceptStopsTheJob(String line) throws Exception {
    PromptConcepts concepts = concepts("0.9 castle\n" + line);
    assertThatThrownBy(concepts::open)
        .isInstanceOf(DiffusionException.class)
        .hasMessageContainingAll(
            "Line 2 of the list of concepts", "is '" + line + "'", "expected a limit above 0");
  }

  @Test
  void whatIsMissingStopsTheJob() throws Exception {
    assertThatThrownBy(concepts("# none\n")::open).hasMessageContaining("has no concept");
    Configuration config = config("0.9 castle");
    config.set(DiffusionOptions.SAFETY_CLIP_FOLDER, folder.toString());
    assertThatThrownBy(PromptConcepts.of(config)::open)
        .isInstanceOf(DiffusionException.class)
        .hasMessageContainingAll(folder.toString(), "diffusion.safety.clip-folder");
    config.removeConfig(DiffusionOptions.SAFETY_CLIP_FOLDER);
    assertThatThrownBy(() -> DiffusionSettings.of(config))
        .isInstanceOf(DiffusionException.class)
        .hasMessage(
            "diffusion.safety.concepts-file and diffusion.safety.clip-folder belong together: set"
                + " both, or neither");
  }
}
