/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.Sana;
import io.github.flinkdiffusion.ops.network.SanaConfig;
import io.github.flinkdiffusion.ops.tokenizer.PromptTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;

/**
 * Texts for Gemma, behind an instruction to describe them better: Sana. The transformer sees the
 * first state and those of the text behind the instruction.
 */
final class SanaConditioning extends LanguageModelConditioning {

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

  /** Tokens of the instruction alone. */
  private final int instruction;

  private SanaConditioning(LanguageModel model, int instruction) {
    super(model);
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
    PromptTokenizer tokenizer = LanguageModel.gemma(components);
    int instruction = tokenizer.ids(INSTRUCTION).length;
    LanguageModel model =
        LanguageModel.gemma2(
            components, tokenizer, LanguageModel.Taken.LAST, instruction + SEEN - 2);
    model.requireSize(json, "caption_channels", config.textSize());
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
  Guidance guidance(GenerationRequest request) {
    return request.guidanceScale() > 1
        ? Guidance.classifierFree(request.guidanceScale())
        : Guidance.NONE;
  }

  @Override
  List<Asked> texts(GenerationRequest request) {
    List<Asked> own = new ArrayList<>();
    if (guidance(request).rows() == 2) {
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

  /** The first state is seen; those that are skipped come behind it. */
  @Override
  Row row(float[] states, int skipped) {
    int size = model.size();
    int tokens = states.length / size;
    int seen = 1 + Math.max(0, tokens - 1 - skipped);
    float[] own = new float[seen * size];
    System.arraycopy(states, 0, own, 0, size);
    System.arraycopy(states, (tokens - seen + 1) * size, own, size, (seen - 1) * size);
    return Row.of(own, new float[] {seen});
  }
}
