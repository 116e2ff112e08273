/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class TensorViewsTest {
  private static final String VAE = "decoder.mid_block.attentions.0.";

  @Test
  void showsOldAttentionUnderTodaysNames() {
    HeapTensors old =
        HeapTensors.builder()
            .add(VAE + "query.weight", new float[] {1, 2, 3, 4}, 2, 2)
            .add(VAE + "query.bias", new float[] {5, 6}, 2)
            .add(VAE + "key.weight", new float[] {1, 2, 3, 4}, 2, 2, 1, 1)
            .add(VAE + "value.weight", new float[] {7, 8, 9, 10}, 2, 2)
            .add(VAE + "proj_attn.weight", new float[] {1, 0, 0, 1}, 2, 2)
            .add(VAE + "proj_attn.bias", new float[] {0, 0}, 2)
            .add(VAE + "group_norm.weight", new float[] {1, 1}, 2)
            .add("decoder.conv_out.weight", new float[] {1, 1}, 2, 1, 1, 1)
            .add("text_model.encoder.layers.0.key.weight", new float[] {1}, 1)
            .build();
    TensorStore view = TensorViews.withCurrentAttentionNames(old);
    assertThat(view.names())
        .containsExactly(
            VAE + "to_q.weight",
            VAE + "to_q.bias",
            VAE + "to_k.weight",
            VAE + "to_v.weight",
            VAE + "to_out.0.weight",
            VAE + "to_out.0.bias",
            VAE + "group_norm.weight",
            "decoder.conv_out.weight",
            "text_model.encoder.layers.0.key.weight");
    assertThat(view.floats(VAE + "to_q.bias")).containsExactly(5, 6);
    assertThat(view.info(VAE + "to_k.weight"))
        .isEqualTo(TensorInfo.of(VAE + "to_k.weight", DType.F32, 2, 2));
    assertThat(view.floats(VAE + "to_k.weight")).containsExactly(1, 2, 3, 4);
    assertThat(view.info("decoder.conv_out.weight").shape()).containsExactly(2, 1, 1, 1);
    assertThatThrownBy(() -> view.info(VAE + "query.weight")).hasMessageContaining("no tensor");
  }

  @Test
  void leavesTodaysNamesAndConvolutionsAsTheyAre() {
    HeapTensors today =
        HeapTensors.builder()
            .add(VAE + "to_q.weight", new float[] {1}, 1, 1)
            .add("down_blocks.0.attentions.0.proj_in.weight", new float[] {1}, 1, 1, 1, 1)
            .build();
    TensorStore view = TensorViews.withCurrentAttentionNames(today);
    assertThat(view.names()).isEqualTo(today.names());
    assertThat(view.info("down_blocks.0.attentions.0.proj_in.weight").shape()).hasSize(4);
  }

  @Test
  void refusesTheSameTensorUnderBothNames() {
    HeapTensors both =
        HeapTensors.builder()
            .add(VAE + "query.weight", new float[] {1}, 1, 1)
            .add(VAE + "to_q.weight", new float[] {1}, 1, 1)
            .build();
    assertThatThrownBy(() -> TensorViews.withCurrentAttentionNames(both))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("under its old and its new name");
  }

  @Test
  void showsATextEncoderOfTransformers5UnderItsOldPrefix() {
    HeapTensors unprefixed =
        HeapTensors.builder()
            .add("embeddings.token_embedding.weight", new float[] {1, 2}, 2, 1)
            .add("final_layer_norm.bias", new float[] {3}, 1)
            .build();
    TensorStore view = TensorViews.withTextModelPrefix(unprefixed);
    assertThat(view.names())
        .containsExactly(
            "text_model.embeddings.token_embedding.weight", "text_model.final_layer_norm.bias");
    assertThat(view.floats("text_model.final_layer_norm.bias")).containsExactly(3);
    assertThat(TensorViews.withTextModelPrefix(view)).isSameAs(view);
  }

  @Test
  void convertsFloatsAndLeavesTheRest() {
    HeapTensors store =
        HeapTensors.builder()
            .add("w", new float[] {1 / 3f}, 1)
            .add("position_ids", new long[] {0, 1}, 1, 2)
            .build();
    TensorStore halves = TensorViews.withFloatsAs(store, DType.F16);
    assertThat(halves.info("w")).isEqualTo(TensorInfo.of("w", DType.F16, 1));
    assertThat(halves.floats("w")).containsExactly(HalfPrecision.f16ToFloat((short) 0x3555));
    assertThat(halves.longs("position_ids")).containsExactly(0, 1);
    assertThatThrownBy(() -> TensorViews.withFloatsAs(store, DType.I8))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
