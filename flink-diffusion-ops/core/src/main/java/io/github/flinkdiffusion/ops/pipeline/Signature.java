/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;

/**
 * What a pipeline takes: each parameter with what stands for it when it is absent. It fills in and
 * checks requests, and the reference page is made from it.
 */
@Internal
public final class Signature {

  /**
   * One parameter of a pipeline.
   *
   * @param parameter what it is
   * @param required whether a request without it is refused
   * @param absent what stands for it, for people: "50", "the picture's width"; empty when it may be
   *     absent, or must not be
   */
  public record Entry(Parameter<?> parameter, boolean required, Optional<String> absent) {}

  private record Rule<T>(Entry entry, Parameter<T> parameter, Function<Arguments, T> fallback) {
    Arguments resolve(GenerationSpec spec, Arguments sofar) {
      T value = spec.arguments().get(parameter);
      if (value == null) {
        if (entry.required()) {
          throw new InvalidRequestException(
              "The request has no %s; it must be %s.".formatted(parameter, parameter.accepted()));
        }
        return sofar.with(parameter, fallback.apply(sofar));
      }
      parameter.check(value);
      return sofar.with(parameter, value);
    }
  }

  private final String pipeline;
  private final List<Rule<?>> rules;

  /** Of parameters that are not taken, but would be in another job: what that job has. */
  private final Map<Parameter<?>, String> elsewhere;

  private Signature(String pipeline, List<Rule<?>> rules, Map<Parameter<?>, String> elsewhere) {
    this.pipeline = pipeline;
    this.rules = rules;
    this.elsewhere = elsewhere;
  }

  /** Takes nothing but a seed. */
  public static Signature of(String pipeline) {
    return new Signature(pipeline, List.of(), Map.of()).seed();
  }

  /** The seed comes from the id, which a fallback does not see: see {@link #resolve}. */
  private Signature seed() {
    return add(
        new Rule<>(
            new Entry(Parameters.SEED, false, Optional.of("derived from the id")),
            Parameters.SEED,
            sofar -> null));
  }

  public <T> Signature required(Parameter<T> parameter) {
    return add(new Rule<>(new Entry(parameter, true, Optional.empty()), parameter, sofar -> null));
  }

  /** May be absent, which makes a difference that no value does. */
  public <T> Signature optional(Parameter<T> parameter) {
    return add(new Rule<>(new Entry(parameter, false, Optional.empty()), parameter, sofar -> null));
  }

  public <T> Signature withDefault(Parameter<T> parameter, T value) {
    return withDefault(parameter, value.toString(), sofar -> value);
  }

  /**
   * @param description the default, for people
   * @param fallback the default from the arguments before this one; null leaves it absent
   */
  public <T> Signature withDefault(
      Parameter<T> parameter, String description, Function<Arguments, T> fallback) {
    return add(
        new Rule<>(new Entry(parameter, false, Optional.of(description)), parameter, fallback));
  }

  /** An event always has a prompt; an empty one is how it says that there is none. */
  private static boolean saysNothing(Parameter<?> asked, GenerationSpec spec) {
    return asked == Parameters.PROMPT && spec.arguments().get(Parameters.PROMPT).isEmpty();
  }

  private Signature add(Rule<?> rule) {
    List<Rule<?>> more = new ArrayList<>(rules);
    more.add(rule);
    return new Signature(pipeline, List.copyOf(more), elsewhere);
  }

  /**
   * Does not take parameters that the same model takes in other jobs.
   *
   * @param with what these have, such as an option's key; a request is refused with it
   */
  Signature elsewhere(String with, Collection<? extends Parameter<?>> parameters) {
    Map<Parameter<?>, String> more = new HashMap<>(elsewhere);
    parameters.forEach(parameter -> more.put(parameter, with));
    return new Signature(pipeline, rules, Map.copyOf(more));
  }

  /** What a job must have for this model to take a parameter that it does not take here. */
  public Optional<String> missing(Parameter<?> parameter) {
    return Optional.ofNullable(elsewhere.get(parameter));
  }

  public boolean takes(Parameter<?> parameter) {
    return rules.stream().anyMatch(rule -> rule.parameter() == parameter);
  }

  /** Names of what a request says that is not taken, in their order. */
  List<String> notTaken(GenerationRequest request) {
    GenerationSpec spec = new GenerationSpec(request.id(), request.arguments());
    return request.arguments().parameters().stream()
        .filter(each -> !takes(each) && !saysNothing(each, spec))
        .map(Parameter::name)
        .sorted()
        .toList();
  }

  public List<Entry> entries() {
    return rules.stream().map(Rule::entry).toList();
  }

  /**
   * Fills in what a spec leaves open and checks each value by itself.
   *
   * @throws InvalidRequestException for a value that is missing, out of its range, or not taken
   */
  public GenerationRequest resolve(GenerationSpec spec) {
    for (Parameter<?> asked : spec.arguments().parameters()) {
      if (!takes(asked) && !saysNothing(asked, spec)) {
        throw refused(asked);
      }
    }
    Arguments arguments = Arguments.NONE;
    for (Rule<?> rule : rules) {
      arguments = rule.resolve(spec, arguments);
    }
    if (!arguments.has(Parameters.SEED)) {
      arguments = arguments.with(Parameters.SEED, Seeds.fromId(spec.id()));
    }
    return new GenerationRequest(spec.id(), arguments);
  }

  private InvalidRequestException refused(Parameter<?> asked) {
    return new InvalidRequestException(
        missing(asked)
            .map(
                with ->
                    "The request has %s, which %s takes only in a job with %s."
                        .formatted(asked, pipeline, with))
            .orElseGet(
                () ->
                    "The request has %s, which %s does not take; it takes %s."
                        .formatted(
                            asked,
                            pipeline,
                            rules.stream()
                                .map(rule -> rule.parameter().name())
                                .collect(Collectors.joining(", ")))));
  }
}
