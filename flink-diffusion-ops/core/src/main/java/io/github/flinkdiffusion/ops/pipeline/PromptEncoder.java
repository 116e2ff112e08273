/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Value;
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

  /** Numbers of LoRAs' factors in a call; a single row may have more. */
  private static final int MOST_FACTORS = 1 << 24;

  /** Of methods that take a mask. */
  private static final String MASKED = "_masked";

  /** Added to a score that must not count; also a number of 16 bits. */
  private static final float UNSEEN = -10_000;

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
    return open(
        components, false, Optional.empty(), "tokenizer", "text_encoder", Taken.NORMED, PLAIN);
  }

  /** The same, of requests that may name LoRAs and write in another language than plain. */
  static PromptEncoder open(Components components, Optional<Adapters> adapters) {
    return open(components, true, adapters, "tokenizer", "text_encoder", Taken.NORMED, PLAIN);
  }

  /** Another tokenizer with {@code text_encoder}, whose last states are taken, as UniDiffuser. */
  static PromptEncoder open(Components components, String tokenizerName) {
    return open(
        components, false, Optional.empty(), tokenizerName, "text_encoder", Taken.NORMED, PLAIN);
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
        Taken.OUTERMOST_AND_END,
        PLAIN);
  }

  /** The components {@code tokenizer} and {@code text_encoder}, as SDXL takes them. */
  static PromptEncoder openInner(Components components, Optional<Adapters> adapters) {
    return open(
        components, true, adapters, "tokenizer", "text_encoder", Taken.INNER, PLAIN, PROJECTING);
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
        Taken.INNER_AND_POOLED,
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
        Taken.INNER_AND_POOLED,
        PROJECTING);
  }

  private static PromptEncoder open(
      Components components,
      boolean languages,
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
    List<String> methods = new ArrayList<>();
    if (taken == Taken.NORMED) {
      methods.add(ClipText.FORWARD);
    }
    methods.add(layersMethod(taken));
    if (languages) {
      addMasked(graph, layersMethod(taken));
      methods.add(layersMethod(taken) + MASKED);
    }
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
    Map<Kind, Map<Prompt, Part>> missing = new LinkedHashMap<>();
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

  /** Prompts that can share a call. */
  private record Kind(boolean skipping, boolean adapted, boolean masked) {}

  private Kind kind(Prompt prompt, Part part) {
    return new Kind(
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
      CompelTexts texts = new CompelTexts(tokenizer, prompt.text(), pooledSize > 0);
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
        CompelTexts texts = new CompelTexts(tokenizer, prompt.text(), pooledSize > 0);
        yield new Part(
            texts.rows(),
            (encoded, first) -> {
              int size = length() * hiddenSize;
              int whole = size + pooledSize;
              List<float[]> states = new ArrayList<>();
              for (int i = 0; i < texts.rows().size(); i++) {
                int at = (first + i) * whole;
                states.add(Arrays.copyOfRange(encoded, at, at + size));
              }
              int end = (first + 1) * whole + size;
              float[] pooled =
                  pooledSize == 0
                      ? new float[0]
                      : Arrays.copyOfRange(encoded, end, end + pooledSize);
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

  private Map<Prompt, PromptEncoding> call(Map<Prompt, Part> prompts, Kind kind) {
    int length = length();
    int rows = prompts.values().stream().mapToInt(part -> part.rows().size()).sum();
    long[] ids = new long[rows * length];
    long[] used = new long[rows];
    List<Prompt> prompt = new ArrayList<>();
    List<CompelTexts.TokenRow> tokens = new ArrayList<>();
    int row = 0;
    for (Map.Entry<Prompt, Part> each : prompts.entrySet()) {
      for (CompelTexts.TokenRow own : each.getValue().rows()) {
        used[row] = (long) layers - each.getKey().clipSkip();
        prompt.add(each.getKey());
        tokens.add(own);
        for (int j = 0; j < length; j++) {
          ids[row * length + j] = own.ids()[j];
        }
        row++;
      }
    }
    float[] encoded =
        kind.adapted() || kind.masked()
            ? inParts(prompt, tokens, ids, used, kind)
            : encoded(
                new HostTensor.Longs(ids, rows, length),
                new HostTensor.Longs(used, rows),
                rows,
                kind.skipping());
    Map<Prompt, PromptEncoding> encodings = new LinkedHashMap<>();
    int first = 0;
    for (Map.Entry<Prompt, Part> each : prompts.entrySet()) {
      encodings.put(each.getKey(), each.getValue().encoding().apply(encoded, first));
      first += each.getValue().rows().size();
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

  /**
   * Rows with LoRAs, or tokens that others do not see: in calls of as many rows as the factors
   * leave room for.
   */
  private float[] inParts(
      List<Prompt> prompts, List<CompelTexts.TokenRow> tokens, long[] ids, long[] used, Kind kind) {
    int length = length();
    int lines =
        kind.adapted()
            ? prompts.stream()
                .mapToInt(each -> adapted.orElseThrow().scales(each.loras()).length)
                .max()
                .orElseThrow()
            : 0;
    int table = kind.adapted() ? Math.multiplyExact(lines, adapted.orElseThrow().width()) : 0;
    int together = Math.max(1, MOST_FACTORS / Math.max(table, length * length));
    boolean whole = taken == Taken.NORMED && !kind.skipping() && !kind.masked();
    String method = whole ? ClipText.FORWARD : layersMethod(taken);
    method = kind.masked() ? method + MASKED : method;
    method = kind.adapted() ? AdaptedLayers.methodLike(method) : method;
    int rowSize = length * hiddenSize + pooledSize;
    float[] encoded = new float[prompts.size() * rowSize];
    for (int first = 0; first < prompts.size(); first += together) {
      int end = Math.min(prompts.size(), first + together);
      int rows = end - first;
      List<Tensor> arguments = new ArrayList<>();
      arguments.add(
          new HostTensor.Longs(
              Arrays.copyOfRange(ids, first * length, end * length), rows, length));
      if (!whole) {
        arguments.add(new HostTensor.Longs(Arrays.copyOfRange(used, first, end), rows));
      }
      if (kind.masked()) {
        arguments.add(mask(tokens.subList(first, end)));
      }
      if (kind.adapted()) {
        AdaptedLayers changed = adapted.orElseThrow();
        float[] factors = new float[rows * table];
        float[] scales = new float[rows * lines];
        for (int row = 0; row < rows; row++) {
          List<RequestedLora> loras = prompts.get(first + row).loras();
          float[] own = changed.factors(loras);
          System.arraycopy(own, 0, factors, row * table, own.length);
          float[] ownScales = changed.scales(loras);
          System.arraycopy(ownScales, 0, scales, row * lines, ownScales.length);
        }
        arguments.add(new HostTensor.Floats(factors, rows, lines, changed.width()));
        arguments.add(new HostTensor.Floats(scales, rows, lines));
      }
      float[] part = network.call(method, arguments.toArray(Tensor[]::new)).data();
      System.arraycopy(part, 0, encoded, first * rowSize, part.length);
    }
    return encoded;
  }

  /** What is added to scores: no token sees later ones, and hidden ones are seen by none. */
  private HostTensor.Floats mask(List<CompelTexts.TokenRow> rows) {
    int length = length();
    float[] mask = new float[rows.size() * length * length];
    int at = 0;
    for (CompelTexts.TokenRow row : rows) {
      boolean[] hidden = row.hidden().orElseGet(() -> new boolean[length]);
      for (int from = 0; from < length; from++) {
        for (int to = 0; to < length; to++) {
          mask[at++] = to > from || hidden[to] ? UNSEEN : 0;
        }
      }
    }
    return new HostTensor.Floats(mask, rows.size(), 1, length, length);
  }

  /** The method that takes the number of layers, too. */
  private static String layersMethod(Taken taken) {
    return switch (taken) {
      case NORMED -> ClipText.AT_LAYER_NORMED;
      case INNER, OUTERMOST_AND_END -> ClipText.AT_LAYER;
      case INNER_AND_POOLED -> ClipTextProjection.STATES_AND_POOLED;
    };
  }

  /** Adds a method like another one that takes a mask instead of hiding later tokens by itself. */
  private static void addMasked(Graph graph, String name) {
    Method of =
        graph.methods().stream()
            .filter(method -> method.name().equals(name))
            .findFirst()
            .orElseThrow();
    graph.variant(
        name + MASKED,
        of,
        m -> {
          Value mask = m.input("mask", 4);
          return (target, operation, inputs) ->
              operation.op() == Op.ATTENTION
                  ? Optional.of(
                      m.attention(
                          inputs.get(0),
                          inputs.get(1),
                          inputs.get(2),
                          m.castAs(mask, inputs.get(0))))
                  : Optional.empty();
        });
  }

  /** The states of a prompt's rows one behind the other, and what the first one is pooled to. */
  private PromptEncoding encoding(
      List<PromptChunks.Chunk> parts, boolean truncated, float[] encoded, int first) {
    int size = length() * hiddenSize;
    int chunks = parts.size();
    float[] states = new float[chunks * size];
    for (int i = 0; i < chunks; i++) {
      System.arraycopy(encoded, (first + i) * (size + pooledSize), states, i * size, size);
      weigh(states, i * size, parts.get(i).weights());
    }
    int pooled = first * (size + pooledSize) + size;
    return new PromptEncoding(
        states, Arrays.copyOfRange(encoded, pooled, pooled + pooledSize), truncated);
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
