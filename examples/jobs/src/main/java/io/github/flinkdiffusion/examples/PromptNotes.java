/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.examples.scenes.HeldOutScenes;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.prompt.Attention;
import io.github.flinkdiffusion.ops.prompt.CompelPrompt;
import io.github.flinkdiffusion.ops.prompt.Composition;
import io.github.flinkdiffusion.ops.prompt.NetworkTags;
import io.github.flinkdiffusion.ops.prompt.PromptLanguage;
import io.github.flinkdiffusion.ops.prompt.PromptSyntaxException;
import io.github.flinkdiffusion.ops.prompt.Schedule;
import io.github.flinkdiffusion.ops.prompt.UnpairedBracket;
import io.github.flinkdiffusion.ops.prompt.WeightedText;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What to know of a prompt before looking at its image: words that its model does not know, and
 * whether the model was trained on what it asks for.
 */
final class PromptNotes {
  private static final String MINI_EMOJI = "mini-emoji";
  private static final String MINI_EMOJI_2 = "mini-emoji-2";

  /** Enough that each text of a schedule has a step of its own. */
  private static final int ANY_STEPS = 100;

  /** Parameters that are prompts, too. They are plain: a prompt in a language has none of them. */
  private static final List<String> TEXTS =
      List.of(Parameters.VARIATION_PROMPT.name(), Parameters.SOURCE_PROMPT.name());

  private final Map<String, Path> folders;
  private final Map<String, Optional<ModelWords>> words = new LinkedHashMap<>();

  /**
   * @param folders of models on this machine, by the names that requests give them; the model of
   *     requests that name none is {@link ModelList#DEFAULT}
   * @throws DemoException if a model's list of words cannot be understood
   */
  PromptNotes(Map<String, Path> folders) {
    this.folders = new LinkedHashMap<>(folders);
    folders.forEach((name, folder) -> words.put(name, ModelWords.of(folder)));
  }

  /**
   * The words that the prompt's model does not know, of all texts that it is to draw; none where
   * its folder does not say.
   */
  List<String> unknown(PromptEvent prompt) {
    return known(prompt).map(known -> known.unknown(words(prompt))).orElse(List.of());
  }

  /** What to say of a prompt's words before it is drawn: a line for each kind, or none. */
  List<String> lines(PromptEvent prompt) {
    List<String> lines = new ArrayList<>();
    List<String> unknown = unknown(prompt);
    if (!unknown.isEmpty()) {
      lines.add(
          "%s does not know %s of \"%s\""
              .formatted(model(prompt), String.join(", ", unknown), prompt.getPrompt()));
    }
    known(prompt)
        .map(known -> known.parts(words(prompt)))
        .orElse(Map.of())
        .forEach(
            (part, wholes) ->
                lines.add(
                    "%s knows %s of \"%s\" only in: %s"
                        .formatted(
                            model(prompt), part, prompt.getPrompt(), String.join(", ", wholes))));
    UnpairedBracket.first(prompt.getPrompt(), language(prompt))
        .ifPresent(
            from ->
                lines.add(
                    "\"%s\" has a bracket without its partner, at \"%s\": %s"
                        .formatted(
                            prompt.getPrompt(),
                            from,
                            language(prompt) == PromptLanguage.A1111
                                ? "an opening one counts to the end, a closing one is a character"
                                : "it is a character")));
    return lines;
  }

  private Optional<ModelWords> known(PromptEvent prompt) {
    return words.getOrDefault(nameOf(prompt), Optional.empty());
  }

  /** The texts that are to be drawn: the prompt, and what it is mixed with or begins from. */
  private static String words(PromptEvent prompt) {
    return Stream.concat(
            Stream.of(ownWords(prompt)),
            TEXTS.stream().map(prompt.getParameters()::get).filter(Objects::nonNull))
        .collect(Collectors.joining(" . "));
  }

  /** The prompt without what its language writes between words, such as weights. */
  private static String ownWords(PromptEvent prompt) {
    try {
      return switch (language(prompt)) {
        case PLAIN -> prompt.getPrompt();
        case A1111 -> wordsOfWebUi(prompt.getPrompt());
        case COMPEL ->
            CompelPrompt.parse(prompt.getPrompt()).parts().stream()
                .flatMap(part -> part.texts().stream())
                .flatMap(List::stream)
                .map(WeightedText::text)
                .collect(Collectors.joining(" "));
      };
    } catch (PromptSyntaxException notInThatLanguage) {
      return prompt.getPrompt(); // the job refuses it, and says why
    }
  }

  private static PromptLanguage language(PromptEvent prompt) {
    return PromptLanguage.named(
            prompt.getParameters().getOrDefault(Parameters.PROMPT_LANGUAGE.name(), ""))
        .orElse(PromptLanguage.PLAIN);
  }

  private static String wordsOfWebUi(String prompt) {
    return Composition.split(NetworkTags.of(prompt).text()).stream()
        .flatMap(each -> Schedule.of(each.text(), ANY_STEPS).stream())
        .flatMap(stage -> Attention.parse(stage.text()).stream())
        .filter(part -> !Attention.isBreak(part))
        .map(WeightedText::text)
        .collect(Collectors.joining(" "));
  }

  /** Name of the model's folder; the name that the request gives where the folder is not here. */
  String model(PromptEvent prompt) {
    Path folder = folders.get(nameOf(prompt));
    return folder == null ? nameOf(prompt) : ModelFolder.name(folder);
  }

  /** Whether it asks an embedded model for a scene that was kept out of its training. */
  boolean isUnseen(PromptEvent prompt) {
    if (!folders.containsKey(nameOf(prompt))) {
      return false;
    }
    return switch (model(prompt)) {
      case MINI_EMOJI -> Prompts.isHeldOut(prompt.getPrompt());
      case MINI_EMOJI_2 -> HeldOutScenes.isAskedFor(prompt.getPrompt());
      default -> false;
    };
  }

  /** The guidance scale that suits the prompt's model, where its folder says so. */
  OptionalDouble guidance(PromptEvent prompt) {
    return known(prompt).map(ModelWords::guidance).orElse(OptionalDouble.empty());
  }

  private static String nameOf(PromptEvent prompt) {
    return prompt.getParameters().getOrDefault(ModelList.PARAMETER, ModelList.DEFAULT);
  }
}
