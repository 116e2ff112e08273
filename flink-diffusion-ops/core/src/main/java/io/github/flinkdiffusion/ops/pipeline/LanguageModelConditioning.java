/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Texts for a transformer that sees the states of a language model's tokens. */
abstract class LanguageModelConditioning implements Conditioning {
  final LanguageModel model;

  LanguageModelConditioning(LanguageModel model) {
    this.model = model;
  }

  /**
   * A text as the language model gets it.
   *
   * @param skipped of its states, those that the transformer does not see
   */
  record Asked(LanguageModel.Tokens tokens, int skipped) {}

  /** Guidance with a request's two rows; none for one row. */
  abstract Guidance guidance(GenerationRequest request);

  /** A request's texts, the negative one first if there is guidance. */
  abstract List<Asked> texts(GenerationRequest request);

  /**
   * What the transformer sees of a text's states.
   *
   * @param skipped as {@link Asked} says
   */
  abstract Row row(float[] states, int skipped);

  @Override
  public final Denoiser.Input[] inputs() {
    return new Denoiser.Input[] {Denoiser.Input.vectors(model.size()), Denoiser.Input.floats()};
  }

  @Override
  public final long tokens(GenerationRequest request) {
    return LanguageModel.computed(texts(request).stream().map(Asked::tokens).toList());
  }

  @Override
  public final List<Conditions> encode(List<GenerationRequest> requests) {
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
              guidance(requests.get(i)),
              texts.get(i).stream().anyMatch(text -> text.tokens().truncated())));
    }
    return conditions;
  }
}
