/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TemperatureParameterTest {

  @ParameterizedTest
  @ValueSource(doubles = {-0.1, Double.NaN, Double.POSITIVE_INFINITY})
  void isRefusedBelowZeroAndWhenNotFinite(double temperature) {
    assertThatThrownBy(() -> Parameters.TEMPERATURE.check(temperature))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("temperature")
        .hasMessageContaining("a finite number of 0 or more");
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, 0.5, 1, 2})
  void isAcceptedFromZeroOn(double temperature) {
    assertThatCode(() -> Parameters.TEMPERATURE.check(temperature)).doesNotThrowAnyException();
  }
}
