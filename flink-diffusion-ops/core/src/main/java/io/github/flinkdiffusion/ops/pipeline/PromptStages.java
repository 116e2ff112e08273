/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.prompt.Composition;
import io.github.flinkdiffusion.ops.prompt.PromptLanguage;
import io.github.flinkdiffusion.ops.prompt.Schedule;
import io.github.flinkdiffusion.ops.prompt.WeightedText;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * A request's prompts in A1111's language: which texts its rows have at which network call.
 *
 * @param weights of the wanted prompts that AND combines
 * @param stages in order; the last one's calls end with the trajectory
 */
record PromptStages(List<Double> weights, List<Stage> stages) {

  /**
   * @param until the last network call with these texts, counted from 0
   * @param wanted one text for each weight
   * @param unwanted without guidance it counts for nothing
   */
  record Stage(int until, List<String> wanted, String unwanted) {}

  /** Whether a request is written in that language. */
  static boolean has(GenerationRequest request) {
    String language = request.get(Parameters.PROMPT_LANGUAGE);
    return language != null && PromptLanguage.named(language).orElseThrow() == PromptLanguage.A1111;
  }

  /**
   * @param calls of the network, which is what the web UI counts as steps
   * @param guided whether there is a row without the prompt
   * @throws io.github.flinkdiffusion.ops.prompt.PromptSyntaxException for a prompt that cannot be
   *     read
   * @throws InvalidRequestException for a combination of prompts without guidance
   */
  static PromptStages of(GenerationRequest request, int calls, boolean guided) {
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
}
