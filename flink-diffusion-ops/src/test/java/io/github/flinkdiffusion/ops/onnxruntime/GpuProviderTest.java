/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.onnxruntime.OrtProvider;
import ai.onnxruntime.OrtSession.SessionOptions;
import io.github.flinkdiffusion.ops.engine.UnusableEngineException;
import java.util.EnumSet;
import java.util.Properties;
import org.junit.jupiter.api.Test;

class GpuProviderTest {
  private static GpuProvider configured(String name) {
    Properties process = new Properties();
    process.setProperty(GpuProvider.PROPERTY, name);
    return GpuProvider.configured(process);
  }

  @Test
  void cudaComputesUnlessTensorRtIsAskedFor() {
    assertThat(GpuProvider.configured(new Properties())).isEqualTo(GpuProvider.CUDA);
    assertThat(configured("auto")).isEqualTo(GpuProvider.CUDA);
    assertThat(configured("cuda")).isEqualTo(GpuProvider.CUDA);
    assertThat(configured("TensorRT")).isEqualTo(GpuProvider.TENSORRT);
  }

  @Test
  void anUnknownNameIsRefusedWithThoseThatAreKnown() {
    assertThatThrownBy(() -> configured("rocm"))
        .isInstanceOf(UnusableEngineException.class)
        .hasMessageContaining("'rocm'")
        .hasMessageContaining("auto, cuda or tensorrt");
  }

  @Test
  void aLibraryWithoutTheProviderIsRefusedWithTheJarThatHasIt() throws Exception {
    try (SessionOptions options = new SessionOptions()) {
      assertThatThrownBy(() -> GpuProvider.CUDA.addTo(options, 0, EnumSet.of(OrtProvider.CPU)))
          .isInstanceOf(UnusableEngineException.class)
          .hasMessageContaining("onnxruntime_gpu");
      assertThatThrownBy(
              () ->
                  GpuProvider.TENSORRT.addTo(
                      options, 0, EnumSet.of(OrtProvider.CPU, OrtProvider.CUDA)))
          .isInstanceOf(UnusableEngineException.class)
          .hasMessageContaining("TENSOR_RT")
          .hasMessageContaining(GpuProvider.PROPERTY + " to cuda");
    }
  }
}
