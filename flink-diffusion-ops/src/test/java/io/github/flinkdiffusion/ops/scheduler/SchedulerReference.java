/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.AcceptedValues;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * What the schedulers read and accept, found out by compiling all configs that they are compared
 * with the reference for.
 */
public final class SchedulerReference {

  /** A class and the keys that it reads, each with what it accepts. */
  record Scheduler(String className, SortedMap<String, String> keys, int compared, int refused) {

    List<String> words(String key) {
      String accepted = keys.get(key);
      return accepted == null ? List.of() : List.of(accepted.split(", "));
    }
  }

  private SchedulerReference() {}

  static List<Scheduler> all() {
    List<Scheduler> all = new ArrayList<>();
    for (String className : Schedulers.supported()) {
      List<ReferenceCase> cases = ReferenceCase.sampled(className).toList();
      Map<String, ReferenceCase> first = new TreeMap<>();
      for (ReferenceCase one : cases) {
        Schedulers.plan(
            one.config(), one.steps(), one.options(), key -> first.putIfAbsent(key, one));
      }
      SortedMap<String, String> keys = new TreeMap<>();
      first.forEach(
          (key, one) ->
              keys.put(key, AcceptedValues.of(" has " + key + " = ", v -> error(one, key, v))));
      all.add(
          new Scheduler(
              className, keys, cases.size(), (int) ReferenceCase.refused(className).count()));
    }
    return all;
  }

  private static Optional<String> error(ReferenceCase one, String key, Object value) {
    try {
      Schedulers.plan(one.config().with(key, value), one.steps(), one.options());
      return Optional.empty();
    } catch (SchedulerException e) {
      return Optional.of(e.getMessage());
    }
  }

  /** The page's sections. */
  public static String page() {
    List<Scheduler> all = all();
    StringBuilder page =
        new StringBuilder(
            """
            ## Schedulers

            A request names any of these, whatever the model was saved with. Compared: whole trajectories that equal diffusers' to
            1e-4 of their scale (nearly all to 1e-5), every prediction type in every spacing at three step counts among them; and
            configs that diffusers refuses, and so do we. Beside the config: what a program can ask of it (`SamplingOptions`).

            | class | prediction types | spacings | beside the config | compared |
            | --- | --- | --- | --- | --- |
            """);
    for (Scheduler scheduler : all) {
      page.append(
          "| `%s` | %s | %s | %s | %d, %d refused |\n"
              .formatted(
                  scheduler.className(),
                  String.join(", ", scheduler.words("prediction_type")),
                  String.join(", ", scheduler.words("timestep_spacing")),
                  options(scheduler.className()),
                  scheduler.compared(),
                  scheduler.refused()));
    }
    page.append(
        """

        ### Their config

        Keys of `scheduler_config.json` that are read. What is absent takes the default of the class in diffusers; other keys are
        ignored, as there.

        | key | accepted | read by |
        | --- | --- | --- |
        """);
    Map<String, Map<String, SortedSet<String>>> byKey = new TreeMap<>();
    for (Scheduler scheduler : all) {
      scheduler
          .keys()
          .forEach(
              (key, accepted) ->
                  byKey
                      .computeIfAbsent(key, k -> new LinkedHashMap<>())
                      .computeIfAbsent(accepted, a -> new TreeSet<>())
                      .add(scheduler.className().replace("Scheduler", "")));
    }
    byKey.forEach(
        (key, values) ->
            values.forEach(
                (accepted, classes) ->
                    page.append("| `%s` | %s | %s |\n".formatted(key, accepted, names(classes)))));
    return page.toString();
  }

  private static String options(String className) {
    return java.util.Arrays.stream(Schedulers.Option.values())
        .filter(option -> Schedulers.taking(option).contains(className))
        .map(option -> option.name().toLowerCase(java.util.Locale.ROOT))
        .collect(Collectors.joining(", "));
  }

  private static String names(Set<String> classes) {
    SortedSet<String> others = new TreeSet<>();
    for (String className : Schedulers.supported()) {
      others.add(className.replace("Scheduler", ""));
    }
    others.removeAll(classes);
    if (others.isEmpty()) {
      return "all";
    }
    return others.size() <= 4 ? "all but " + String.join(", ", others) : String.join(", ", classes);
  }
}
