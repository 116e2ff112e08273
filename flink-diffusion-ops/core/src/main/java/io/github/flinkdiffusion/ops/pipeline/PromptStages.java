/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.prompt.Composition;
import io.github.flinkdiffusion.ops.prompt.PromptLanguage;
import io.github.flinkdiffusion.ops.prompt.PromptSyntaxException;
import io.github.flinkdiffusion.ops.prompt.Schedule;
import io.github.flinkdiffusion.ops.prompt.WeightedText;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * A request's prompts in A1111's language, or Compel's: which texts its rows have at which network
 * call.
 *
 * @param weights of the wanted prompts that AND combines
 * @param stages in order; the last one's calls end with the trajectory
 */
record PromptStages(List<Double> weights, List<Stage> stages) {
  /** Of one request; each is 77 x 768 floats (236 KB) for Stable Diffusion 1.x. */
  private static final int MOST_ENCODINGS = 128;

  /**
   * @param until the last network call with these texts, counted from 0
   * @param wanted one text for each weight
   * @param unwanted without guidance it counts for nothing
   */
  record Stage(int until, List<String> wanted, String unwanted) {}

  /** Whether a request is written in a language that has a meaning for brackets. */
  static boolean has(GenerationRequest request) {
    return Prompt.language(request) != PromptLanguage.PLAIN;
  }

  /**
   * Conditions of all requests, in their order.
   *
   * @param plain encodes requests in no such language, together
   * @param staged encodes one in such a language
   */
  static List<Conditions> encode(
      List<GenerationRequest> requests,
      Function<List<GenerationRequest>, List<Conditions>> plain,
      Function<GenerationRequest, Conditions> staged) {
    List<GenerationRequest> ofPlain = requests.stream().filter(request -> !has(request)).toList();
    Iterator<Conditions> encoded = ofPlain.isEmpty() ? null : plain.apply(ofPlain).iterator();
    return requests.stream()
        .map(request -> has(request) ? staged.apply(request) : encoded.next())
        .toList();
  }

  /**
   * @param calls of the network, which is what the web UI counts as steps
   * @param guided whether there is a row without the prompt
   * @throws io.github.flinkdiffusion.ops.prompt.PromptSyntaxException for a prompt that cannot be
   *     read
   * @throws InvalidRequestException for a combination of prompts without guidance
   */
  static PromptStages of(GenerationRequest request, int calls, boolean guided) {
    if (Prompt.language(request) == PromptLanguage.COMPEL) {
      String negative = guided ? request.get(Parameters.NEGATIVE_PROMPT) : "";
      return new PromptStages(
          List.of(1.0),
          List.of(new Stage(calls, List.of(request.get(Parameters.PROMPT)), negative)));
    }
    List<WeightedText> prompts = Composition.split(request.get(Parameters.PROMPT));
    boolean composed = prompts.size() > 1 || prompts.get(0).weight() != 1;
    if (composed && !guided) {
      throw new InvalidRequestException(
          "The prompt combines prompts by weights, but the request has no guidance: guidanceScale is %s. It must be above 1, and the model must take a negative prompt."
              .formatted(request.guidanceScale()));
    }
    if (composed && request.get(Parameters.GUIDANCE_RESCALE) != 0) {
      throw new InvalidRequestException(
          "The prompt combines prompts by weights, and guidanceRescale is %s; it must be 0 then."
              .formatted(request.get(Parameters.GUIDANCE_RESCALE)));
    }
    if (composed && request.get(Parameters.GUIDANCE_INTERVAL) != null) {
      throw new InvalidRequestException(
          "The prompt combines prompts by weights, which guidance does, and guidanceInterval leaves"
              + " guidance out in a part of the steps; the request may have one of both.");
    }
    List<List<Schedule.Stage>> wanted =
        prompts.stream().map(prompt -> Schedule.of(prompt.text(), calls)).toList();
    String negative = guided ? request.get(Parameters.NEGATIVE_PROMPT) : "";
    List<Schedule.Stage> unwanted = Schedule.of(negative, calls);
    SortedSet<Integer> ends = new TreeSet<>();
    unwanted.forEach(stage -> ends.add(stage.until()));
    wanted.forEach(stages -> stages.forEach(stage -> ends.add(stage.until())));
    List<Stage> stages = new ArrayList<>();
    for (int end : ends) {
      stages.add(
          new Stage(end, wanted.stream().map(each -> at(each, end)).toList(), at(unwanted, end)));
    }
    return new PromptStages(
        prompts.stream().map(WeightedText::weight).toList(), List.copyOf(stages));
  }

