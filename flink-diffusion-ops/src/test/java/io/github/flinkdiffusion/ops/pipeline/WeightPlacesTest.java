/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** A tensor's place holds what reading the tensor gives, in folders and in single files. */
class WeightPlacesTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models").toAbsolutePath();

  private static int compared(ModelFolder model, String component) {
    int compared = 0;
    try (TensorStore store =
        TensorViews.withCurrentAttentionNames(model.component(component).open())) {
      for (String name : store.names()) {
        if (store.place(name).isPresent()) {
          assertThat(bytesAt(store.place(name).get(), (int) store.info(name).byteLength()))
              .as(name)
              .isEqualTo(bytes(store, name));
          compared++;
        }
      }
    }
    return compared;
  }

  private static byte[] bytesAt(TensorPlace place, int count) {
    ByteBuffer bytes = ByteBuffer.allocate(count);
    try (FileChannel channel = FileChannel.open(place.file())) {
      assertThat(channel.read(bytes, place.offset())).isEqualTo(count);
      return bytes.array();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static byte[] bytes(TensorStore store, String name) {
    ByteBuffer all = ByteBuffer.allocate((int) store.info(name).byteLength());
    store.data(name).forEach(all::put);
    return all.array();
  }

  @Test
  void ofAFolderEveryTensorHasAPlace() {
    ModelFolder model = ModelFolder.open(MODELS.resolve("tiny-sd1"));
    for (String component : new String[] {"unet", "vae", "text_encoder"}) {
      try (TensorStore store = model.component(component).open()) {
        assertThat(compared(model, component)).as(component).isEqualTo(store.names().size());
      }
    }
  }

  /** Its text encoder 2 has query, key and value in one tensor, and a matrix transposed. */
  @Test
  void ofASingleFileRangesOfRowsHaveAPlaceAndTransposedMatricesHaveNone() {
    ModelFolder model =
        ModelFolder.openSingleFile(
            MODELS.resolveSibling("single-file/tiny-sdxl.safetensors"),
            MODELS.resolve("tiny-sdxl"));
    try (TensorStore store = model.component("text_encoder_2").open()) {
      assertThat(store.place("text_projection.weight")).isEmpty();
      assertThat(compared(model, "text_encoder_2")).isEqualTo(store.names().size() - 1);
    }
  }
}
