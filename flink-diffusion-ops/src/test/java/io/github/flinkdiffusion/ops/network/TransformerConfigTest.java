/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.io.IOException;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What diffusion transformers, their language models and autoencoders refuse in a config. */
class TransformerConfigTest {
  private static final Map<String, Function<Config, Object>> READERS =
      Map.of(
          "z-image", ZImageConfig::from,
          "qwen-image", QwenImageConfig::from,
          "pixart", PixArtConfig::from,
          "sana", SanaConfig::from,
          "lumina 2", Lumina2Config::from,
          "deep", AutoencoderDCConfig::from,
          "video", AutoencoderQwenImageConfig::from,
          "qwen 3", config -> CausalTextConfig.from(config, CausalTextConfig.Type.QWEN3),
          "gemma 2", config -> CausalTextConfig.from(config, CausalTextConfig.Type.GEMMA2));

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "z-image    | {'axes_dims': [64, 32, 31]}                         | three even numbers",
        "z-image    | {'all_patch_size': [2, 4]}                          | one size",
        "z-image    | {'siglip_feat_dim': 8}                              | not supported",
        "qwen-image | {'guidance_embeds': true}                           | false",
        "qwen-image | {'in_channels': 63}                                 | patch_size squared",
        "pixart     | {}                                                  | text encoder's size",
        "pixart     | {'caption_channels': 8, 'sample_size': 64, 'use_additional_conditions': true}"
            + " | sample_size of 128",
        "sana       | {'qk_norm': 'layer_norm'}                           | rms_norm_across_heads",
        "sana       | {'cross_attention_head_dim': 100}                   | num_attention_heads",
        "lumina 2   | {'patch_size': 1}                                   | 2",
        "lumina 2   | {'num_kv_heads': 7}                                 | a divisor of the heads",
        "lumina 2   | {'axes_dim_rope': [32, 32, 30]}                     | three even numbers",
        "deep       | {'decoder_norm_types': ['rms_norm', 'batch_norm']}  | rms_norm",
        "deep       | {'encoder_qkv_multiscales': [[], [], [], [4], [5], [5]]} | odd numbers",
        "deep       | {'encoder_block_out_channels': [128, 256, 512, 512, 1024, 1020]} | multiples"
            + " of 4",
        "video      | {'latents_std': [1]}                                | one number for each",
        "video      | {'attn_scales': [0.5]}                              | []",
        "qwen 3     | {'num_key_value_heads': 3}                          | divisor",
        "qwen 3     | {'rope_parameters': {'rope_type': 'yarn'}}          | default, mrope",
        "qwen 3     | {'use_sliding_window': true}                        | false",
        "gemma 2    | {'hidden_activation': 'silu'}                       | gelu_pytorch_tanh",
        "gemma 2    | {'head_dim': 7}                                     | an even number",
      })
  void refusesWhatItWouldReadOtherwise(String network, String json, String supported)
      throws IOException {
    Config config = Config.of("config.json", new ObjectMapper().readTree(json.replace('\'', '"')));
    assertThatThrownBy(() -> READERS.get(network).apply(config))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining(supported);
  }
}
