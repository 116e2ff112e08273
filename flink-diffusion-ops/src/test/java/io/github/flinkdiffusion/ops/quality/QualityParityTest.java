/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.io.InputStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Against scikit-image, SciPy and NumPy: {@code src/test/python/make_quality_fixtures.py}. */
class QualityParityTest {
  private static JsonNode expected;

  @BeforeAll
  static void read() throws IOException {
    try (InputStream in =
        QualityParityTest.class.getResourceAsStream("/fixtures/quality/expected.json")) {
      expected = new ObjectMapper().readTree(in);
    }
  }

  private static float[] floats(JsonNode array) {
    float[] values = new float[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).floatValue();
    }
    return values;
  }

  private static float[][] rows(JsonNode array) {
    float[][] rows = new float[array.size()][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = floats(array.get(i));
    }
    return rows;
  }

  @Test
  void fidelityIsScikitImages() {
    assertThat(expected.get("pictures")).hasSize(3);
    for (JsonNode pair : expected.get("pictures")) {
      JsonNode shape = pair.get("shape");
      int channels = shape.get(0).intValue();
      int height = shape.get(1).intValue();
      int width = shape.get(2).intValue();
      Raster picture = new Raster(channels, height, width, floats(pair.get("picture")));
      Raster truth = new Raster(channels, height, width, floats(pair.get("truth")));
      assertThat(Fidelity.psnr(picture, truth))
          .isCloseTo(pair.get("psnr").doubleValue(), within(1e-9));
      assertThat(Fidelity.ssim(picture, truth))
          .isCloseTo(pair.get("ssim").doubleValue(), within(1e-9));
    }
  }

  @Test
  void distancesOfFeaturesAreThoseOfSciPysMatrixRoot() {
    assertThat(expected.get("features")).hasSize(2);
    for (JsonNode sets : expected.get("features")) {
      float[][] first = rows(sets.get("first"));
      float[][] second = rows(sets.get("second"));
      assertThat(FeatureDistance.frechet(first, second))
          .isCloseTo(sets.get("frechet").doubleValue(), within(1e-8));
      assertThat(FeatureDistance.kernel(first, second))
          .isCloseTo(sets.get("kid").doubleValue(), within(1e-9));
    }
  }

  @Test
  void rankCorrelationIsSciPysWithAndWithoutTies() {
    assertThat(expected.get("ranks")).hasSize(2);
    for (JsonNode pair : expected.get("ranks")) {
      assertThat(RankCorrelation.spearman(floats(pair.get("a")), floats(pair.get("b"))))
          .isCloseTo(pair.get("spearman").doubleValue(), within(1e-12));
    }
  }
}
