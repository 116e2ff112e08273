/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UnconditionalTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");

  @ParameterizedTest
  @CsvSource({
    "tiny-consistency, EulerDiscreteScheduler, CMStochasticIterativeScheduler",
    "tiny-score-sde-ve, DDIMScheduler, ScoreSdeVeScheduler"
  })
  void modelsOfOneSchedulerRefuseOthersByName(String folder, String asked, String own) {
    try (DiffusionPipeline pipeline =
        Pipelines.open(MODELS.resolve(folder), PipelineSettings.on(DeviceSpec.CPU))) {
      GenerationSpec spec = GenerationSpec.of("a").with(Parameters.SCHEDULER, asked);
      assertThatThrownBy(() -> pipeline.model().prepare(spec))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining(asked)
          .hasMessageContaining(own + " only");
    }
  }
}
