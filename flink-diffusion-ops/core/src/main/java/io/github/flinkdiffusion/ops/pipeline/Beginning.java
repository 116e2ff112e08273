/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * A request ready for its first step. Everything in it but {@code state} follows from the request
 * alone, so that a trajectory restored in the middle is this with another state.
 *
 * @param shape of the sample
 * @param state the sample at step 0
 * @param conditions of its network calls
 * @param lead conditions of the first calls where they are not those of the rest
 * @param phases conditions of the calls after the lead where they are not those of the last ones,
 *     each of fewer calls than the next
 * @param known what is put back after each step, once {@link SamplerState#call} counts it
 * @param guided calls that have guidance; the others compute the conditional row alone
 * @param stretch other conditions of some of the guided calls
 */
record Beginning(
    SampleShape shape,
    SamplerState state,
    Conditions conditions,
    Optional<Lead> lead,
    List<Lead> phases,
    Optional<InpaintMask.KnownPart> known,
    Calls guided,
    Optional<Stretch> stretch) {

  /**
   * Calls of a plan, numbered as {@link SamplerState#call} does.
   *
   * @param to the first that is none of them
   */
  record Calls(int from, int to) {
    static final Calls ALL = new Calls(0, Integer.MAX_VALUE);

    boolean contain(int call) {
      return call >= from && call < to;
    }
  }

  /**
   * How a trajectory is conditioned until it turns: on the way back to noise that an inverted
   * picture takes first, or where a ControlNet begins or ends to act.
   *
   * @param calls the first call, of all, that it is not for
   */
  record Lead(int calls, Conditions conditions) {}

  /** How a trajectory is conditioned in some calls, where it is not as in the rest. */
  record Stretch(Calls calls, Conditions conditions) {}

  Beginning {
    Objects.requireNonNull(shape, "shape");
    Objects.requireNonNull(state, "state");
    Objects.requireNonNull(conditions, "conditions");
    Objects.requireNonNull(lead, "lead");
    phases = List.copyOf(phases);
    Objects.requireNonNull(known, "known");
    Objects.requireNonNull(guided, "guided");
    Objects.requireNonNull(stretch, "stretch");
  }

  Beginning(
      SampleShape shape,
      SamplerState state,
      Conditions conditions,
      Optional<Lead> lead,
      Optional<InpaintMask.KnownPart> known) {
    this(shape, state, conditions, lead, List.of(), known, Calls.ALL, Optional.empty());
  }

  Beginning(SampleShape shape, SamplerState state, Conditions conditions) {
    this(shape, state, conditions, Optional.empty(), Optional.empty());
  }

  /**
   * The same with guidance in a part of the calls that follow the lead.
   *
   * @param shares of these calls, from and to; null for all. Rounded as diffusers' guiders do
   */
  Beginning guidedWithin(Numbers shares) {
    if (shares == null) {
      return this;
    }
    int first = leadCalls();
    int calls = state.plan().calls() - first;
    Calls within =
        new Calls(first + (int) (shares.at(0) * calls), first + (int) (shares.at(1) * calls));
    return new Beginning(shape, state, conditions, lead, phases, known, within, stretch);
  }

  /** The same with other conditions in some of the guided calls. */
  Beginning with(Stretch other) {
    return new Beginning(shape, state, conditions, lead, phases, known, guided, Optional.of(other));
  }

  /** The same with other conditions, those of the lead included. */
  Beginning conditioned(
      Optional<Lead> otherLead, List<Lead> otherPhases, Conditions otherConditions) {
    return new Beginning(
        shape, state, otherConditions, otherLead, otherPhases, known, guided, stretch);
  }

  private int leadCalls() {
    return lead.map(Lead::calls).orElse(0);
  }

  /** Of a call. */
  Conditions conditions(int call) {
    if (call < leadCalls()) {
      return lead.orElseThrow().conditions().at(call);
    }
    Conditions all = conditions;
    for (int i = phases.size() - 1; i >= 0 && call < phases.get(i).calls(); i--) {
      all = phases.get(i).conditions();
    }
    Conditions of = all.at(call - leadCalls());
    if (!guided.contain(call)) {
      return of.conditionalAlone();
    }
    return stretch.filter(each -> each.calls().contain(call)).map(Stretch::conditions).orElse(of);
  }

  /** The first of the calls up to this one that all have its conditions. */
  int sameConditionsSince(int call) {
    IntStream changes = IntStream.of(leadCalls(), guided.from(), guided.to());
    IntStream led = lead.stream().flatMapToInt(each -> each.conditions().changes());
    IntStream after = conditions.changes().map(change -> leadCalls() + change);
    IntStream stretched =
        stretch.stream()
            .map(Stretch::calls)
            .flatMapToInt(calls -> IntStream.of(calls.from(), calls.to()));
    IntStream phased = phases.stream().mapToInt(Lead::calls);
    return Stream.of(changes, led.filter(each -> each < leadCalls()), after, stretched, phased)
        .flatMapToInt(each -> each)
        .filter(change -> change <= call)
        .max()
        .orElse(0);
  }
}
