/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.network.T5Config;
import io.github.flinkdiffusion.ops.network.T5Encoder;
import io.github.flinkdiffusion.ops.tokenizer.MaskedTokens;
import io.github.flinkdiffusion.ops.tokenizer.PromptTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;

/**
 * Texts to what T5's encoder makes of them, padded to a length that is part of the result: the
 * encoder sees the padding. Those used last are kept. Device thread only.
 */
final class T5Prompts {
  /** Values that are kept, of all encodings together (128 MB). */
  private static final long KEPT = 32L << 20;

  /** Texts of one network call: its attention is texts x heads x length x length. */
  private static final int TOGETHER = 4;

  /**
   * @param length tokens, padding included
   */
  record Text(String text, int length) {}

  private final PromptTokenizer tokenizer;
  private final Network network;
  private final T5Config config;
  private final Map<Text, PromptEncoding> kept = new LinkedHashMap<>(16, 0.75f, true);
  private long keptValues;

  private T5Prompts(PromptTokenizer tokenizer, Network network, T5Config config) {
    this.tokenizer = tokenizer;
    this.network = network;
    this.config = config;
  }

  static T5Prompts open(Components components, String tokenizerName, String name) {
    components.requireClass(tokenizerName, "T5Tokenizer", "T5TokenizerFast");
    PromptTokenizer tokenizer = PromptTokenizer.t5(components.folder().component(tokenizerName));
    Config json = components.config(name, "T5EncoderModel");
    T5Config config = T5Config.from(json);
    if (tokenizer.vocabularySize() > config.vocabSize()) {
      // A GPU would not survive the embedding of such a token.
      throw json.unsupported(
          "vocab_size",
          config.vocabSize(),
          "at least the tokenizer's, " + tokenizer.vocabularySize());
    }
    return new T5Prompts(tokenizer, components.load(name, new T5Encoder(config).graph()), config);
  }

  /** Size of each token's hidden state. */
  int hiddenSize() {
    return config.hidden();
  }

  /** Encodings of all texts, without pooled states; those not kept are encoded. */
  Map<Text, PromptEncoding> encode(Collection<Text> texts) {
    Map<Text, PromptEncoding> result = new LinkedHashMap<>();
    Map<Integer, List<Text>> missing = new LinkedHashMap<>();
    for (Text text : new LinkedHashSet<>(texts)) {
      PromptEncoding known = kept.get(text);
      if (known == null) {
        missing.computeIfAbsent(text.length(), length -> new ArrayList<>()).add(text);
      } else {
        result.put(text, known);
      }
    }
    missing.forEach(
        (length, all) -> {
          for (int first = 0; first < all.size(); first += TOGETHER) {
            result.putAll(call(length, all.subList(first, Math.min(all.size(), first + TOGETHER))));
          }
        });
    result.forEach(this::keep);
    return result;
  }

  private void keep(Text text, PromptEncoding encoding) {
    if (kept.put(text, encoding) == null) {
      keptValues += encoding.states().length;
    }
    Iterator<PromptEncoding> eldest = kept.values().iterator();
    while (keptValues > KEPT && eldest.hasNext()) {
      keptValues -= eldest.next().states().length;
      eldest.remove();
    }
  }

  private Map<Text, PromptEncoding> call(int length, List<Text> texts) {
    int rows = texts.size();
    long[] ids = new long[rows * length];
    long[] buckets = new long[rows * length * length];
    long[] ofOne = config.bucketsOf(length);
    boolean[] truncated = new boolean[rows];
    for (int i = 0; i < rows; i++) {
      MaskedTokens tokens = tokenizer.encode(texts.get(i).text(), length);
      truncated[i] = tokens.truncated();
      for (int j = 0; j < length; j++) {
        ids[i * length + j] = tokens.ids()[j];
      }
      System.arraycopy(ofOne, 0, buckets, i * ofOne.length, ofOne.length);
    }
    float[] states =
        network
            .call(
                T5Encoder.FORWARD,
                new HostTensor.Longs(ids, rows, length),
                new HostTensor.Longs(buckets, rows, length, length))
            .data();
    int size = length * config.hidden();
    Map<Text, PromptEncoding> encodings = new LinkedHashMap<>();
    for (int i = 0; i < rows; i++) {
      encodings.put(
          texts.get(i),
          new PromptEncoding(
              Arrays.copyOfRange(states, i * size, (i + 1) * size), new float[0], truncated[i]));
    }
    return encodings;
  }
}
