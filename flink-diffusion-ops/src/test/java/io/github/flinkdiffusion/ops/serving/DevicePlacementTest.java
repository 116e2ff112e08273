/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.fakes.ExternalGpu;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.externalresource.ExternalResourceInfo;
import org.junit.jupiter.api.Test;

class DevicePlacementTest {

  private static ExternalResourceInfo gpu(String index) {
    return new ExternalGpu(index == null ? Map.of() : Map.of("index", index));
  }

  @Test
  void subtasksAreSpreadOverTheGpusInTheOrderOfTheirIndexes() {
    List<ExternalResourceInfo> gpus = List.of(gpu("10"), gpu("2"), gpu("3"));

    assertThat(List.of(0, 1, 2, 3))
        .extracting(subtask -> DevicePlacement.choose("auto", gpus, subtask))
        .containsExactly("gpu:2", "gpu:3", "gpu:10", "gpu:2");
  }

  @Test
  void whatIsConfiguredWins() {
    assertThat(DevicePlacement.choose("cpu", List.of(gpu("0")), 0)).isEqualTo("cpu");
    assertThat(DevicePlacement.choose("gpu:7", List.of(gpu("0")), 0)).isEqualTo("gpu:7");
  }

  @Test
  void withoutTheExternalResourceThePipelineDecides() {
    assertThat(DevicePlacement.choose("auto", List.of(), 3)).isEqualTo("auto");
  }

  @Test
  void aGpuWithoutANumberIsRefused() {
    assertThatThrownBy(() -> DevicePlacement.choose("auto", List.of(gpu(null)), 0))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("GPUDriver");
    assertThatThrownBy(() -> DevicePlacement.choose("auto", List.of(gpu("GPU-8f3")), 0))
        .hasMessageContaining("GPU-8f3");
  }
}
