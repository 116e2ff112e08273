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
import io.github.flinkdiffusion.ops.quality.AttributeBalance.Interval;
import java.io.InputStream;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class AttributeBalanceTest {
  private static long[] counts(JsonNode node) {
    long[] counts = new long[node.size()];
    for (int i = 0; i < counts.length; i++) {
      counts[i] = node.get(i).longValue();
    }
    return counts;
  }

  private static double[] shares(JsonNode node) {
    double[] shares = new double[node.size()];
    for (int i = 0; i < shares.length; i++) {
      shares[i] = node.get(i).doubleValue();
    }
    return shares;
  }

  /** {@code make_balance_fixtures.py}. */
  @Test
  void measuresAreThoseOfNumPy() throws Exception {
    JsonNode expected;
    try (InputStream in = getClass().getResourceAsStream("/fixtures/quality/balance.json")) {
      expected = new ObjectMapper().readTree(in);
    }
    Map<String, long[]> groups = new TreeMap<>();
    for (JsonNode each : expected.get("cases")) {
      long[] counts = counts(each.get("counts"));
      groups.put("group " + groups.size(), counts);
      AttributeBalance balance = AttributeBalance.of(counts, shares(each.get("reference")));
      assertThat(balance.entropy()).isCloseTo(each.get("entropy").doubleValue(), within(1e-9));
      assertThat(balance.evenness()).isCloseTo(each.get("evenness").doubleValue(), within(1e-9));
      assertThat(balance.totalVariation())
          .isCloseTo(each.get("totalVariation").doubleValue(), within(1e-9));
      assertThat(balance.divergence())
          .isCloseTo(each.get("divergence").doubleValue(), within(1e-9));
      Interval interval =
          AttributeBalance.interval(
              counts,
              drawn -> AttributeBalance.of(drawn, shares(each.get("reference"))).entropy(),
              3);
      // Another generator of random numbers draws other samples.
      assertThat(interval.low()).isCloseTo(each.get("low").doubleValue(), within(0.03));
      assertThat(interval.high()).isCloseTo(each.get("high").doubleValue(), within(0.03));
    }
    assertThat(AttributeBalance.parityGap(groups))
        .isCloseTo(expected.get("parityGap").doubleValue(), within(1e-12));
  }

  @Test
  void aModelOfOneClassIsFarFromEven() {
    AttributeBalance balance = AttributeBalance.of(new long[] {50, 0}, AttributeBalance.even(2));
    assertThat(balance.entropy()).isZero();
    assertThat(balance.totalVariation()).isEqualTo(0.5);
    assertThat(balance.divergence()).isCloseTo(Math.log(2), within(1e-12));
    assertThat(AttributeBalance.of(new long[] {1, 1}, new double[] {1, 0}).divergence())
        .isInfinite();
  }

  @Test
  void whatIsNoDistributionIsRefused() {
    assertThatThrownBy(() -> AttributeBalance.of(new long[] {0, 0}, AttributeBalance.even(2)))
        .isInstanceOf(QualityException.class)
        .hasMessageContaining("no images");
    assertThatThrownBy(() -> AttributeBalance.of(new long[] {1, 2}, new double[] {0.5, 0.6}))
        .hasMessageContaining("2 shares that sum up to 1.1, for 2 classes");
    assertThatThrownBy(() -> AttributeBalance.parityGap(Map.of("a", new long[] {1, 1})))
        .hasMessageContaining("two groups");
  }
}
