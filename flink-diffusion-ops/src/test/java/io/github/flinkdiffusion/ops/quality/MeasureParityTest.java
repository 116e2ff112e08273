/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.quality.RaterAgreement.Scale;
import java.io.IOException;
import java.io.InputStream;
import java.util.Locale;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Against the measures' own packages: {@code src/test/python/make_measure_fixtures.py}. */
class MeasureParityTest {
  /** 1e-4 relative. */
  private static final Percentage CLOSE = Percentage.withPercentage(0.01);

  private static JsonNode expected;

  @BeforeAll
  static void read() throws IOException {
    try (InputStream in =
        MeasureParityTest.class.getResourceAsStream("/fixtures/quality/measures.json")) {
      expected = new ObjectMapper().readTree(in);
    }
  }

  private static double[] doubles(JsonNode array) {
    double[] values = new double[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).isNull() ? Double.NaN : array.get(i).doubleValue();
    }
    return values;
  }

  private static double[][] table(JsonNode array) {
    double[][] rows = new double[array.size()][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = doubles(array.get(i));
    }
    return rows;
  }

  private static float[][] rows(JsonNode array) {
    double[][] table = table(array);
    float[][] rows = new float[table.length][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = new float[table[i].length];
      for (int j = 0; j < rows[i].length; j++) {
        rows[i][j] = (float) table[i][j];
      }
    }
    return rows;
  }

  private static void assertClose(double actual, JsonNode of, String name) {
    assertThat(of.has(name)).as(name).isTrue();
    assertThat(actual).as(name).isCloseTo(of.get(name).doubleValue(), CLOSE);
  }

  @Test
  void inceptionScoreIsTorchFidelitys() {
    assertThat(expected.get("inception")).hasSize(2);
    for (JsonNode one : expected.get("inception")) {
      InceptionScore score =
          InceptionScore.of(rows(one.get("logits")), one.get("parts").intValue());
      assertClose(score.mean(), one, "mean");
      assertClose(score.deviation(), one, "deviation");
    }
  }

  @Test
  void distancesAreTorchFidelitysAndManifoldsThoseOfPrdc() {
    assertThat(expected.get("features")).hasSize(2);
    for (JsonNode one : expected.get("features")) {
      float[][] real = rows(one.get("real"));
      float[][] generated = rows(one.get("generated"));
      assertClose(FeatureDistance.frechet(real, generated), one, "fid");
      Manifold manifold = Manifold.of(real, generated, one.get("nearest").intValue());
      assertClose(manifold.precision(), one, "precision");
      assertClose(manifold.recall(), one, "recall");
      assertClose(manifold.density(), one, "density");
      assertClose(manifold.coverage(), one, "coverage");
    }
    JsonNode first = expected.get("features").get(0);
    assertClose(
        FeatureDistance.kernel(rows(first.get("real")), rows(first.get("generated"))),
        first,
        "kid");
  }

  @Test
  void agreementWithTextsIsTorchmetrics() {
    for (JsonNode one : expected.get("texts")) {
      float[][] images = rows(one.get("images"));
      float[][] texts = rows(one.get("texts"));
      assertClose(TextAgreement.clipScore(images, texts), one, "clipScore");
      assertClose(TextAgreement.precision(images, texts), one, "precision");
    }
  }

  @Test
  void diversityIsThatOfVendiScore() {
    for (JsonNode one : expected.get("vendi")) {
      assertClose(Diversity.vendi(rows(one.get("features"))), one, "vendi");
    }
    assertThat(Diversity.vendi(new float[][] {{1, 0}, {2, 0}, {3, 0}})).isCloseTo(1, CLOSE);
  }

  @Test
  void agreementOfRatersIsKrippendorffs() {
    for (JsonNode one : expected.get("ratings")) {
      for (Scale scale : Scale.values()) {
        assertClose(
            RaterAgreement.alpha(table(one.get("ratings")), scale),
            one,
            scale.name().toLowerCase(Locale.ROOT));
      }
    }
  }

  @Test
  void strengthsAreThoseOfChoix() {
    for (JsonNode one : expected.get("preferences")) {
      BradleyTerry fit = BradleyTerry.of(table(one.get("wins")));
      double[] strengths = doubles(one.get("strengths"));
      double[] errors = doubles(one.get("errors"));
      for (int i = 0; i < strengths.length; i++) {
        assertThat(fit.strengths()[i]).isCloseTo(strengths[i], CLOSE);
        assertThat(fit.errors()[i]).isCloseTo(errors[i], CLOSE);
        assertThat(fit.margin(i, 0.95)).isCloseTo(1.959964 * errors[i], CLOSE);
      }
      assertThat(fit.winRate(0, 1) + fit.winRate(1, 0)).isCloseTo(1, CLOSE);
    }
  }

  @Test
  void whatCannotBeMeasuredIsRefused() {
    assertThatThrownBy(() -> InceptionScore.of(new float[3][2], 4))
        .hasMessage("Inception Score of 3 images in 4 parts; each part needs an image");
    assertThatThrownBy(() -> Manifold.of(new float[5][2], new float[9][2], 5))
        .isInstanceOf(QualityException.class);
    assertThatThrownBy(
            () -> TextAgreement.clipScore(new float[][] {{0, 0}}, new float[][] {{1, 0}}))
        .hasMessage("Row 0 of the image embeddings has zeros only");
    assertThatThrownBy(() -> Diversity.vendi(new float[][] {{1, Float.NaN}}))
        .hasMessage("Row 0 of the features holds NaN; finite values are needed");
    assertThatThrownBy(() -> BradleyTerry.of(new double[][] {{0, 3}, {0, 0}}))
        .hasMessageContaining("more comparisons are needed");
    assertThatThrownBy(() -> RaterAgreement.alpha(new double[][] {{1, Double.NaN}}, Scale.NOMINAL))
        .hasMessage("Agreement of raters: no thing has two ratings");
  }
}
