/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import org.junit.jupiter.api.Test;

class SummaryTest {
  private static final Summary SUMMARY =
      new Summary(
          "mini-emoji",
          "abc",
          "cpu",
          2,
          4,
          List.of(
              new Summary.Picture(
                  "pictures/001-a.png",
                  "a",
                  "",
                  4_294_967_295L,
                  "DDIMScheduler",
                  25,
                  4.0,
                  64,
                  32,
                  true,
                  List.of("two", "cats"),
                  true,
                  "d1")),
          List.of(
              new Summary.Failure(
                  "r-002", "b", List.of(), "INVALID_REQUEST", "The prompt is blank."),
              new Summary.Failure("r-003", "c", List.of("zebra"), "TIMEOUT", "Too late."),
              new Summary.Failure(
                  "r-004", "d", List.of(), "INVALID_REQUEST", "The prompt is blank.")),
          new Summary.Seconds(10.25, 14.5),
          new Summary.BatchSizes(25, 1.96, 2));

  @Test
  void tellsAPersonWhatHappened() {
    assertThat(SUMMARY.text().lines())
        .containsExactly(
            "1 of 4 images in 14.5 s, 10.3 s of it for the Flink job from start to end",
            "25 network calls of 2.0 rows on average, the largest of 2 (an image with guidance"
                + " takes 2)",
            "mini-emoji on cpu, parallelism 2",
            "1 prompt was longer than the model reads; the rest was not used",
            "2 prompts have words that the model does not know, and does not draw:",
            "  a: two, cats",
            "  c: zebra",
            "1 image is marked unseen: the model was not trained on that thing in that size on that"
                + " background",
            "3 failures",
            "  \"b\" and 1 other prompt: INVALID_REQUEST: The prompt is blank.",
            "  \"c\": TIMEOUT: Too late.");
  }

  @Test
  void tellsAProgramEverything() throws Exception {
    JsonNode json = new ObjectMapper().readTree(SUMMARY.json());
    assertThat(json.at("/pictures/0/seed").asLong()).isEqualTo(4_294_967_295L);
    assertThat(json.at("/pictures/0/unknownWords/1").asText()).isEqualTo("cats");
    assertThat(json.at("/pictures/0/width").asInt()).isEqualTo(64);
    assertThat(json.at("/failures/0/reason").asText()).isEqualTo("INVALID_REQUEST");
    assertThat(json.at("/batches/meanRows").asDouble()).isEqualTo(1.96);
    assertThat(json.at("/seconds/total").asDouble()).isEqualTo(14.5);
    assertThat(json.at("/modelDigest").asText()).isEqualTo("abc");
  }
}
