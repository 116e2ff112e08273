/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ClipImageProcessorTest {

  private static ClipImageProcessor processor(String json, int side)
      throws JsonProcessingException {
    return ClipImageProcessor.from(
        Config.of("preprocessor_config.json", new ObjectMapper().readTree(json)), side);
  }

  @Test
  void withoutAnyKeyPicturesBecomeWhatClipWasTrainedWith() throws JsonProcessingException {
    HostTensor.Floats pixels =
        processor("{}", 224)
            .pixels(List.of(Raster.filled(3, 300, 500, 1), Raster.filled(3, 9, 9, 0)));
    assertThat(pixels.shape()).containsExactly(2, 3, 224, 224);
    assertThat(pixels.data()[0]).isEqualTo((float) ((1 - 0.48145466) / 0.26862954));
    assertThat(pixels.data()[pixels.data().length - 1])
        .isEqualTo((float) (-0.40821073 / 0.27577711));
  }

  @Test
  void grayStandsForAllColorsAndAlphaIsLeftOut() throws JsonProcessingException {
    ClipImageProcessor plain =
        processor("{\"do_resize\": false, \"do_center_crop\": false, \"do_normalize\": false}", 1);
    assertThat(plain.pixels(List.of(new Raster(2, 1, 1, new float[] {0.5f, 1}))).data())
        .containsExactly(0.5f, 0.5f, 0.5f);
    assertThat(
            plain.pixels(List.of(new Raster(4, 1, 1, new float[] {0.1f, 0.2f, 0.3f, 0.4f}))).data())
        .containsExactly(0.1f, 0.2f, 0.3f);
  }

  @Test
  void anImageThatBecomesAnotherSizeThanTheNetworkTakesIsRefused() throws JsonProcessingException {
    ClipImageProcessor uncut = processor("{\"size\": 32, \"do_center_crop\": false}", 32);
    assertThat(uncut.pixels(List.of(Raster.filled(3, 64, 64, 0))).shape())
        .containsExactly(1, 3, 32, 32);
    List<Raster> second = List.of(Raster.filled(3, 64, 64, 0), Raster.filled(3, 36, 40, 0));
    assertThatThrownBy(() -> uncut.pixels(second))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("40 x 36 pixels")
        .hasMessageContaining("becomes 35 x 32");
  }

  @Test
  void aSizeThatNoImageOfTheNetworksSizeComesFromIsRefusedAtOnce() {
    assertThatThrownBy(() -> processor("{\"crop_size\": {\"height\": 32, \"width\": 24}}", 32))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("crop_size")
        .hasMessageContaining("32 x 32");
    assertThatThrownBy(() -> processor("{}", 32))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("crop_size");
    assertThatThrownBy(
            () ->
                processor(
                    "{\"size\": {\"height\": 32, \"width\": 40}, \"do_center_crop\": false}", 32))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("size");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "size|{\"size\": 0}",
        "size|{\"size\": {\"longest_edge\": 7}}",
        "width|{\"size\": {\"height\": 7, \"width\": 0}}",
        "crop_size|{\"crop_size\": {\"shortest_edge\": 7}}",
        "resample|{\"resample\": 0}",
        "image_mean|{\"image_mean\": [1, 2]}"
      })
  void refusesWhatItCanNotDo(String key, String json) {
    assertThatThrownBy(() -> processor(json, 224))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("preprocessor_config.json")
        .hasMessageContaining("'" + key + "'")
        .hasMessageContaining("supported");
  }
}
