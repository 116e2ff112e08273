/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Stable Diffusion 1.x and 2.x: the last states of one text encoder, twice with classifier-free
 * guidance, the unconditional row first. A network that takes the guidance scale as an input
 * (latent consistency models) has one row and knows no negative prompt.
 */
final class TextConditioning implements Conditioning {
  private final PromptEncoder prompts;

  /** Size of the embedded guidance scale, 0 for a network without it. */
  private final int guidanceSize;

  private TextConditioning(PromptEncoder prompts, int guidanceSize) {
    this.prompts = prompts;
    this.guidanceSize = guidanceSize;
  }

  /**
   * @param config the denoising network's
   */
  static Conditioning open(Components components, Config config, UNet2DConditionConfig unet) {
    UNetConditions.textAnd(config, List.of(UNetConditions.GUIDANCE));
    PromptEncoder prompts = PromptEncoder.open(components);
    UNetConditions.fits(config, unet, prompts);
    return new TextConditioning(prompts, unet.guidanceEmbedding());
  }

  @Override
  public Signature describe(Signature signature) {
    Signature texts = signature.optional(Parameters.CLIP_SKIP);
    return guidanceSize > 0
        ? texts
        : texts
            .withDefault(Parameters.NEGATIVE_PROMPT, "")
            .withDefault(Parameters.GUIDANCE_RESCALE, 0.0);
  }

  @Override
  public void check(GenerationRequest request) {
    prompts.checkClipSkip(request);
  }

  @Override
  public Denoiser.Input[] inputs() {
    return guidanceSize > 0
        ? new Denoiser.Input[] {prompts.input(), Denoiser.Input.floats(guidanceSize)}
        : new Denoiser.Input[] {prompts.input()};
  }

  @Override
  public List<Conditions> encode(List<GenerationRequest> requests) {
    return guidanceSize > 0 ? embedded(requests) : guided(prompts, requests, TextConditioning::row);
  }

  private List<Conditions> embedded(List<GenerationRequest> requests) {
    Map<Prompt, PromptEncoding> encoded =
        prompts.encodeSkipping(requests.stream().map(Prompt::wanted).toList());
    List<Conditions> conditions = new ArrayList<>();
    for (GenerationRequest request : requests) {
      PromptEncoding prompt = encoded.get(Prompt.wanted(request));
      float[] guidance = EmbeddedGuidance.of(request.guidanceScale(), guidanceSize);
      conditions.add(
          new Conditions(
              List.of(Row.of(prompt.states(), guidance)), Guidance.NONE, prompt.truncated()));
    }
    return conditions;
  }

  /** A text's row of a network that sees its states alone. */
  static Row row(GenerationRequest request, PromptEncoding text) {
    return Row.of(text.states());
  }

  /** What a request's row has of a text, and of the request. */
  @FunctionalInterface
  interface RowOf {
    Row of(GenerationRequest request, PromptEncoding text);
  }

  /**
   * Classifier-free guidance by texts, the unwanted one's row first; without, the wanted one's row
   * alone.
   */
  static List<Conditions> guided(
      PromptEncoder prompts, List<GenerationRequest> requests, RowOf rows) {
    List<Prompt> texts = new ArrayList<>();
    for (GenerationRequest request : requests) {
      texts.add(Prompt.wanted(request));
      if (request.guidanceScale() > 1) {
        texts.add(Prompt.unwanted(request));
      }
    }
    Map<Prompt, PromptEncoding> encoded = prompts.encodeSkipping(texts);
    return requests.stream().map(request -> guided(request, encoded, rows)).toList();
  }

  private static Conditions guided(
      GenerationRequest request, Map<Prompt, PromptEncoding> encoded, RowOf rows) {
    PromptEncoding prompt = encoded.get(Prompt.wanted(request));
    Row conditional = rows.of(request, prompt);
    if (request.guidanceScale() <= 1) {
      return new Conditions(List.of(conditional), Guidance.NONE, prompt.truncated());
    }
    PromptEncoding negative = encoded.get(Prompt.unwanted(request));
    Double rescale = request.get(Parameters.GUIDANCE_RESCALE);
    return new Conditions(
        List.of(rows.of(request, negative), conditional),
        new Guidance.ClassifierFree(request.guidanceScale(), rescale == null ? 0 : rescale),
        prompt.truncated() || negative.truncated());
  }
}
