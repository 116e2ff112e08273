package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.LoadedNetwork;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.tokenizer.Tokens;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;

/**
 * Texts to what CLIP's text encoder makes of them; those used last are kept. Device thread only.
 */
final class PromptEncoder {
  /** Encodings that are kept; one is 77 x 768 floats (236 KB) for Stable Diffusion 1.x. */
  private static final int KEPT = 256;

  private final ClipTokenizer tokenizer;
  private final LoadedNetwork network;
  private final int hiddenSize;
  private final Map<String, PromptEncoding> kept =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, PromptEncoding> eldest) {
          return size() > KEPT;
        }
      };

  private PromptEncoder(ClipTokenizer tokenizer, LoadedNetwork network, int hiddenSize) {
    this.tokenizer = tokenizer;
    this.network = network;
    this.hiddenSize = hiddenSize;
  }

  /** The components {@code tokenizer} and {@code text_encoder} (a CLIPTextModel). */
  static PromptEncoder open(Components components) {
    ClipTokenizer tokenizer = ClipTokenizer.load(components.folder().component("tokenizer"));
    ClipTextConfig config = ClipTextConfig.from(components.config("text_encoder"));
    if (tokenizer.maxLength() > config.maxPositions()) {
      throw components
          .config("text_encoder")
          .unsupported(
              "max_position_embeddings",
              config.maxPositions(),
              "at least the tokenizer's model_max_length, " + tokenizer.maxLength());
    }
    if (tokenizer.vocabularySize() > config.vocabSize()) {
      // A GPU would not survive the embedding of such a token.
      throw components
          .config("text_encoder")
          .unsupported(
              "vocab_size",
              config.vocabSize(),
              "at least the tokenizer's, " + tokenizer.vocabularySize());
    }
    return new PromptEncoder(
        tokenizer,
        components.load("text_encoder", new ClipText(config).graph(tokenizer.maxLength())),
        config.hiddenSize());
  }

  /** Tokens of every encoding. */
  int length() {
    return tokenizer.maxLength();
  }

  /** Size of each token's hidden state. */
  int hiddenSize() {
    return hiddenSize;
  }

  /** One encoding as the denoising network's context. */
  Denoiser.Input input() {
    return Denoiser.Input.floats(length(), hiddenSize);
  }

  /** Encodings of all texts; those not kept are encoded in one network call. */
  Map<String, PromptEncoding> encode(Collection<String> texts) {
    Map<String, PromptEncoding> result = new LinkedHashMap<>();
    List<String> missing = new ArrayList<>();
    for (String text : new LinkedHashSet<>(texts)) {
      PromptEncoding known = kept.get(text);
      if (known == null) {
        missing.add(text);
      } else {
        result.put(text, known);
      }
    }
    if (!missing.isEmpty()) {
      int length = length();
      long[] ids = new long[missing.size() * length];
      boolean[] truncated = new boolean[missing.size()];
      for (int i = 0; i < missing.size(); i++) {
        Tokens tokens = tokenizer.encode(missing.get(i));
        truncated[i] = tokens.truncated();
        for (int j = 0; j < length; j++) {
          ids[i * length + j] = tokens.ids()[j];
        }
      }
      float[] states =
          network.call(ClipText.FORWARD, new HostTensor.Longs(ids, missing.size(), length)).data();
      int size = length * hiddenSize;
      for (int i = 0; i < missing.size(); i++) {
        float[] own = new float[size];
        System.arraycopy(states, i * size, own, 0, size);
        PromptEncoding encoding = new PromptEncoding(own, truncated[i]);
        kept.put(missing.get(i), encoding);
        result.put(missing.get(i), encoding);
      }
    }
    return result;
  }
}
