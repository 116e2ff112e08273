/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelDomainTest {
  @TempDir private Path folder;

  @Test
  void everyEmbeddedModelSaysItsWordsOrItsDomain() throws Exception {
    try (var models = Files.list(Path.of("../models"))) {
      assertThat(models)
          .isNotEmpty()
          .allMatch(model -> ModelWords.of(model).isPresent() || ModelDomain.of(model).isPresent());
    }
    assertThat(ModelDomain.of(Path.of("../models/mini-brain-mask")).orElseThrow().lines())
        .hasSize(4)
        .contains("best asked for: 4 samples of 1 step")
        .anyMatch(line -> line.startsWith("trained on: one head"))
        .anyMatch(line -> line.contains("patients"));
  }

  @Test
  void stepsAndSamplesThatSuitAModelAreItsDefaults() throws Exception {
    ModelDomain satellite = ModelDomain.of(Path.of("../models/mini-satellite-x4")).orElseThrow();
    assertThat(satellite.steps()).hasValue(1);
    assertThat(satellite.samples()).hasValue(4);
    assertThat(satellite.lines()).contains("best asked for: 4 samples of 1 step");
    Files.writeString(
        folder.resolve(ModelDomain.FILE),
        "{\"input\": \"x\", \"trained_on\": [\"x\"], \"steps\": 0}");
    assertThatThrownBy(() -> ModelDomain.of(folder))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining("\"steps\" in")
        .hasMessageContaining("is 0; write a whole number from 1 up");
  }

  @Test
  void aModelNeedNotSayAndMustSayBothParts() throws Exception {
    assertThat(ModelDomain.of(folder)).isEmpty();
    for (String json : new String[] {"{\"input\": \"x\"}", "{\"trained_on\": [\"x\"]}"}) {
      Files.writeString(folder.resolve(ModelDomain.FILE), json);
      assertThatThrownBy(() -> ModelDomain.of(folder))
          .isInstanceOf(DemoException.class)
          .hasMessageContaining("has no \"input\" or no \"trained_on\"");
    }
    Files.writeString(folder.resolve(ModelDomain.FILE), "no json");
    assertThatThrownBy(() -> ModelDomain.of(folder))
        .hasMessageContaining("Cannot read the model's domain");
  }
}
