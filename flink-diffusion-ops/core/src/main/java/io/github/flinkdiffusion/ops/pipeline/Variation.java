/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Images between two seeds and between two prompts: noise and encodings are interpolated by {@link
 * Slerp}, as whole vectors, before the first step.
 */
final class Variation {
  private static final double HALF = 0.5;

  private Variation() {}

  /** Adds what a request may say of a second seed. */
  static Signature describeSeeds(Signature signature) {
    return signature
        .optional(Parameters.VARIATION_SEED)
        .withDefault(
            Parameters.VARIATION_STRENGTH,
            "0.5 with variationSeed",
            asked -> asked.has(Parameters.VARIATION_SEED) ? HALF : null);
  }

  /** Adds what a request may say of a second prompt. */
  static Signature describePrompts(Signature signature) {
    return signature
        .optional(Parameters.VARIATION_PROMPT)
        .withDefault(
            Parameters.VARIATION_PROMPT_STRENGTH,
            "0.5 with variationPrompt",
            asked -> asked.has(Parameters.VARIATION_PROMPT) ? HALF : null);
  }

  /**
   * @throws InvalidRequestException for a strength of nothing, and beside what has no one noise or
   *     no one encoding of its prompt
   */
  static void check(GenerationRequest request) {
    requireBoth(request, Parameters.VARIATION_STRENGTH, Parameters.VARIATION_SEED);
    requireBoth(request, Parameters.VARIATION_PROMPT_STRENGTH, Parameters.VARIATION_PROMPT);
    for (Map.Entry<Parameter<?>, List<Parameter<?>>> each :
        List.<Map.Entry<Parameter<?>, List<Parameter<?>>>>of(
            Map.entry(
                Parameters.VARIATION_SEED,
                List.of(Parameters.SOURCE_PROMPT, Parameters.TILE_TOP_LEFT)),
            Map.entry(Parameters.VARIATION_PROMPT, List.of(Parameters.SOURCE_PROMPT)))) {
      for (Parameter<?> other : each.getValue()) {
        if (request.get(each.getKey()) != null && request.get(other) != null) {
          throw new InvalidRequestException(
              "The request has a %s and a %s; it may have one of both."
                  .formatted(each.getKey(), other));
        }
      }
    }
    if (request.get(Parameters.VARIATION_PROMPT) != null && PromptStages.has(request)) {
      throw new InvalidRequestException(
          "The request has a variationPrompt and promptLanguage %s; a variationPrompt needs plain."
              .formatted(request.get(Parameters.PROMPT_LANGUAGE)));
    }
  }

  private static void requireBoth(
      GenerationRequest request, Parameter<?> strength, Parameter<?> of) {
    if (request.get(strength) != null && request.get(of) == null) {
      throw new InvalidRequestException("The request has a %s but no %s.".formatted(strength, of));
    }
  }

  /** A trajectory's first noise: the next draw, or what lies between it and the other seed's. */
  static float[] noise(GenerationRequest request, TrajectoryNoise own, SampleShape shape) {
    float[] noise = own.gaussian(shape);
    Long seed = request.get(Parameters.VARIATION_SEED);
    if (seed == null) {
      return noise;
    }
    GenerationRequest other =
        new GenerationRequest(request.id(), request.arguments().with(Parameters.SEED, seed));
    return Slerp.between(
        noise,
        TrajectoryNoise.of(other).gaussian(shape),
        request.get(Parameters.VARIATION_STRENGTH));
  }

  /** The prompt, and the other one if there is one. */
  static List<Prompt> prompts(GenerationRequest request) {
    Prompt own = Prompt.wanted(request);
    String other = request.get(Parameters.VARIATION_PROMPT);
    return other == null ? List.of(own) : List.of(own, own.withText(other));
  }

  /**
   * The encoding of the first of {@link #prompts}, or what lies between it and the second's.
   *
   * @param <P> what is encoded
   */
  static <P> PromptEncoding encoding(
      GenerationRequest request, List<P> prompts, Function<P, PromptEncoding> encoded) {
    PromptEncoding own = encoded.apply(prompts.get(0));
    if (prompts.size() == 1) {
      return own;
    }
    PromptEncoding other = encoded.apply(prompts.get(1));
    double share = request.get(Parameters.VARIATION_PROMPT_STRENGTH);
    return new PromptEncoding(
        Slerp.between(own.states(), other.states(), share),
        Slerp.between(own.pooled(), other.pooled(), share),
        own.truncated() || other.truncated());
  }
}
