/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.ClipTextProjection;
import io.github.flinkdiffusion.ops.prompt.Attention;
import io.github.flinkdiffusion.ops.prompt.PromptChunks;
import io.github.flinkdiffusion.ops.prompt.PromptLanguage;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.tokenizer.Tokens;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;

/**
 * Texts to what CLIP's text encoder makes of them; those used last are kept. Device thread only.
 */
final class PromptEncoder {
  /**
   * Encodings of 77 tokens that are kept; one is 77 x 768 floats (236 KB) for Stable Diffusion 1.x.
   */
  private static final int KEPT = 256;

  private static final String PLAIN = "CLIPTextModel";
  private static final String PROJECTING = "CLIPTextModelWithProjection";

  /** Texts of a call of {@link #encodeEnds}. */
  private static final int TOGETHER = 12;

  /** Tokens of {@link #encodeEmpty}. */
  static final int EMPTY_LENGTH = 2;

  private final ClipTokenizer tokenizer;
  private final ClipCalls calls;
  private final ClipTextConfig config;
  private final int hiddenSize;

  private final Optional<AdaptedLayers> adapted;
  private final Map<Prompt, PromptEncoding> kept =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Prompt, PromptEncoding> eldest) {
          return size() > KEPT;
        }
      };

  private PromptEncoder(
      ClipTokenizer tokenizer,
      ClipCalls calls,
      ClipTextConfig config,
      Optional<AdaptedLayers> adapted) {
    this.tokenizer = tokenizer;
    this.calls = calls;
    this.config = config;
    this.hiddenSize = config.hiddenSize();
    this.adapted = adapted;
  }

  /** The components {@code tokenizer} and {@code text_encoder}, as Stable Diffusion takes them. */
  static PromptEncoder open(Components components) {
    return open(
        components,
        false,
        Optional.empty(),
        "tokenizer",
        "text_encoder",
        ClipCalls.Taken.NORMED,
        PLAIN);
  }

  /** The same, of requests that may name LoRAs and write in another language than plain. */
  static PromptEncoder open(Components components, Optional<Adapters> adapters) {
    return open(
        components, true, adapters, "tokenizer", "text_encoder", ClipCalls.Taken.NORMED, PLAIN);
  }

  /** Another tokenizer with {@code text_encoder}, whose last states are taken, as UniDiffuser. */
  static PromptEncoder open(Components components, String tokenizerName) {
    return open(
        components,
        false,
        Optional.empty(),
        tokenizerName,
        "text_encoder",
        ClipCalls.Taken.NORMED,
        PLAIN);
  }

  /**
   * The components {@code tokenizer} and {@code text_encoder}, as the latent upscaler takes them.
   */
  static PromptEncoder openOutermost(Components components) {
    return open(
        components,
        false,
        Optional.empty(),
        "tokenizer",
        "text_encoder",
        ClipCalls.Taken.OUTERMOST_AND_END,
        PLAIN);
  }

  /** The components {@code tokenizer} and {@code text_encoder}, as SDXL takes them. */
  static PromptEncoder openInner(Components components, Optional<Adapters> adapters) {
    return open(
        components,
        true,
        adapters,
        "tokenizer",
        "text_encoder",
        ClipCalls.Taken.INNER,
        PLAIN,
        PROJECTING);
  }

  /** The components {@code tokenizer_2} and {@code text_encoder_2}, as SDXL takes them. */
  static PromptEncoder openInnerAndPooled(Components components) {
    return openInnerAndPooled(components, "tokenizer_2", "text_encoder_2");
  }

  /** The same, of requests that may name LoRAs and write in another language than plain. */
  static PromptEncoder openInnerAndPooled(Components components, Optional<Adapters> adapters) {
    return open(
        components,
        true,
        adapters,
        "tokenizer_2",
        "text_encoder_2",
        ClipCalls.Taken.INNER_AND_POOLED,
        PROJECTING);
  }

  /** Other components than {@link #openInnerAndPooled(Components)}, as Stable Diffusion 3 has. */
  static PromptEncoder openInnerAndPooled(
      Components components, String tokenizerName, String name) {
    return open(
        components,
        false,
        Optional.empty(),
        tokenizerName,
        name,
        ClipCalls.Taken.INNER_AND_POOLED,
        PROJECTING);
  }

  private static PromptEncoder open(
      Components components,
      boolean languages,
      Optional<Adapters> adapters,
      String tokenizerName,
      String name,
      ClipCalls.Taken taken,
      String... classes) {
    components.requireClass(tokenizerName, "CLIPTokenizer", "CLIPTokenizerFast");
    ClipTokenizer tokenizer = ClipTokenizer.load(components.folder().component(tokenizerName));
    Config json = ClipTextConfig.section(components.config(name, classes));
    if (taken == ClipCalls.Taken.NORMED && json.flag("use_attention_mask", false)) {
      throw json.unsupported(
          "use_attention_mask", true, "false (the network sees the padding, as CLIP was trained)");
    }
    ClipTextConfig config = ClipTextConfig.from(json);
    if (tokenizer.maxLength() > config.maxPositions()) {
      throw json.unsupported(
          "max_position_embeddings",
          config.maxPositions(),
          "at least the tokenizer's model_max_length, " + tokenizer.maxLength());
    }
    if (tokenizer.vocabularySize() > config.vocabSize()) {
      // A GPU would not survive the embedding of such a token.
      throw json.unsupported(
          "vocab_size",
          config.vocabSize(),
          "at least the tokenizer's, " + tokenizer.vocabularySize());
    }
    Graph graph =
        taken == ClipCalls.Taken.INNER_AND_POOLED
            ? new ClipTextProjection(config).graph(tokenizer.maxLength())
            : new ClipText(config).graph(tokenizer.maxLength());
    List<String> methods = ClipCalls.methods(graph, taken, languages);
    Optional<AdaptedLayers> adapted = adapters.flatMap(each -> each.layers(name, graph, methods));
    ClipCalls calls =
        new ClipCalls(components.load(name, graph), config, tokenizer.maxLength(), taken, adapted);
    return new PromptEncoder(tokenizer, calls, config, adapted);
  }

  /** Tokens of every encoding. */
  int length() {
    return tokenizer.maxLength();
  }

  /** Size of each token's hidden state. */
  int hiddenSize() {
    return hiddenSize;
  }

  /** Size of an encoding's pooled state. */
  int pooledSize() {
    return calls.pooledSize();
  }

  /** One encoding as the denoising network's context. */
  Denoiser.Input input() {
    return Denoiser.Input.floats(length(), hiddenSize);
  }

  /**
   * Refuses a request that leaves out more layers than there are.
   *
   * @throws InvalidRequestException naming how many there are
   */
  void checkClipSkip(GenerationRequest request) {
    Long clipSkip = request.get(Parameters.CLIP_SKIP);
    if (clipSkip != null && clipSkip > calls.layers()) {
      throw new InvalidRequestException(
          "clipSkip is %d; the text encoder has %d layers that can be left out."
              .formatted(clipSkip, calls.layers()));
    }
  }

  /**
   * States of an empty text that is not padded: of its begin and its end. No token sees a later
   * one, so they are those of the padded text.
   */
  float[] encodeEmpty() {
    return Arrays.copyOf(encode(List.of("")).get("").states(), EMPTY_LENGTH * hiddenSize);
  }

  /** Whether a text is longer than an encoding. Any thread. */
  boolean truncates(String text) {
    return tokenizer.encode(text).truncated();
  }

  /**
   * States of the texts' ends (transformers' pooler_output), by all layers, of an encoder whose
   * last states are taken. They are encoded by the dozen: there may be many.
   */
  Map<String, float[]> encodeEnds(Collection<String> texts) {
    List<String> all = List.copyOf(new LinkedHashSet<>(texts));
    Map<String, float[]> ends = new LinkedHashMap<>();
    for (int first = 0; first < all.size(); first += TOGETHER) {
      encode(all.subList(first, Math.min(all.size(), first + TOGETHER)))
          .forEach(
              (text, encoding) -> {
                int end = config.end(tokenizer.encode(text).ids()) * hiddenSize;
                ends.put(text, Arrays.copyOfRange(encoding.states(), end, end + hiddenSize));
              });
    }
    return ends;
  }

  /** Encodings of all texts, by all layers. */
  Map<String, PromptEncoding> encode(Collection<String> texts) {
    Map<String, PromptEncoding> result = new LinkedHashMap<>();
    encodeSkipping(texts.stream().map(text -> new Prompt(text, 0)).toList())
        .forEach((prompt, encoding) -> result.put(prompt.text(), encoding));
    return result;
  }

  /**
   * Encodings of all prompts; those not kept are encoded in one network call, or in several where
   * some leave layers out, or have LoRAs, and others do not.
   */
  Map<Prompt, PromptEncoding> encodeSkipping(Collection<Prompt> prompts) {
    Map<Prompt, PromptEncoding> done = new LinkedHashMap<>();
    Map<ClipCalls.Kind, Map<Prompt, Part>> missing = new LinkedHashMap<>();
    for (Prompt asked : prompts) {
      Prompt prompt = own(asked);
      PromptEncoding known = kept.get(prompt);
      if (known != null) {
        done.put(prompt, known);
      } else if (done.put(prompt, NOT_YET) == null) {
        Part part = part(prompt);
        missing.computeIfAbsent(kind(prompt, part), any -> new LinkedHashMap<>()).put(prompt, part);
      }
    }
    missing.forEach((kind, each) -> done.putAll(call(each, kind)));
    done.forEach(
        (prompt, encoding) -> {
          if (encoding.states().length == length() * hiddenSize) {
            kept.put(prompt, encoding);
          }
        });
    Map<Prompt, PromptEncoding> result = new LinkedHashMap<>();
    prompts.forEach(asked -> result.put(asked, done.get(own(asked))));
    return result;
  }

  /** With the LoRAs that change this encoder alone. */
  private Prompt own(Prompt prompt) {
    return prompt.withLoras(adapted.map(layers -> layers.own(prompt.loras())).orElse(List.of()));
  }

  private static final PromptEncoding NOT_YET =
      new PromptEncoding(new float[0], new float[0], false);

  private ClipCalls.Kind kind(Prompt prompt, Part part) {
    return new ClipCalls.Kind(
        prompt.clipSkip() > 0,
        !prompt.loras().isEmpty(),
        part.rows().stream().anyMatch(row -> row.hidden().isPresent()));
  }

  /**
   * What a prompt takes.
   *
   * @param rows of a call
   * @param chunks of its encoding
   */
  record Size(int rows, int chunks) {}

  /**
   * What a prompt takes.
   *
   * @throws io.github.flinkdiffusion.ops.prompt.PromptSyntaxException for a prompt that its
   *     language does not accept
   */
  Size size(Prompt prompt) {
    if (prompt.language() == PromptLanguage.COMPEL) {
      CompelTexts texts = new CompelTexts(tokenizer, prompt.text(), calls.pooledSize() > 0);
      return new Size(texts.rows().size(), texts.chunks());
    }
    int chunks = part(prompt).rows().size();
    return new Size(chunks, chunks);
  }

  /**
   * A prompt's part of a call: a row, or several of a prompt that is longer than one.
   *
   * @param encoding of all that was encoded, and the number of the first row
   */
  private record Part(
      List<CompelTexts.TokenRow> rows, BiFunction<float[], Integer, PromptEncoding> encoding) {}

  private Part part(Prompt prompt) {
    return switch (prompt.language()) {
      case PLAIN -> {
        Tokens tokens = tokenizer.encode(prompt.text());
        yield part(
            List.of(new PromptChunks.Chunk(tokens.ids(), new double[0])), tokens.truncated());
      }
      case A1111 -> part(PromptChunks.of(tokenizer, Attention.parse(prompt.text())), false);
      case COMPEL -> {
        CompelTexts texts = new CompelTexts(tokenizer, prompt.text(), calls.pooledSize() > 0);
        yield new Part(
            texts.rows(),
            (encoded, first) -> {
              int size = length() * hiddenSize;
              int whole = size + calls.pooledSize();
              List<float[]> states = new ArrayList<>();
              for (int i = 0; i < texts.rows().size(); i++) {
                int at = (first + i) * whole;
                states.add(Arrays.copyOfRange(encoded, at, at + size));
              }
              int end = (first + 1) * whole + size;
              float[] pooled =
                  calls.pooledSize() == 0
                      ? new float[0]
                      : Arrays.copyOfRange(encoded, end, end + calls.pooledSize());
              return texts.encoding(states, pooled);
            });
      }
    };
  }

  private Part part(List<PromptChunks.Chunk> chunks, boolean truncated) {
    return new Part(
        chunks.stream().map(chunk -> CompelTexts.TokenRow.of(chunk.ids())).toList(),
        (encoded, first) -> encoding(chunks, truncated, encoded, first));
  }

  private Map<Prompt, PromptEncoding> call(Map<Prompt, Part> prompts, ClipCalls.Kind kind) {
    List<Prompt> rows = new ArrayList<>();
    List<CompelTexts.TokenRow> tokens = new ArrayList<>();
    prompts.forEach(
        (prompt, part) -> {
          rows.addAll(Collections.nCopies(part.rows().size(), prompt));
          tokens.addAll(part.rows());
        });
    float[] encoded = calls.call(rows, tokens, kind);
    Map<Prompt, PromptEncoding> encodings = new LinkedHashMap<>();
    int first = 0;
    for (Map.Entry<Prompt, Part> each : prompts.entrySet()) {
      encodings.put(each.getKey(), each.getValue().encoding().apply(encoded, first));
      first += each.getValue().rows().size();
    }
    return encodings;
  }

  /** The states of a prompt's rows one behind the other, and what the first one is pooled to. */
  private PromptEncoding encoding(
      List<PromptChunks.Chunk> parts, boolean truncated, float[] encoded, int first) {
    int size = length() * hiddenSize;
    int chunks = parts.size();
    float[] states = new float[chunks * size];
    for (int i = 0; i < chunks; i++) {
      System.arraycopy(encoded, (first + i) * (size + calls.pooledSize()), states, i * size, size);
      weigh(states, i * size, parts.get(i).weights());
    }
    int pooled = first * (size + calls.pooledSize()) + size;
    return new PromptEncoding(
        states, Arrays.copyOfRange(encoded, pooled, pooled + calls.pooledSize()), truncated);
  }

  /**
   * Each token's states by its weight, then all by what makes their mean what it was: the web UI's
   * emphasis "Original".
   */
  private void weigh(float[] states, int from, double[] weights) {
    if (Arrays.stream(weights).allMatch(weight -> weight == 1)) {
      return;
    }
    double before = 0;
    double after = 0;
    for (int token = 0; token < weights.length; token++) {
      float weight = (float) weights[token];
      for (int i = 0; i < hiddenSize; i++) {
        int at = from + token * hiddenSize + i;
        before += states[at];
        states[at] *= weight;
        after += states[at];
      }
    }
    float factor = (float) (before / after);
    for (int i = 0; i < weights.length * hiddenSize; i++) {
      states[from + i] *= factor;
    }
  }
}
