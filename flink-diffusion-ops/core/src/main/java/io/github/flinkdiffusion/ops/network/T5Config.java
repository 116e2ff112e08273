/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * transformers' T5Config, as far as an encoder needs it. Names are the config's.
 *
 * @param vocabSize {@code vocab_size}
 * @param hidden {@code d_model}
 * @param headSize {@code d_kv}
 * @param heads {@code num_heads}
 * @param inner {@code d_ff}
 * @param layers {@code num_layers}
 * @param buckets {@code relative_attention_num_buckets}
 * @param maxDistance {@code relative_attention_max_distance}
 * @param gated whether {@code feed_forward_proj} is gated-gelu (version 1.1); else it is relu
 * @param epsilon {@code layer_norm_epsilon}
 */
@Internal
public record T5Config(
    int vocabSize,
    int hidden,
    int headSize,
    int heads,
    int inner,
    int layers,
    int buckets,
    int maxDistance,
    boolean gated,
    double epsilon) {

  /**
   * Reads a component's config.json; missing keys take transformers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static T5Config from(Config config) {
    String forward =
        ConfigValues.oneOf(config, "feed_forward_proj", "relu", List.of("relu", "gated-gelu"));
    int buckets = ConfigValues.positive(config, "relative_attention_num_buckets", 32);
    int distance = ConfigValues.positive(config, "relative_attention_max_distance", 128);
    if (buckets % 4 != 0 || distance <= buckets / 4) {
      throw config.unsupported(
          "relative_attention_num_buckets",
          buckets,
          "a multiple of 4, a quarter of which is less than relative_attention_max_distance");
    }
    return new T5Config(
        ConfigValues.positive(config, "vocab_size", 32128),
        ConfigValues.positive(config, "d_model", 512),
        ConfigValues.positive(config, "d_kv", 64),
        ConfigValues.positive(config, "num_heads", 8),
        ConfigValues.positive(config, "d_ff", 2048),
        ConfigValues.layers(config, "num_layers", 6),
        buckets,
        distance,
        forward.equals("gated-gelu"),
        config.number("layer_norm_epsilon", 1e-6));
  }

  /**
   * The bucket of each distance of two tokens (transformers' {@code _relative_position_bucket},
   * both ways): exact for near ones, logarithmic for others.
   *
   * @return [tokens, tokens], the one that looks first
   */
  public long[] bucketsOf(int tokens) {
    long[] table = new long[tokens * tokens];
    int side = buckets / 2;
    int exact = side / 2;
    for (int from = 0; from < tokens; from++) {
      for (int to = 0; to < tokens; to++) {
        int distance = Math.abs(to - from);
        int bucket = distance;
        if (distance >= exact) {
          // In float32, as the reference.
          float share =
              (float) Math.log((float) distance / exact)
                  / (float) Math.log((double) maxDistance / exact);
          bucket = Math.min(side - 1, exact + (int) (share * (side - exact)));
        }
        table[from * tokens + to] = (to > from ? side : 0) + bucket;
      }
    }
    return table;
  }
}
