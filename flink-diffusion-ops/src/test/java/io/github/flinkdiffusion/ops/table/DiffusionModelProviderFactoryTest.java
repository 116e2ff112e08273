/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.ValidationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DiffusionModelProviderFactoryTest {
  private static Configuration mode(String mode) {
    return Configuration.fromMap(Map.of("execution.runtime-mode", mode));
  }

  @Test
  void batchModeIsRefusedWhereFlinkDoesNotHaveIt() {
    assertThatThrownBy(
            () -> DiffusionModelProviderFactory.requireStreamingBefore23(mode("BATCH"), "2.2.0"))
        .isInstanceOf(ValidationException.class)
        .hasMessageContaining("since Flink 2.3, and this is Flink 2.2.0")
        .hasMessageContaining("execution.runtime-mode");
  }

  @ParameterizedTest
  @CsvSource({"BATCH, 2.3.0", "STREAMING, 2.2.0", "STREAMING, 2.3.0"})
  void everythingElseIsNot(String mode, String flink) {
    assertThatCode(() -> DiffusionModelProviderFactory.requireStreamingBefore23(mode(mode), flink))
        .doesNotThrowAnyException();
  }
}
