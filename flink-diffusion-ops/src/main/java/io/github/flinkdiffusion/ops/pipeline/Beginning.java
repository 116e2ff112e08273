package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * A request ready for its first step. Everything in it but {@code state} follows from the request
 * alone, so that a trajectory restored in the middle is this with another state.
 *
 * @param shape of the sample
 * @param state the sample at step 0
 * @param rows one for each row of a network call
 * @param guidance makes one prediction of the rows' outputs
 * @param truncated whether a text was longer than the tokenizer's limit
 * @param afterStep what is done to the sample after each step, once {@link SamplerState#call}
 *     counts it; inpainting puts the known part back
 */
record Beginning(
    SampleShape shape,
    SamplerState state,
    List<Row> rows,
    Guidance guidance,
    boolean truncated,
    Consumer<SamplerState> afterStep) {
  Beginning {
    Objects.requireNonNull(shape, "shape");
    Objects.requireNonNull(state, "state");
    rows = List.copyOf(rows);
    Objects.requireNonNull(guidance, "guidance");
    Objects.requireNonNull(afterStep, "afterStep");
  }

  Beginning(
      SampleShape shape, SamplerState state, List<Row> rows, Guidance guidance, boolean truncated) {
    this(shape, state, rows, guidance, truncated, after -> {});
  }
}
