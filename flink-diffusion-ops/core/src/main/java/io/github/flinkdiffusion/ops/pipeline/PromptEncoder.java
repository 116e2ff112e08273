/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Tensor;
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
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;

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

  /** Numbers of LoRAs' factors in a call; a single row may have more. */
  private static final int MOST_FACTORS = 1 << 24;

  /** Tokens of {@link #encodeEmpty}. */
  static final int EMPTY_LENGTH = 2;

  /** What a pipeline takes of a text encoder, before a request leaves out layers. */
  private enum Taken {
    /** The last layer's states, with the final norm. */
    NORMED,
    /** The last layer's states without it, and with it that of the text's end. */
    OUTERMOST_AND_END,
    /** The states of the layer before, without it. */
    INNER,
    /** Those, and the projected state of the text's end, of one run. */
    INNER_AND_POOLED
  }

  private final ClipTokenizer tokenizer;
  private final Network network;
  private final ClipTextConfig config;
  private final int hiddenSize;

  /** How many layers may be left out: those before the one whose states are taken. */
  private final int layers;

  /** Size of the projected state of a text's end; 0 where it is not asked for. */
  private final int pooledSize;

  private final Taken taken;
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
      Network network,
      ClipTextConfig config,
      Taken taken,
      Optional<AdaptedLayers> adapted) {
    this.tokenizer = tokenizer;
    this.network = network;
    this.config = config;
    this.hiddenSize = config.hiddenSize();
    boolean outermost = taken == Taken.NORMED || taken == Taken.OUTERMOST_AND_END;
    this.layers = outermost ? config.layers() : config.layers() - 1;
    this.pooledSize =
        switch (taken) {
          case NORMED, INNER -> 0;
          case OUTERMOST_AND_END -> config.hiddenSize();
          case INNER_AND_POOLED -> config.projectionSize();
        };
    this.taken = taken;
    this.adapted = adapted;
  }

  /** The components {@code tokenizer} and {@code text_encoder}, as Stable Diffusion takes them. */
  static PromptEncoder open(Components components) {
    return open(components, Optional.empty());
  }

  /** The same, of requests that may name LoRAs. */
  static PromptEncoder open(Components components, Optional<Adapters> adapters) {
    return open(components, adapters, "tokenizer", "text_encoder", Taken.NORMED, PLAIN);
  }

  /** Another tokenizer with {@code text_encoder}, whose last states are taken, as UniDiffuser. */
  static PromptEncoder open(Components components, String tokenizerName) {
    return open(components, Optional.empty(), tokenizerName, "text_encoder", Taken.NORMED, PLAIN);
  }

  /**
   * The components {@code tokenizer} and {@code text_encoder}, as the latent upscaler takes them.
   */
  static PromptEncoder openOutermost(Components components) {
    return open(
        components, Optional.empty(), "tokenizer", "text_encoder", Taken.OUTERMOST_AND_END, PLAIN);
  }

  /** The components {@code tokenizer} and {@code text_encoder}, as SDXL takes them. */
  static PromptEncoder openInner(Components components, Optional<Adapters> adapters) {
    return open(components, adapters, "tokenizer", "text_encoder", Taken.INNER, PLAIN, PROJECTING);
  }

  /** The components {@code tokenizer_2} and {@code text_encoder_2}, as SDXL takes them. */
  static PromptEncoder openInnerAndPooled(Components components) {
    return openInnerAndPooled(components, Optional.empty());
  }

  /** The same, of requests that may name LoRAs. */
  static PromptEncoder openInnerAndPooled(Components components, Optional<Adapters> adapters) {
    return open(
        components, adapters, "tokenizer_2", "text_encoder_2", Taken.INNER_AND_POOLED, PROJECTING);
  }

  /** Other components than {@link #openInnerAndPooled(Components)}, as Stable Diffusion 3 has. */
  static PromptEncoder openInnerAndPooled(
      Components components, String tokenizerName, String name) {
    return open(
        components, Optional.empty(), tokenizerName, name, Taken.INNER_AND_POOLED, PROJECTING);
  }

  private static PromptEncoder open(
      Components components,
      Optional<Adapters> adapters,
      String tokenizerName,
      String name,
      Taken taken,
      String... classes) {
    components.requireClass(tokenizerName, "CLIPTokenizer", "CLIPTokenizerFast");
    ClipTokenizer tokenizer = ClipTokenizer.load(components.folder().component(tokenizerName));
    Config json = ClipTextConfig.section(components.config(name, classes));
    if (taken == Taken.NORMED && json.flag("use_attention_mask", false)) {
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
        taken == Taken.INNER_AND_POOLED
            ? new ClipTextProjection(config).graph(tokenizer.maxLength())
            : new ClipText(config).graph(tokenizer.maxLength());
    List<String> methods =
        switch (taken) {
          case NORMED -> List.of(ClipText.FORWARD, ClipText.AT_LAYER_NORMED);
          case OUTERMOST_AND_END -> List.of(ClipText.AT_LAYER);
          case INNER -> List.of(ClipText.AT_LAYER);
          case INNER_AND_POOLED -> List.of(ClipTextProjection.STATES_AND_POOLED);
        };
    Optional<AdaptedLayers> adapted = adapters.flatMap(each -> each.layers(name, graph, methods));
    return new PromptEncoder(tokenizer, components.load(name, graph), config, taken, adapted);
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
    return pooledSize;
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
    if (clipSkip != null && clipSkip > layers) {
      throw new InvalidRequestException(
          "clipSkip is %d; the text encoder has %d layers that can be left out."
              .formatted(clipSkip, layers));
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
    Map<Kind, List<Prompt>> missing = new LinkedHashMap<>();
    for (Prompt asked : prompts) {
      Prompt prompt = own(asked);
      PromptEncoding known = kept.get(prompt);
      if (known != null) {
        done.put(prompt, known);
      } else if (done.put(prompt, NOT_YET) == null) {
        missing.computeIfAbsent(Kind.of(prompt), any -> new ArrayList<>()).add(prompt);
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

  /** Prompts that can share a call. */
  private record Kind(boolean skipping, boolean adapted) {
    static Kind of(Prompt prompt) {
      return new Kind(prompt.clipSkip() > 0, !prompt.loras().isEmpty());
    }
  }

  /**
   * The encodings that a prompt is cut into.
   *
   * @throws io.github.flinkdiffusion.ops.prompt.PromptSyntaxException for a prompt that its
   *     language does not accept
   */
  List<PromptChunks.Chunk> chunks(Prompt prompt) {
    return PromptChunks.of(tokenizer, Attention.parse(prompt.text()));
  }

  /** A prompt's part of a call: a row, or several of a prompt that is longer than one. */
  private record Part(List<PromptChunks.Chunk> chunks, boolean truncated) {}

  private Part part(Prompt prompt) {
    if (prompt.language() == PromptLanguage.PLAIN) {
      Tokens tokens = tokenizer.encode(prompt.text());
      return new Part(
          List.of(new PromptChunks.Chunk(tokens.ids(), new double[0])), tokens.truncated());
    }
    return new Part(chunks(prompt), false);
  }

  private Map<Prompt, PromptEncoding> call(List<Prompt> prompts, Kind kind) {
    int length = length();
    List<Part> parts = prompts.stream().map(this::part).toList();
    int rows = parts.stream().mapToInt(part -> part.chunks().size()).sum();
    long[] ids = new long[rows * length];
    long[] used = new long[rows];
    List<Prompt> prompt = new ArrayList<>();
    int row = 0;
    for (int i = 0; i < parts.size(); i++) {
      for (PromptChunks.Chunk chunk : parts.get(i).chunks()) {
        used[row] = (long) layers - prompts.get(i).clipSkip();
        prompt.add(prompts.get(i));
        for (int j = 0; j < length; j++) {
          ids[row * length + j] = chunk.ids()[j];
        }
        row++;
      }
    }
    float[] encoded =
        kind.adapted()
            ? adapted(prompt, ids, used, kind.skipping())
            : encoded(
                new HostTensor.Longs(ids, rows, length),
                new HostTensor.Longs(used, rows),
                rows,
                kind.skipping());
    Map<Prompt, PromptEncoding> encodings = new LinkedHashMap<>();
    int first = 0;
    for (int i = 0; i < parts.size(); i++) {
      encodings.put(prompts.get(i), encoding(parts.get(i), encoded, first));
      first += parts.get(i).chunks().size();
    }
    return encodings;
  }

  private float[] encoded(
      HostTensor.Longs input, HostTensor.Longs layersUsed, int rows, boolean skipping) {
    return switch (taken) {
      case NORMED ->
          skipping
              ? network.call(ClipText.AT_LAYER_NORMED, input, layersUsed).data()
              : network.call(ClipText.FORWARD, input).data();
      case OUTERMOST_AND_END ->
          beside(
              network.call(ClipText.AT_LAYER, input, layersUsed).data(),
              network.call(ClipText.POOLED, input).data(),
              rows);
      case INNER -> network.call(ClipText.AT_LAYER, input, layersUsed).data();
      case INNER_AND_POOLED ->
          network.call(ClipTextProjection.STATES_AND_POOLED, input, layersUsed).data();
    };
  }

  /** In calls of as many rows as their factors leave room for, each with those of its prompt. */
  private float[] adapted(List<Prompt> prompts, long[] ids, long[] used, boolean skipping) {
    AdaptedLayers changed = adapted.orElseThrow();
    int length = length();
    int lines =
        prompts.stream().mapToInt(each -> changed.scales(each.loras()).length).max().orElseThrow();
    int table = Math.multiplyExact(lines, changed.width());
    int together = Math.max(1, MOST_FACTORS / table);
    boolean whole = taken == Taken.NORMED && !skipping;
    String method =
        AdaptedLayers.methodLike(
            switch (taken) {
              case NORMED -> whole ? ClipText.FORWARD : ClipText.AT_LAYER_NORMED;
              case INNER, OUTERMOST_AND_END -> ClipText.AT_LAYER;
              case INNER_AND_POOLED -> ClipTextProjection.STATES_AND_POOLED;
            });
    int rowSize = length * hiddenSize + pooledSize;
    float[] encoded = new float[prompts.size() * rowSize];
    for (int first = 0; first < prompts.size(); first += together) {
      int end = Math.min(prompts.size(), first + together);
      int rows = end - first;
      float[] factors = new float[rows * table];
      float[] scales = new float[rows * lines];
      for (int row = 0; row < rows; row++) {
        List<RequestedLora> loras = prompts.get(first + row).loras();
        float[] own = changed.factors(loras);
        System.arraycopy(own, 0, factors, row * table, own.length);
        float[] ownScales = changed.scales(loras);
        System.arraycopy(ownScales, 0, scales, row * lines, ownScales.length);
      }
      List<Tensor> arguments = new ArrayList<>();
      arguments.add(
          new HostTensor.Longs(
              Arrays.copyOfRange(ids, first * length, end * length), rows, length));
      if (!whole) {
        arguments.add(new HostTensor.Longs(Arrays.copyOfRange(used, first, end), rows));
      }
      arguments.add(new HostTensor.Floats(factors, rows, lines, changed.width()));
      arguments.add(new HostTensor.Floats(scales, rows, lines));
      float[] part = network.call(method, arguments.toArray(Tensor[]::new)).data();
      System.arraycopy(part, 0, encoded, first * rowSize, part.length);
    }
    return encoded;
  }

  /** The states of a prompt's rows one behind the other, and what the first one is pooled to. */
  private PromptEncoding encoding(Part part, float[] encoded, int first) {
    int size = length() * hiddenSize;
    int chunks = part.chunks().size();
    float[] states = new float[chunks * size];
    for (int i = 0; i < chunks; i++) {
      System.arraycopy(encoded, (first + i) * (size + pooledSize), states, i * size, size);
      weigh(states, i * size, part.chunks().get(i).weights());
    }
    int pooled = first * (size + pooledSize) + size;
    return new PromptEncoding(
        states, Arrays.copyOfRange(encoded, pooled, pooled + pooledSize), part.truncated());
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

  /** Each row of one tensor, then that of the other. */
  private static float[] beside(float[] first, float[] second, int rows) {
    int a = first.length / rows;
    int b = second.length / rows;
    float[] both = new float[first.length + second.length];
    for (int i = 0; i < rows; i++) {
      System.arraycopy(first, i * a, both, i * (a + b), a);
      System.arraycopy(second, i * b, both, i * (a + b) + a, b);
    }
    return both;
  }
}
