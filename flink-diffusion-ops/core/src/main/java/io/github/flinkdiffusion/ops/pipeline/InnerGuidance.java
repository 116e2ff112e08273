/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * What requests change inside of a UNet: perturbed-attention guidance (diffusers' PAG pipelines)
 * and FreeU. Rows bring their own numbers, so requests with and without share calls; a call in
 * which none has any is one of the plain network.
 */
final class InnerGuidance {
  /** In the order of the network's input. */
  private static final List<Parameter<Double>> FREEU =
      List.of(Parameters.FREEU_B1, Parameters.FREEU_B2, Parameters.FREEU_S1, Parameters.FREEU_S2);

  private static final List<Parameter<?>> PERTURBED =
      List.of(Parameters.PAG_SCALE, Parameters.PAG_ADAPTIVE_SCALE, Parameters.PAG_APPLIED_LAYERS);

  private static final float[] NOTHING = new float[0];
  private static final String MIDDLE = "mid";

  private final List<String> selfAttentions;
  private final boolean perturbs;
  private final boolean hasFreeU;

  private InnerGuidance(List<String> selfAttentions, boolean perturbs, boolean hasFreeU) {
    this.selfAttentions = selfAttentions;
    this.perturbs = perturbs;
    this.hasFreeU = hasFreeU;
  }

  /**
   * @param guided whether the model's requests may have guidance by several rows
   * @return empty where the settings do not ask for it
   */
  static Optional<InnerGuidance> open(
      Components components, Config config, UNet2DConditionConfig unet, boolean guided) {
    if (!components.unetGuidance()) {
      return Optional.empty();
    }
    UNet2DCondition network = new UNet2DCondition(unet);
    List<String> names = network.selfAttentions();
    boolean perturbs = guided && !names.isEmpty();
    if (!perturbs && !network.hasFreeU()) {
      throw config.unsupported(
          "up_block_types",
          config.node().get("up_block_types"),
          "UpBlock2D or CrossAttnUpBlock2D, or transformers with self-attention, where requests may"
              + " change what a UNet does inside (diffusion.unet-guidance.enabled)");
    }
    return Optional.of(new InnerGuidance(names, perturbs, network.hasFreeU()));
  }

  /** The requests of a model whose settings do not ask for it. */
  static Signature describeWithout(
      Signature signature, UNet2DConditionConfig unet, boolean guided, String job) {
    UNet2DCondition network = new UNet2DCondition(unet);
    Signature described = signature;
    if (guided && !network.selfAttentions().isEmpty()) {
      described = described.elsewhere(job, PERTURBED);
    }
    return network.hasFreeU() ? described.elsewhere(job, FREEU) : described;
  }

  Signature describe(Signature signature) {
    Signature described = signature;
    if (perturbs) {
      described =
          described
              .optional(Parameters.PAG_SCALE)
              .withDefault(
                  Parameters.PAG_ADAPTIVE_SCALE,
                  "0 with pagScale",
                  asked -> asked.has(Parameters.PAG_SCALE) ? 0.0 : null)
              .withDefault(
                  Parameters.PAG_APPLIED_LAYERS,
                  "mid with pagScale",
                  asked -> asked.has(Parameters.PAG_SCALE) ? MIDDLE : null);
    }
    if (hasFreeU) {
      for (Parameter<Double> factor : FREEU) {
        described = described.optional(factor);
      }
    }
    return described;
  }

  /** A denoiser that takes one input after those that it has. */
  Denoiser on(Denoiser denoiser) {
    return denoiser.andGated(
        method -> UNet2DCondition.GUIDED,
        Denoiser.Input.floats(FREEU.size() + selfAttentions.size()));
  }

  /**
   * @throws InvalidRequestException for layers that the network does not have, and for what cannot
   *     be done together
   */
  void check(GenerationRequest request) {
    long factors = FREEU.stream().filter(factor -> request.get(factor) != null).count();
    if (factors != 0 && factors != FREEU.size()) {
      throw new InvalidRequestException(
          "The request has %d of freeuB1, freeuB2, freeuS1 and freeuS2; it must have all or none."
              .formatted(factors));
    }
    boolean perturbed = request.get(Parameters.PAG_SCALE) != null;
    if (perturbed) {
      checkPerturbed(request);
    } else {
      for (Parameter<?> about :
          List.of(Parameters.PAG_ADAPTIVE_SCALE, Parameters.PAG_APPLIED_LAYERS)) {
        if (request.get(about) != null) {
          throw new InvalidRequestException(
              "The request has a %s but no pagScale.".formatted(about));
        }
      }
    }
    if (request.get(Parameters.SOURCE_PROMPT) != null && (perturbed || factors != 0)) {
      throw new InvalidRequestException(
          "The request has a sourcePrompt and a %s; it may have one of both."
              .formatted(perturbed ? Parameters.PAG_SCALE : Parameters.FREEU_B1));
    }
  }

  private void checkPerturbed(GenerationRequest request) {
    leftOut(request);
    if (PromptStages.has(request)) {
      throw new InvalidRequestException(
          "The request has a pagScale and promptLanguage %s; a pagScale needs plain."
              .formatted(request.get(Parameters.PROMPT_LANGUAGE)));
    }
  }

  /** As the reference searches for a part of a name; a dot stands for any character there. */
  private boolean[] leftOut(GenerationRequest request) {
    boolean[] leftOut = new boolean[selfAttentions.size()];
    for (String part : request.get(Parameters.PAG_APPLIED_LAYERS).split(",")) {
      Pattern pattern = Pattern.compile(part);
      boolean any = false;
      for (int i = 0; i < leftOut.length; i++) {
        boolean found = pattern.matcher(selfAttentions.get(i)).find();
        leftOut[i] |= found;
        any |= found;
      }
      if (!any) {
        throw new InvalidRequestException(
            ("pagAppliedLayers has '%s', which no name of the network's self-attentions has; they"
                    + " are %s.")
                .formatted(part, String.join(", ", selfAttentions)));
      }
    }
    return leftOut;
  }

  /** A beginning whose rows bring what the request changes. */
  Beginning of(GenerationRequest request, Beginning beginning) {
    float[] factors = changes(request, new boolean[selfAttentions.size()]);
    Conditions conditions = beginning.conditions().withRows(row -> row.and(List.of(factors)));
    Double scale = request.get(Parameters.PAG_SCALE);
    if (scale != null && scale > 0) {
      float[] perturbed = changes(request, leftOut(request));
      double adaptive = request.get(Parameters.PAG_ADAPTIVE_SCALE);
      conditions =
          conditions.andRow(
              row -> row.withInput(row.inputs().size() - 1, perturbed),
              guidance -> Guidance.Perturbed.of(guidance, scale, adaptive));
    }
    return beginning.conditioned(
        beginning
            .lead()
            .map(lead -> new Beginning.Lead(lead.calls(), unchanged(lead.conditions()))),
        beginning.phases().stream()
            .map(phase -> new Beginning.Lead(phase.calls(), unchanged(phase.conditions())))
            .toList(),
        conditions);
  }

  private static Conditions unchanged(Conditions conditions) {
    return conditions.withRows(row -> row.and(List.of(NOTHING)));
  }

  private static float[] changes(GenerationRequest request, boolean[] leftOut) {
    float[] changes = new float[FREEU.size() + leftOut.length];
    for (int i = 0; i < FREEU.size(); i++) {
      Double factor = request.get(FREEU.get(i));
      changes[i] = factor == null ? 0 : (float) (factor - 1);
    }
    for (int i = 0; i < leftOut.length; i++) {
      changes[FREEU.size() + i] = leftOut[i] ? 1 : 0;
    }
    return changes;
  }
}
