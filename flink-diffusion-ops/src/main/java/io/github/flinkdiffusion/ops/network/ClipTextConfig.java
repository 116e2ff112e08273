package io.github.flinkdiffusion.ops.network;

/**
 * transformers' CLIPTextConfig. Names are the config's.
 *
 * @param vocabSize {@code vocab_size}
 * @param hiddenSize {@code hidden_size}
 * @param intermediateSize {@code intermediate_size}
 * @param layers {@code num_hidden_layers}
 * @param heads {@code num_attention_heads}
 * @param maxPositions {@code max_position_embeddings}
 * @param activation {@code hidden_act}
 * @param epsilon {@code layer_norm_eps}
 */
public record ClipTextConfig(
    int vocabSize,
    int hiddenSize,
    int intermediateSize,
    int layers,
    int heads,
    int maxPositions,
    Activation activation,
    double epsilon) {}
