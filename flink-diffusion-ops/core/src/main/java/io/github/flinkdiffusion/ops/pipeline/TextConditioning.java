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
import java.util.Optional;
import java.util.function.ToIntFunction;

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
   * @param adapters LoRAs that requests name
   */
  static Conditioning open(
      Components components,
      Config config,
      UNet2DConditionConfig unet,
      Optional<Adapters> adapters) {
    UNetConditions.textAnd(config, List.of(UNetConditions.GUIDANCE));
    PromptEncoder prompts = PromptEncoder.open(components, adapters);
    UNetConditions.fits(config, unet, prompts);
    return new TextConditioning(prompts, unet.guidanceEmbedding());
  }

  @Override
  public Signature describe(Signature signature) {
    Signature texts =
        Variation.describePrompts(
            signature.optional(Parameters.CLIP_SKIP).optional(Parameters.PROMPT_LANGUAGE));
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
  public void check(GenerationRequest request, ToIntFunction<GenerationRequest> calls) {
    check(request);
    if (PromptStages.has(request)) {
      PromptStages.check(request, calls.applyAsInt(request), guided(request), List.of(prompts));
    }
  }

  @Override
  public Denoiser.Input[] inputs() {
    Denoiser.Input texts = Denoiser.Input.vectors(prompts.hiddenSize());
    return guidanceSize > 0
        ? new Denoiser.Input[] {texts, Denoiser.Input.floats(guidanceSize)}
        : new Denoiser.Input[] {texts};
  }

  @Override
  public List<Conditions> encode(List<GenerationRequest> requests) {
    return guidanceSize > 0 ? embedded(requests) : guided(prompts, requests, TextConditioning::row);
  }

  @Override
  public List<Conditions> encode(
      List<GenerationRequest> requests, ToIntFunction<GenerationRequest> calls) {
    return PromptStages.encode(
        requests,
        this::encode,
        request ->
            staged(request, PromptStages.of(request, calls.applyAsInt(request), guided(request))));
  }

  /**
   * Conditions of prompts in A1111's or Compel's language, all of which are made as long as the
   * longest.
   */
  private Conditions staged(GenerationRequest request, PromptStages stages) {
    int skipped = Prompt.wanted(request).clipSkip();
    List<Prompt> texts = new ArrayList<>();
    texts.add(Prompt.written(request, "", 0));
    for (PromptStages.Stage stage : stages.stages()) {
      stage.wanted().forEach(text -> texts.add(Prompt.written(request, text, skipped)));
      texts.add(Prompt.written(request, stage.unwanted(), 0));
    }
    Map<Prompt, PromptEncoding> encoded = prompts.encodeSkipping(texts);
    float[] empty = encoded.get(texts.get(0)).states();
    int longest =
        encoded.values().stream().mapToInt(each -> each.states().length).max().orElseThrow();
    return stages.conditions(
        request,
        guided(request),
        text -> row(request, encoded.get(Prompt.written(request, text, skipped)), empty, longest),
        text -> row(request, encoded.get(Prompt.written(request, text, 0)), empty, longest));
  }

  private boolean guided(GenerationRequest request) {
    return guidanceSize == 0 && request.guidanceScale() > 1;
  }

  /** Encodings of nothing stand behind a text that is shorter than the longest. */
  private Row row(GenerationRequest request, PromptEncoding text, float[] empty, int longest) {
    float[] states = text.filledUp(longest, empty);
    Row row =
        guidanceSize > 0
            ? Row.of(states, EmbeddedGuidance.of(request.guidanceScale(), guidanceSize))
            : Row.of(states);
    int tokens = longest / prompts.hiddenSize();
    return tokens == prompts.length() ? row : row.ofTokens(tokens);
  }

  private List<Conditions> embedded(List<GenerationRequest> requests) {
    Map<Prompt, PromptEncoding> encoded =
        prompts.encodeSkipping(
            requests.stream().flatMap(request -> Variation.prompts(request).stream()).toList());
    List<Conditions> conditions = new ArrayList<>();
    for (GenerationRequest request : requests) {
      PromptEncoding prompt = Variation.encoding(request, Variation.prompts(request), encoded::get);
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
      texts.addAll(Variation.prompts(request));
      if (request.guidanceScale() > 1) {
        texts.add(Prompt.unwanted(request));
      }
    }
    Map<Prompt, PromptEncoding> encoded = prompts.encodeSkipping(texts);
    return requests.stream().map(request -> guided(request, encoded, rows)).toList();
  }

  private static Conditions guided(
      GenerationRequest request, Map<Prompt, PromptEncoding> encoded, RowOf rows) {
    PromptEncoding prompt = Variation.encoding(request, Variation.prompts(request), encoded::get);
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
