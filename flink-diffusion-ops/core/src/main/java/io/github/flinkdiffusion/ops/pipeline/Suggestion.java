/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.commons.text.similarity.LevenshteinDistance;
import org.apache.flink.annotation.Internal;

/** Which of the known names somebody probably meant: misspelled, or as another program calls it. */
@Internal
public final class Suggestion {
  private static final LevenshteinDistance CHANGES = LevenshteinDistance.getDefaultInstance();

  /** Longer ones are nobody's misspelling, and comparing letters takes the product of lengths. */
  private static final int LONGEST = 100;

  /** Names of the web UIs and of diffusers, by their letters and digits. */
  private static final Map<String, String> ELSEWHERE =
      Map.of(
          "cfg", "guidanceScale",
          "cfgscale", "guidanceScale",
          "numinferencesteps", "steps",
          "sampler", "scheduler",
          "samplername", "scheduler",
          "lora", "loras",
          "denoisingstrength", "strength",
          "eulera", "EulerAncestralDiscreteScheduler",
          "dpm2m", "DPMSolverMultistepScheduler", // DPM++ 2M
          "dpmpp2m", "DPMSolverMultistepScheduler");

  private Suggestion() {}

  /** The end of a message about an unknown name; empty where none is near. */
  public static String of(String written, Collection<String> known) {
    return meant(written, known).map(name -> " (did you mean '" + name + "'?)").orElse("");
  }

  private static Optional<String> meant(String written, Collection<String> known) {
    String plain = written.length() > LONGEST ? "" : plain(written);
    if (plain.isEmpty()) {
      return Optional.empty();
    }
    Optional<String> elsewhere = Optional.ofNullable(ELSEWHERE.get(plain)).filter(known::contains);
    if (elsewhere.isPresent()) {
      return elsewhere;
    }
    int few = Math.max(1, plain.length() / 3);
    return known.stream()
        .filter(name -> distance(plain, name) <= few)
        .min(
            Comparator.comparingInt((String name) -> distance(plain, name))
                .thenComparing(name -> name));
  }

  /** To the name, or to what people call a scheduler's class: Euler, UniPC. */
  private static int distance(String plain, String name) {
    String known = plain(name);
    return Stream.of("", "scheduler", "discretescheduler", "multistepscheduler")
        .filter(end -> known.endsWith(end) && !known.equals(end))
        .mapToInt(end -> CHANGES.apply(plain, known.substring(0, known.length() - end.length())))
        .min()
        .orElseThrow();
  }

  private static String plain(String name) {
    return name.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]", "");
  }
}
