/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.CausalTextConfig;
import io.github.flinkdiffusion.ops.network.Lumina2;
import io.github.flinkdiffusion.ops.network.Lumina2Config;
import io.github.flinkdiffusion.ops.tokenizer.PromptTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Texts for Gemma, behind a sentence that says what the model is for: Lumina 2. A negative prompt
 * has no such sentence. The transformer sees the states before the last layer.
 */
final class Lumina2Conditioning implements Conditioning {

  /** {@code system_prompt}. */
  private static final String SYSTEM =
      "You are an assistant designed to generate superior images with the superior degree of"
          + " image-text alignment based on textual prompts or user prompts. <Prompt Start> ";

  /** What diffusers' pipeline takes each autoencoder to have. */
  private static final int SCALE_FACTOR = 8;

  private static final long TOKENS = 256;

  /** The most that {@link Parameters#MAX_SEQUENCE_LENGTH} may say. */
  private static final int MOST_TOKENS = 512;

  private final LanguageModel model;
  private final Lumina2Config config;

  private Lumina2Conditioning(LanguageModel model, Lumina2Config config) {
    this.model = model;
    this.config = config;
  }

  /** Lumina2Pipeline. */
  static Task open(Components components) {
    Config json = components.config("transformer", "Lumina2Transformer2DModel");
    Lumina2Config config = Lumina2Config.from(json);
    Autoencoder autoencoder = Autoencoder.openShifted(components);
    int factor = autoencoder.format().scaleFactor();
    if (factor != SCALE_FACTOR) {
      throw components
          .config("vae")
          .unsupported(
              "block_out_channels",
              components.config("vae").node().get("block_out_channels"),
              "four numbers: a latent of an eighth of the image's sides");
    }
    components.requireClass("tokenizer", "GemmaTokenizer", "GemmaTokenizerFast");
    PromptTokenizer tokenizer = PromptTokenizer.gemma(components.folder().component("tokenizer"));
    if (tokenizer.ids("").length == 0) {
      throw components
          .folder()
          .config()
          .unsupported(
              "tokenizer",
              "one that leaves an empty text empty",
              "one that begins texts with <bos>");
    }
    LanguageModel model =
        LanguageModel.open(
            components,
            tokenizer,
            CausalTextConfig.Type.GEMMA2,
            LanguageModel.Taken.LAST_BUT_ONE,
            MOST_TOKENS,
            "Gemma2Model",
            "Gemma2ForCausalLM");
    if (config.textSize() != model.size()) {
      throw json.unsupported(
          "cap_feat_dim", config.textSize(), "the text encoder's hidden_size, " + model.size());
    }
    return TextTransformer.open(
        components,
        new TextTransformer.Family(
            "Lumina2Pipeline", TextTransformer.Way.OF_FLOW_BY_CHANNELS, 30, 0, 0),
        new TextTransformer.Transformer(
            new Lumina2(config),
            "num_layers",
            config.channels(),
            Lumina2Config.PATCH,
            config.side() * SCALE_FACTOR),
        new Lumina2Conditioning(model, config),
        autoencoder);
  }

  @Override
  public Signature describe(Signature signature) {
    return signature
        .withDefault(Parameters.NEGATIVE_PROMPT, "")
        .withDefault(Parameters.MAX_SEQUENCE_LENGTH, TOKENS)
        .withDefault(Parameters.GUIDANCE_SCALE, 4.0);
  }

  @Override
  public void check(GenerationRequest request) {
    int factor = SCALE_FACTOR * Lumina2Config.PATCH;
    int most = config.maxSide();
    if (Math.max(request.width(), request.height()) / factor > most) {
      throw new InvalidRequestException(
          "The image is %d x %d pixels; the model has positions for sides of up to %d."
              .formatted(request.width(), request.height(), most * factor));
    }
    for (LanguageModel.Tokens text : texts(request)) {
      if (text.ids().size() >= config.maxTextPositions()) {
        throw new InvalidRequestException(
            "A prompt has %d tokens; the model has positions for %d, and one for the image. Shorten it, or set maxSequenceLength."
                .formatted(text.ids().size(), config.maxTextPositions() - 1));
      }
    }
  }

  @Override
  public Denoiser.Input[] inputs() {
    return new Denoiser.Input[] {Denoiser.Input.vectors(model.size()), Denoiser.Input.floats()};
  }

  /** A request's texts, the negative one first if there is guidance. */
  private List<LanguageModel.Tokens> texts(GenerationRequest request) {
    int most = request.get(Parameters.MAX_SEQUENCE_LENGTH).intValue();
    List<LanguageModel.Tokens> texts = new ArrayList<>();
    if (request.guidanceScale() > 1) {
      texts.add(model.tokens(request.get(Parameters.NEGATIVE_PROMPT), most));
    }
    texts.add(model.tokens(SYSTEM + request.get(Parameters.PROMPT), most));
    return texts;
  }

  @Override
  public long tokens(GenerationRequest request) {
    return LanguageModel.computed(texts(request));
  }

  @Override
  public List<Conditions> encode(List<GenerationRequest> requests) {
    List<List<LanguageModel.Tokens>> texts = requests.stream().map(this::texts).toList();
    List<List<Integer>> all = new ArrayList<>();
    texts.forEach(own -> own.forEach(text -> all.add(text.ids())));
    Map<List<Integer>, float[]> states = model.states(all);
    List<Conditions> conditions = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      GenerationRequest request = requests.get(i);
      conditions.add(
          new Conditions(
              texts.get(i).stream().map(text -> row(states.get(text.ids()))).toList(),
              texts.get(i).size() == 2
                  ? new Guidance.ByLines(request.guidanceScale(), request.width() / SCALE_FACTOR)
                  : Guidance.NONE,
              texts.get(i).stream().anyMatch(LanguageModel.Tokens::truncated)));
    }
    return conditions;
  }

  private Row row(float[] states) {
    return Row.of(states, new float[] {states.length / model.size()});
  }
}
