/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Box;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Found;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Truth;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DetectionPrecisionTest {
  private static final Box BOX = new Box(1, 2, 10, 20);

  private static Box box(JsonNode node) {
    return new Box(
        node.get(0).doubleValue(),
        node.get(1).doubleValue(),
        node.get(2).doubleValue(),
        node.get(3).doubleValue());
  }

  /** {@code make_detection_fixtures.py}. */
  @Test
  void precisionsAreThoseOfPycocotools() throws Exception {
    JsonNode expected;
    try (InputStream in = getClass().getResourceAsStream("/fixtures/quality/detection.json")) {
      expected = new ObjectMapper().readTree(in);
    }
    JsonNode names = expected.get("categories");
    List<Truth> truths = new ArrayList<>();
    for (JsonNode each : expected.get("truths")) {
      String category = names.get(each.get(1).intValue()).textValue();
      truths.add(new Truth("%03d".formatted(each.get(0).intValue()), category, box(each.get(2))));
    }
    List<Found> found = new ArrayList<>();
    for (JsonNode each : expected.get("found")) {
      String category = names.get(each.get(1).intValue()).textValue();
      found.add(
          new Found(
              "%03d".formatted(each.get(0).intValue()),
              category,
              box(each.get(2)),
              each.get(3).doubleValue()));
    }

    DetectionPrecision measured = DetectionPrecision.of(truths, found);

    assertThat(measured.mean()).isCloseTo(expected.get("mean").doubleValue(), within(1e-9));
    assertThat(measured.at50()).isCloseTo(expected.get("at50").doubleValue(), within(1e-9));
    assertThat(measured.at75()).isCloseTo(expected.get("at75").doubleValue(), within(1e-9));
    assertThat(measured.byCategory()).hasSize(expected.get("byCategory").size());
    measured
        .byCategory()
        .forEach(
            (name, value) ->
                assertThat(value)
                    .as(name)
                    .isCloseTo(expected.get("byCategory").get(name).doubleValue(), within(1e-9)));
  }

  @Test
  void allFoundIsOneAndNothingFoundIsZero() {
    List<Truth> truths = List.of(new Truth("a", "cat", BOX), new Truth("b", "cat", BOX));
    assertThat(DetectionPrecision.of(truths, List.of()).mean()).isZero();
    assertThat(
            DetectionPrecision.of(
                    truths, List.of(new Found("a", "cat", BOX, 0.9), new Found("b", "cat", BOX, 1)))
                .mean())
        .isCloseTo(1, within(1e-12));
  }

  @Test
  void whatIsNoBoxIsRefused() {
    assertThatThrownBy(() -> DetectionPrecision.of(List.of(), List.of()))
        .isInstanceOf(QualityException.class)
        .hasMessageContaining("at least one true box");
    assertThatThrownBy(() -> new Box(0, 0, -1, 2)).hasMessageContaining("A box of -1.0 x 2.0");
    assertThatThrownBy(() -> new Found("a", "cat", BOX, Double.NaN))
        .hasMessageContaining("has the score NaN");
  }
}
