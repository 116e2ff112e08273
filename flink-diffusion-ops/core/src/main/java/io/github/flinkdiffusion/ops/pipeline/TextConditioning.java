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
    List<Prompt> texts = new ArrayList<>();
    for (GenerationRequest request : requests) {
      texts.add(Prompt.wanted(request));
      if (guided(request)) {
        texts.add(Prompt.unwanted(request));
      }
    }
    Map<Prompt, PromptEncoding> encoded = prompts.encodeSkipping(texts);
    return requests.stream().map(request -> conditions(request, encoded)).toList();
  }

  private Conditions conditions(GenerationRequest request, Map<Prompt, PromptEncoding> encoded) {
    PromptEncoding prompt = encoded.get(Prompt.wanted(request));
    if (guidanceSize > 0) {
      float[] guidance = EmbeddedGuidance.of(request.guidanceScale(), guidanceSize);
      return new Conditions(
          List.of(Row.of(prompt.states(), guidance)), Guidance.NONE, prompt.truncated());
    }
    Row conditional = Row.of(prompt.states());
    if (!guided(request)) {
      return new Conditions(List.of(conditional), Guidance.NONE, prompt.truncated());
    }
    PromptEncoding negative = encoded.get(Prompt.unwanted(request));
    return new Conditions(
        List.of(Row.of(negative.states()), conditional),
        new Guidance.ClassifierFree(
            request.guidanceScale(), request.get(Parameters.GUIDANCE_RESCALE)),
        prompt.truncated() || negative.truncated());
  }

  private boolean guided(GenerationRequest request) {
    return guidanceSize == 0 && request.guidanceScale() > 1;
  }
}
