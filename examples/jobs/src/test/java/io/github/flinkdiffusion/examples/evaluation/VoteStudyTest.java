/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.VoteChoice;
import io.github.flinkdiffusion.connector.event.VoteCriterion;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.event.VoteSubject;
import io.github.flinkdiffusion.connector.format.EventReader;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class VoteStudyTest {
  private static final Path FOLDER = Path.of("src/test/resources/votes");

  /** {@code make_vote_fixture.py}: statsmodels, SciPy and krippendorff. */
  @Test
  void numbersAreThoseOfTheReferences() throws Exception {
    JsonNode expected = new ObjectMapper().readTree(FOLDER.resolve("expected.json").toFile());
    VoteStudy study = new VoteStudy();
    EventReader<VoteEvent> reader = FormatSettings.JSON.reader(VoteEvent.class);
    for (String line : Files.readAllLines(FOLDER.resolve("votes.jsonl"))) {
      study.add(reader.read(line.getBytes(StandardCharsets.UTF_8), "line"));
    }

    assertThat(study.results()).hasSize(2);
    for (VoteStudy.Result result : study.results()) {
      JsonNode of = expected.get(result.criterion);
      assertThat(result.votes).isEqualTo(of.get("votes").intValue());
      assertThat(result.voters).isEqualTo(of.get("voters").intValue());
      assertThat(result.alpha).isCloseTo(of.get("alpha").doubleValue(), within(1e-9));
      assertThat(result.first.share()).isCloseTo(of.get("first").doubleValue(), within(1e-12));
      for (int i = 0; i < result.names.size(); i++) {
        assertThat(result.names.get(i)).isEqualTo(of.get("names").get(i).textValue());
        assertThat(result.strengths.strengths()[i])
            .isCloseTo(of.get("strengths").get(i).doubleValue(), within(1e-6));
        assertThat(result.strengths.errors()[i])
            .isCloseTo(of.get("errors").get(i).doubleValue(), within(1e-6));
      }
      for (JsonNode pair : of.get("pairs")) {
        Proportion rate =
            result.rate(
                result.names.indexOf(pair.get("one").textValue()),
                result.names.indexOf(pair.get("other").textValue()));
        assertThat(rate.share()).isCloseTo(pair.get("rate").doubleValue(), within(1e-12));
        assertThat(rate.low()).isCloseTo(pair.get("low").doubleValue(), within(1e-9));
        assertThat(rate.high()).isCloseTo(pair.get("high").doubleValue(), within(1e-9));
      }
    }
    assertThat(study.text())
        .contains("## realism", "## appeal", "Taken for more real than a real image")
        .contains("below 0.667: voters differ too much");
  }

  private static VoteEvent vote(
      String id, String voter, VoteChoice choice, String one, String two) {
    return VoteEvent.newBuilder()
        .setId(id)
        .setCriterion(VoteCriterion.APPEAL)
        .setChoice(choice)
        .setVoter(voter)
        .setFirst(new VoteSubject(false, one, one, one, "d", 0, 1L))
        .setSecond(new VoteSubject(false, two, two, two, "d", 0, 2L))
        .build();
  }

  @Test
  void aVotersLastVoteOnTheSameImagesCountsAndAnonymousOnesAllDo() {
    VoteStudy study = new VoteStudy();
    study.add(vote("1", "ann", VoteChoice.FIRST, "a", "b"));
    study.add(vote("2", "ann", VoteChoice.FIRST, "b", "a"));
    study.add(vote("3", "", VoteChoice.FIRST, "a", "b"));
    study.add(vote("4", "", VoteChoice.FIRST, "a", "b"));
    study.add(vote("5", "bob", VoteChoice.UNKNOWN, "a", "b"));

    VoteStudy.Result result = study.results().get(0);
    assertThat(result.votes).isEqualTo(3);
    assertThat(result.wins[0][1]).isEqualTo(2);
    assertThat(result.wins[1][0]).isEqualTo(1);
    assertThat(study.text()).contains("1 that the same voter gave again later, 1 with an unknown");
  }

  @Test
  void aModelThatNeverLosesHasNoStrengthAndTheReportSaysWhy() {
    VoteStudy study = new VoteStudy();
    study.add(vote("1", "ann", VoteChoice.FIRST, "a", "b"));

    assertThat(study.results().get(0).strengths).isNull();
    assertThat(study.text()).contains("No strengths: Some of 2 things won all");
    assertThat(new VoteStudy().text()).contains("0 votes.");
  }
}
