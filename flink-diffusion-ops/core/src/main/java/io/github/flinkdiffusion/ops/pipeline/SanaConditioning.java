/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.CausalTextConfig;
import io.github.flinkdiffusion.ops.network.Sana;
import io.github.flinkdiffusion.ops.network.SanaConfig;
import io.github.flinkdiffusion.ops.tokenizer.PromptTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Texts for Gemma, behind an instruction to describe them better: Sana. The transformer sees the
 * first state and those of the text behind the instruction.
 */
final class SanaConditioning implements Conditioning {

  /** {@code complex_human_instruction}. */
  private static final String INSTRUCTION =
      String.join(
          "\n",
          "Given a user prompt, generate an 'Enhanced prompt' that provides detailed visual"
              + " descriptions suitable for image generation. Evaluate the level of detail in the"
              + " user prompt:",
          "- If the prompt is simple, focus on adding specifics about colors, shapes, sizes,"
              + " textures, and spatial relationships to create vivid and concrete scenes.",
          "- If the prompt is already detailed, refine and enhance the existing details slightly"
              + " without overcomplicating.",
          "Here are examples of how to transform or refine prompts:",
          "- User Prompt: A cat sleeping -> Enhanced: A small, fluffy white cat curled up in a"
              + " round shape, sleeping peacefully on a warm sunny windowsill, surrounded by pots"
              + " of blooming red flowers.",
          "- User Prompt: A busy city street -> Enhanced: A bustling city street scene at dusk,"
              + " featuring glowing street lamps, a diverse crowd of people in colorful clothing,"
              + " and a double-decker bus passing by towering glass skyscrapers.",
          "Please generate only the enhanced description for the prompt below and avoid including"
              + " any additional commentary or evaluations:",
          "User Prompt: ");

  /** {@code max_sequence_length}. */
  private static final int SEEN = 300;

  private final LanguageModel model;

  /** Tokens of the instruction alone. */
  private final int instruction;

  private SanaConditioning(LanguageModel model, int instruction) {
    this.model = model;
    this.instruction = instruction;
  }

  /** SanaPipeline. */
  static Task open(Components components) {
    Config json = components.config("transformer", "SanaTransformer2DModel");
    SanaConfig config = SanaConfig.from(json);
    if (config.outChannels() != config.inChannels()) {
      throw json.unsupported(
          "out_channels", config.outChannels(), "in_channels, " + config.inChannels());
    }
    Autoencoder autoencoder = Autoencoder.openDeep(components);
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
    int instruction = tokenizer.ids(INSTRUCTION).length;
    LanguageModel model =
        LanguageModel.open(
            components,
            tokenizer,
            CausalTextConfig.Type.GEMMA2,
            LanguageModel.Taken.LAST,
            instruction + SEEN - 2,
            "Gemma2Model",
            "Gemma2ForCausalLM");
    if (config.textSize() != model.size()) {
      throw json.unsupported(
          "caption_channels", config.textSize(), "the text encoder's hidden_size, " + model.size());
    }
    return TextTransformer.open(
        components,
        new TextTransformer.Family("SanaPipeline", TextTransformer.Way.OF_CONFIG, 20, 0, 0),
        new TextTransformer.Transformer(
            new Sana(config), "num_layers", config.inChannels(), config.patchSize(), 1024),
        new SanaConditioning(model, instruction),
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
    return new Denoiser.Input[] {Denoiser.Input.vectors(model.size()), Denoiser.Input.floats()};
  }

  /**
   * A text as the language model gets it.
   *
   * @param skipped tokens behind the first that the transformer does not see
   */
  private record Asked(LanguageModel.Tokens tokens, int skipped) {}

  private List<Asked> texts(GenerationRequest request) {
    List<Asked> own = new ArrayList<>();
    if (request.guidanceScale() > 1) {
      own.add(
          new Asked(
              model.tokens(Captions.plain(request.get(Parameters.NEGATIVE_PROMPT)), SEEN), 0));
    }
    int most = instruction + SEEN - 2;
    own.add(
        new Asked(
            model.tokens(INSTRUCTION + Captions.plain(request.get(Parameters.PROMPT)), most),
            most - SEEN));
    return own;
  }

  @Override
  public long tokens(GenerationRequest request) {
    return LanguageModel.computed(texts(request).stream().map(Asked::tokens).toList());
  }

  @Override
  public List<Conditions> encode(List<GenerationRequest> requests) {
    List<List<Asked>> texts = requests.stream().map(this::texts).toList();
    List<List<Integer>> all = new ArrayList<>();
    texts.forEach(own -> own.forEach(text -> all.add(text.tokens().ids())));
    Map<List<Integer>, float[]> states = model.states(all);
    List<Conditions> conditions = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      conditions.add(
          new Conditions(
              texts.get(i).stream()
                  .map(text -> row(states.get(text.tokens().ids()), text.skipped()))
                  .toList(),
              texts.get(i).size() == 2
                  ? Guidance.classifierFree(requests.get(i).guidanceScale())
                  : Guidance.NONE,
              texts.get(i).stream().anyMatch(text -> text.tokens().truncated())));
    }
    return conditions;
  }

  private Row row(float[] states, int skipped) {
    int size = model.size();
    int tokens = states.length / size;
    int seen = 1 + Math.max(0, tokens - 1 - skipped);
    float[] own = new float[seen * size];
    System.arraycopy(states, 0, own, 0, size);
    System.arraycopy(states, (tokens - seen + 1) * size, own, size, (seen - 1) * size);
    return Row.of(own, new float[] {seen});
  }
}
