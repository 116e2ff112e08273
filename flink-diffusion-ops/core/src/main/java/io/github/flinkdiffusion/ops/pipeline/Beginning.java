/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.util.Objects;
import java.util.Optional;

/**
 * A request ready for its first step. Everything in it but {@code state} follows from the request
 * alone, so that a trajectory restored in the middle is this with another state.
 *
 * @param shape of the sample
 * @param state the sample at step 0
 * @param conditions of its network calls
 * @param lead conditions of the first calls where they are not those of the rest
 * @param known what is put back after each step, once {@link SamplerState#call} counts it
 */
record Beginning(
    SampleShape shape,
    SamplerState state,
    Conditions conditions,
    Optional<Lead> lead,
    Optional<InpaintMask.KnownPart> known) {

  /**
   * How a trajectory is conditioned until it turns: on the way back to noise that an inverted
   * picture takes first.
   *
   * @param calls how many calls that are
   */
  record Lead(int calls, Conditions conditions) {}

  Beginning {
    Objects.requireNonNull(shape, "shape");
    Objects.requireNonNull(state, "state");
    Objects.requireNonNull(conditions, "conditions");
    Objects.requireNonNull(lead, "lead");
    Objects.requireNonNull(known, "known");
  }

  Beginning(SampleShape shape, SamplerState state, Conditions conditions) {
    this(shape, state, conditions, Optional.empty(), Optional.empty());
  }

  /** Of a call. */
  Conditions conditions(int call) {
    return lead.isPresent() && call < lead.get().calls() ? lead.get().conditions() : conditions;
  }
}
