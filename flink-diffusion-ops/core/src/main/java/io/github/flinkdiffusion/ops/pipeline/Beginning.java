package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * A request ready for its first step. Everything in it but {@code state} follows from the request
 * alone, so that a trajectory restored in the middle is this with another state.
 *
 * @param shape of the sample
 * @param state the sample at step 0
 * @param rows one for each row of a network call
 * @param guidance makes one prediction of the rows' outputs
 * @param truncated whether a text was longer than the tokenizer's limit
 * @param lead conditions of the first calls where they are not those of the rest
 * @param known what is put back after each step, once {@link SamplerState#call} counts it
 */
record Beginning(
    SampleShape shape,
    SamplerState state,
    List<Row> rows,
    Guidance guidance,
    boolean truncated,
    Optional<Lead> lead,
    Optional<InpaintMask.KnownPart> known) {

  /**
   * How a trajectory is conditioned until it turns: on the way back to noise that an inverted
   * picture takes first.
   *
   * @param calls how many calls that are
   * @param rows one for each row of a network call
   * @param guidance makes one prediction of the rows' outputs
   */
  record Lead(int calls, List<Row> rows, Guidance guidance) {
    Lead {
      rows = List.copyOf(rows);
      requireRows(rows, guidance);
    }
  }

  Beginning {
    Objects.requireNonNull(shape, "shape");
    Objects.requireNonNull(state, "state");
    rows = List.copyOf(rows);
    Objects.requireNonNull(guidance, "guidance");
    Objects.requireNonNull(lead, "lead");
    Objects.requireNonNull(known, "known");
    requireRows(rows, guidance);
  }

  private static void requireRows(List<Row> rows, Guidance guidance) {
    if (rows.size() != guidance.rows()) {
      throw new IllegalArgumentException(
          "%d rows for %s, which combines %d".formatted(rows.size(), guidance, guidance.rows()));
    }
  }

  /** Rows of a call. */
  List<Row> rows(int call) {
    return leads(call) ? lead.orElseThrow().rows() : rows;
  }

  /** What makes one prediction of a call's rows. */
  Guidance guidance(int call) {
    return leads(call) ? lead.orElseThrow().guidance() : guidance;
  }

  private boolean leads(int call) {
    return lead.isPresent() && call < lead.get().calls();
  }

  Beginning(
      SampleShape shape, SamplerState state, List<Row> rows, Guidance guidance, boolean truncated) {
    this(shape, state, rows, guidance, truncated, Optional.empty(), Optional.empty());
  }
}
