/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.network.PixArt;
import io.github.flinkdiffusion.ops.network.PixArtConfig;
import io.github.flinkdiffusion.ops.network.T5Config;
import io.github.flinkdiffusion.ops.network.T5Encoder;
import io.github.flinkdiffusion.ops.tokenizer.MaskedTokens;
import io.github.flinkdiffusion.ops.tokenizer.PromptTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;

/** Texts for T5, with their sizes beside them: PixArt-alpha and PixArt-Sigma. */
final class PixArtConditioning implements Conditioning {
  private static final String ENCODER = "text_encoder";
  private static final String TOKENIZER = "tokenizer";

  /** {@code max_sequence_length} of each. */
  private static final int ALPHA_TOKENS = 120;

  private static final int SIGMA_TOKENS = 300;

  /** Texts whose states are kept, each of up to 300 x 4096 numbers (5 MB). */
  private static final int KEPT = 16;

  private final PromptTokenizer tokenizer;
  private final Network encoder;
  private final T5Config text;
  private final int length;
  private final PixArtConfig config;

  /** Pixels along a side of a latent's pixel. */
  private final int scale;

  private final Map<String, Encoded> kept =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Encoded> eldest) {
          return size() > KEPT;
        }
      };

  /**
   * @param states of a text's own tokens
   */
  private record Encoded(float[] states, boolean truncated) {}

  private PixArtConditioning(
      PromptTokenizer tokenizer,
      Network encoder,
      T5Config text,
      int length,
      PixArtConfig config,
      int scale) {
    this.tokenizer = tokenizer;
    this.encoder = encoder;
    this.text = text;
    this.length = length;
    this.config = config;
    this.scale = scale;
  }

  /** PixArtAlphaPipeline. */
  static Task openAlpha(Components components) {
    return open(components, "PixArtAlphaPipeline", ALPHA_TOKENS);
  }

  /** PixArtSigmaPipeline. */
  static Task openSigma(Components components) {
    return open(components, "PixArtSigmaPipeline", SIGMA_TOKENS);
  }

  private static Task open(Components components, String name, int length) {
    Config json =
        components.config("transformer", "PixArtTransformer2DModel", "Transformer2DModel");
    PixArtConfig config = PixArtConfig.from(json);
    Autoencoder autoencoder = Autoencoder.openDecoder(components);
    int latent = autoencoder.format().latentChannels();
    if (config.outChannels() != latent && config.outChannels() != 2 * latent) {
      throw json.unsupported("out_channels", config.outChannels(), "in_channels, or twice as many");
    }
    if (name.equals("PixArtSigmaPipeline") && config.sized()) {
      throw json.unsupported(
          "use_additional_conditions", true, "false in a pipeline that gives no sizes");
    }
    components.requireClass(TOKENIZER, "T5Tokenizer", "T5TokenizerFast");
    PromptTokenizer tokenizer = PromptTokenizer.t5(components.folder().component(TOKENIZER));
    Config textJson = components.config(ENCODER, "T5EncoderModel");
    T5Config text = T5Config.from(textJson);
    if (tokenizer.vocabularySize() > text.vocabSize()) {
      throw textJson.unsupported(
          "vocab_size",
          text.vocabSize(),
          "at least the tokenizer's, " + tokenizer.vocabularySize());
    }
    if (config.textSize() != text.hidden()) {
      throw json.unsupported(
          "caption_channels", config.textSize(), "the text encoder's d_model, " + text.hidden());
    }
    Network encoder = components.load(ENCODER, new T5Encoder(text).graph());
    int side = config.sampleSize() * autoencoder.format().scaleFactor();
    return TextTransformer.open(
        components,
        new TextTransformer.Family(name, TextTransformer.Way.OF_CONFIG, 20, 0, 0),
        new TextTransformer.Transformer(
            new PixArt(config), "num_layers", config.inChannels(), config.patchSize(), side),
        new PixArtConditioning(
            tokenizer, encoder, text, length, config, autoencoder.format().scaleFactor()),
        autoencoder);
  }

  @Override
  public Signature describe(Signature signature) {
    return signature
        .withDefault(Parameters.NEGATIVE_PROMPT, "")
        .withDefault(Parameters.GUIDANCE_SCALE, 4.5);
  }

  @Override
  public void check(GenerationRequest request) {
    // Any text, any size.
  }

  @Override
  public Denoiser.Input[] inputs() {
    Denoiser.Input states = Denoiser.Input.vectors(text.hidden());
    return config.sized()
        ? new Denoiser.Input[] {states, Denoiser.Input.floats(), Denoiser.Input.floats(3)}
        : new Denoiser.Input[] {states, Denoiser.Input.floats()};
  }

  @Override
  public List<Conditions> encode(List<GenerationRequest> requests) {
    List<List<String>> texts = new ArrayList<>();
    List<String> all = new ArrayList<>();
    for (GenerationRequest request : requests) {
      List<String> own = new ArrayList<>();
      if (request.guidanceScale() > 1) {
        own.add(Captions.plain(request.get(Parameters.NEGATIVE_PROMPT)));
      }
      own.add(Captions.plain(request.get(Parameters.PROMPT)));
      all.addAll(own);
      texts.add(own);
    }
    Map<String, Encoded> encoded = encoded(all);
    List<Conditions> conditions = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      GenerationRequest request = requests.get(i);
      List<Encoded> own = texts.get(i).stream().map(encoded::get).toList();
      conditions.add(
          new Conditions(
              own.stream().map(each -> row(request, each)).toList(),
              guidance(request, own.size()),
              own.stream().anyMatch(Encoded::truncated)));
    }
    return conditions;
  }

  private Row row(GenerationRequest request, Encoded encoded) {
    float[] tokens = {(float) encoded.states().length / text.hidden()};
    if (!config.sized()) {
      return Row.of(encoded.states(), tokens);
    }
    float height = request.height();
    float width = request.width();
    float[] sides = {height, width, (float) ((double) height / width)};
    return Row.of(encoded.states(), tokens, sides);
  }

  /** A learned variance is not used. */
  private Guidance guidance(GenerationRequest request, int rows) {
    Guidance guidance =
        rows == 2 ? Guidance.classifierFree(request.guidanceScale()) : Guidance.NONE;
    return config.outChannels() == config.inChannels()
        ? guidance
        : new Guidance.First(guidance, values(request));
  }

  /** Of a sample. */
  private int values(GenerationRequest request) {
    return config.inChannels() * (request.height() / scale) * (request.width() / scale);
  }

  private Map<String, Encoded> encoded(Collection<String> texts) {
    Map<String, Encoded> encoded = new LinkedHashMap<>();
    List<String> missing = new ArrayList<>();
    for (String each : new LinkedHashSet<>(texts)) {
      Encoded known = kept.get(each);
      if (known == null) {
        missing.add(each);
      } else {
        encoded.put(each, known);
      }
    }
    if (!missing.isEmpty()) {
      call(missing, encoded);
      missing.forEach(each -> kept.put(each, encoded.get(each)));
    }
    return encoded;
  }

  private void call(List<String> texts, Map<String, Encoded> encoded) {
    List<MaskedTokens> tokens = texts.stream().map(each -> tokenizer.encode(each, length)).toList();
    // Padding is not seen, so fewer of it changes nothing.
    int longest = tokens.stream().mapToInt(MaskedTokens::count).max().orElseThrow();
    int rows = texts.size();
    long[] ids = new long[rows * longest];
    float[] mask = new float[rows * longest];
    long[] buckets = new long[rows * longest * longest];
    long[] table = text.bucketsOf(longest);
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < longest; j++) {
        ids[i * longest + j] = tokens.get(i).ids()[j];
        mask[i * longest + j] = tokens.get(i).mask()[j];
      }
      System.arraycopy(table, 0, buckets, i * table.length, table.length);
    }
    float[] all =
        encoder
            .call(
                T5Encoder.MASKED,
                new HostTensor.Longs(ids, rows, longest),
                new HostTensor.Longs(buckets, rows, longest, longest),
                new HostTensor.Floats(mask, rows, longest))
            .data();
    int size = longest * text.hidden();
    for (int i = 0; i < rows; i++) {
      int own = tokens.get(i).count() * text.hidden();
      encoded.put(
          texts.get(i),
          new Encoded(
              Arrays.copyOfRange(all, i * size, i * size + own), tokens.get(i).truncated()));
    }
  }
}
