/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.network.CausalText;
import io.github.flinkdiffusion.ops.network.CausalTextConfig;
import io.github.flinkdiffusion.ops.tokenizer.PromptTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.Arrays;
import java.util.Collection;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;

/**
 * Texts to a language model's states of their tokens; those used last are kept. Device thread only,
 * but for {@link #tokens}.
 */
final class LanguageModel {
  private static final String ENCODER = "text_encoder";
  private static final String TOKENIZER = "tokenizer";

  /** Values of all states that are kept: 64 MB. */
  private static final long KEPT = 16L << 20;

  /** Texts of one call: their padding is computed, too. */
  private static final int TOGETHER = 8;

  private final PromptTokenizer tokenizer;
  private final Network network;
  private final int size;
  private final Map<List<Integer>, float[]> kept = new LinkedHashMap<>(16, 0.75f, true);
  private long keptValues;

  private LanguageModel(PromptTokenizer tokenizer, Network network, int size) {
    this.tokenizer = tokenizer;
    this.network = network;
    this.size = size;
  }

  /**
   * A text's tokens.
   *
   * @param truncated whether the text was longer
   */
  record Tokens(List<Integer> ids, boolean truncated) {}

  /** Which states of the text encoder a pipeline takes. */
  enum Taken {
    /** Of the last layer, after the norm. */
    LAST,
    /** Of the layer before, without the norm. */
    LAST_BUT_ONE
  }

  /**
   * The components {@code tokenizer} and {@code text_encoder}.
   *
   * @param most tokens that a text may have
   * @param classes of the text encoder
   */
  static LanguageModel open(
      Components components,
      PromptTokenizer tokenizer,
      CausalTextConfig.Type type,
      Taken taken,
      int most,
      String... classes) {
    Config json = components.config(ENCODER, classes);
    CausalTextConfig config = CausalTextConfig.from(json, type);
    if (tokenizer.vocabularySize() > config.vocabulary()) {
      // A GPU would not survive the embedding of such a token.
      throw json.unsupported(
          "vocab_size",
          config.vocabulary(),
          "at least the tokenizer's, " + tokenizer.vocabularySize());
    }
    if (config.maxPositions() < most) {
      throw json.unsupported(
          "max_position_embeddings", config.maxPositions(), "at least the pipeline's, " + most);
    }
    if (taken == Taken.LAST_BUT_ONE && config.layers() < 2) {
      throw json.unsupported("num_hidden_layers", config.layers(), "2 or more");
    }
    CausalText text = new CausalText(config);
    Network network =
        components.load(
            ENCODER, taken == Taken.LAST ? text.graph() : text.graphOfInner(config.layers() - 1));
    return new LanguageModel(tokenizer, network, config.hiddenSize());
  }

  /** The folder's component {@code tokenizer} of Qwen 2's class, which Qwen 3 has, too. */
  static PromptTokenizer qwen(Components components) {
    components.requireClass(TOKENIZER, "Qwen2Tokenizer", "Qwen2TokenizerFast");
    PromptTokenizer tokenizer = PromptTokenizer.qwen2(components.folder().component(TOKENIZER));
    // Without these, a chat would be read letter by letter.
    tokenizer.id("<|im_start|>");
    tokenizer.id("<|im_end|>");
    return tokenizer;
  }

  /** The folder's components {@code tokenizer} and {@code text_encoder} of Gemma 2's classes. */
  static LanguageModel gemma2(
      Components components, PromptTokenizer tokenizer, Taken taken, int most) {
    return open(
        components,
        tokenizer,
        CausalTextConfig.Type.GEMMA2,
        taken,
        most,
        "Gemma2Model",
        "Gemma2ForCausalLM");
  }

  /** The folder's component {@code tokenizer} of Gemma's class, which begins texts. */
  static PromptTokenizer gemma(Components components) {
    components.requireClass(TOKENIZER, "GemmaTokenizer", "GemmaTokenizerFast");
    PromptTokenizer tokenizer = PromptTokenizer.gemma(components.folder().component(TOKENIZER));
    if (tokenizer.ids("").length == 0) {
      throw components
          .folder()
          .config()
          .unsupported(
              TOKENIZER, "one that leaves an empty text empty", "one that begins texts with <bos>");
    }
    return tokenizer;
  }

  /**
   * @param key of the transformer's config, the size of states that it takes
   */
  void requireSize(Config transformer, String key, int taken) {
    if (taken != size) {
      throw transformer.unsupported(key, taken, "the text encoder's hidden_size, " + size);
    }
  }

  /** Size of each token's state. */
  int size() {
    return size;
  }

  /**
   * A text's tokens, of which those behind the limit are left out. Any thread.
   *
   * @param most tokens
   */
  Tokens tokens(String text, int most) {
    int[] ids = tokenizer.ids(text);
    return new Tokens(Arrays.stream(ids).limit(most).boxed().toList(), ids.length > most);
  }

  /** Tokens that a call with these texts computes: the shorter ones are filled up. */
  static long computed(List<Tokens> texts) {
    return (long) texts.size() * texts.stream().mapToInt(text -> text.ids().size()).max().orElse(0);
  }

  /** States of all texts' tokens, [tokens, size] each. */
  Map<List<Integer>, float[]> states(Collection<List<Integer>> texts) {
    Map<List<Integer>, float[]> states = new LinkedHashMap<>();
    List<List<Integer>> missing =
        new LinkedHashSet<>(texts).stream().filter(text -> !kept.containsKey(text)).toList();
    for (List<Integer> text : texts) {
      float[] known = kept.get(text);
      if (known != null) {
        states.put(text, known);
      }
    }
    for (int first = 0; first < missing.size(); first += TOGETHER) {
      states.putAll(call(missing.subList(first, Math.min(missing.size(), first + TOGETHER))));
    }
    missing.forEach(text -> keep(text, states.get(text)));
    return states;
  }

  private void keep(List<Integer> text, float[] states) {
    keptValues += states.length;
    kept.put(text, states);
    Iterator<float[]> eldest = kept.values().iterator();
    while (keptValues > KEPT && kept.size() > 1) {
      keptValues -= eldest.next().length;
      eldest.remove();
    }
  }

  private Map<List<Integer>, float[]> call(List<List<Integer>> texts) {
    int longest = texts.stream().mapToInt(List::size).max().orElseThrow();
    long[] ids = new long[texts.size() * longest];
    for (int i = 0; i < texts.size(); i++) {
      for (int j = 0; j < texts.get(i).size(); j++) {
        ids[i * longest + j] = texts.get(i).get(j);
      }
    }
    float[] all = network.call("forward", new HostTensor.Longs(ids, texts.size(), longest)).data();
    Map<List<Integer>, float[]> states = new LinkedHashMap<>();
    for (int i = 0; i < texts.size(); i++) {
      int start = i * longest * size;
      states.put(texts.get(i), Arrays.copyOfRange(all, start, start + texts.get(i).size() * size));
    }
    return states;
  }
}