  private static String at(List<Schedule.Stage> stages, int call) {
    return stages.stream()
        .filter(stage -> call <= stage.until())
        .findFirst()
        .orElseGet(() -> stages.get(stages.size() - 1))
        .text();
  }

  /** Every text once, to be encoded together. */
  List<String> texts() {
    return stages.stream()
        .flatMap(
            stage -> {
              List<String> all = new ArrayList<>(stage.wanted());
              all.add(stage.unwanted());
              return all.stream();
            })
        .distinct()
        .toList();
  }

  /**
   * Refuses what cannot be read, and what is too much.
   *
   * @param calls of the network
   * @param guided whether there is a row without the prompt
   * @param encoders of all texts
   * @throws InvalidRequestException for these
   */
  static void check(
      GenerationRequest request, int calls, boolean guided, List<PromptEncoder> encoders) {
    try {
      of(request, calls, guided).checkSize(request, encoders);
    } catch (PromptSyntaxException e) {
      throw new InvalidRequestException(e.getMessage(), e);
    }
  }

  /** All texts of all calls are encoded together, and are kept as long as the request runs. */
  private void checkSize(GenerationRequest request, List<PromptEncoder> encoders) {
    int longest = 1;
    for (String text : texts()) {
      for (PromptEncoder encoder : encoders) {
        PromptEncoder.Size size = encoder.size(Prompt.written(request, text, 0));
        longest = Math.max(longest, Math.max(size.rows(), size.chunks()));
      }
    }
    int encodings = stages.size() * (weights.size() + 1) * longest;
    if (encodings > MOST_ENCODINGS) {
      throw new InvalidRequestException(
          "The prompt needs %d encodings of %d tokens: %d texts that change with the steps, times %d prompts combined and the negative one, times %d for the longest text. At most %d are accepted."
              .formatted(
                  encodings,
                  encoders.get(0).length(),
                  stages.size(),
                  weights.size(),
                  longest,
                  MOST_ENCODINGS));
    }
  }

  /** What makes one prediction of the rows of {@link #conditions}. */
  Guidance guidance(GenerationRequest request, boolean guided) {
    if (!guided) {
      return Guidance.NONE;
    }
    return weights.equals(List.of(1.0))
        ? new Guidance.ClassifierFree(
            request.guidanceScale(), request.get(Parameters.GUIDANCE_RESCALE))
        : new Guidance.Composed(request.guidanceScale(), weights);
  }

  /** Rows of all stages: the unwanted text's first where there is guidance. */
  Conditions conditions(
      GenerationRequest request,
      boolean guided,
      Function<String, Row> wanted,
      Function<String, Row> unwanted) {
    List<Conditions> all = new ArrayList<>();
    for (Stage stage : stages) {
      List<Row> rows = new ArrayList<>();
      if (guided) {
        rows.add(unwanted.apply(stage.unwanted()));
      }
      stage.wanted().forEach(text -> rows.add(wanted.apply(text)));
      all.add(new Conditions(rows, guidance(request, guided), false));
    }
    List<Conditions.Earlier> earlier = new ArrayList<>();
    int last = all.size() - 1;
    for (int i = 0; i < last; i++) {
      earlier.add(new Conditions.Earlier(stages.get(i).until(), all.get(i)));
    }
    return new Conditions(all.get(last).rows(), all.get(last).guidance(), false, earlier);
  }
}
