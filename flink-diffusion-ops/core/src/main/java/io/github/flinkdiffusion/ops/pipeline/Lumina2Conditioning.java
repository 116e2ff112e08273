/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.Lumina2;
import io.github.flinkdiffusion.ops.network.Lumina2Config;
import io.github.flinkdiffusion.ops.tokenizer.PromptTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;

/**
 * Texts for Gemma, behind a sentence that says what the model is for: Lumina 2. A negative prompt
 * has no such sentence. The transformer sees the states before the last layer.
 */
final class Lumina2Conditioning extends LanguageModelConditioning {

  /** {@code system_prompt}. */
  private static final String SYSTEM =
      "You are an assistant designed to generate superior images with the superior degree of"
          + " image-text alignment based on textual prompts or user prompts. <Prompt Start> ";

  /** What diffusers' pipeline takes each autoencoder to have. */
  private static final int SCALE_FACTOR = 8;

  private static final long TOKENS = 256;

  /** The most that {@link Parameters#MAX_SEQUENCE_LENGTH} may say. */
  private static final int MOST_TOKENS = 512;

  private final Lumina2Config config;

  private Lumina2Conditioning(LanguageModel model, Lumina2Config config) {
    super(model);
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
    PromptTokenizer tokenizer = LanguageModel.gemma(components);
    LanguageModel model =
        LanguageModel.gemma2(components, tokenizer, LanguageModel.Taken.LAST_BUT_ONE, MOST_TOKENS);
    model.requireSize(json, "cap_feat_dim", config.textSize());
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
    for (Asked text : texts(request)) {
      int tokens = text.tokens().ids().size();
      if (tokens >= config.maxTextPositions()) {
        throw new InvalidRequestException(
            "A prompt has %d tokens; the model has positions for %d, and one for the image. Shorten it, or set maxSequenceLength."
                .formatted(tokens, config.maxTextPositions() - 1));
      }
    }
  }

  @Override
  Guidance guidance(GenerationRequest request) {
    return request.guidanceScale() > 1
        ? new Guidance.ByLines(request.guidanceScale(), request.width() / SCALE_FACTOR)
        : Guidance.NONE;
  }

  @Override
  List<Asked> texts(GenerationRequest request) {
    int most = request.get(Parameters.MAX_SEQUENCE_LENGTH).intValue();
    List<Asked> texts = new ArrayList<>();
    if (guidance(request).rows() == 2) {
      texts.add(new Asked(model.tokens(request.get(Parameters.NEGATIVE_PROMPT), most), 0));
    }
    texts.add(new Asked(model.tokens(SYSTEM + request.get(Parameters.PROMPT), most), 0));
    return texts;
  }

  @Override
  Row row(float[] states, int skipped) {
    return Row.of(states, new float[] {states.length / model.size()});
  }
}
