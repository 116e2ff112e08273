/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

/**
 * Says what is lost where an operator has no uid. Flink then derives one from the shape of the
 * whole job, so a change elsewhere in the job gives the operator another.
 */
final class MissingUid {
  private MissingUid() {}

  /**
   * @param operator its name, as in Flink's UI
   * @param state what a savepoint holds for it
   */
  static String warning(String operator, String state) {
    return ("The operator '%s' has no uid. After any change of the job, Flink either refuses a savepoint"
            + " or, with --allowNonRestoredState, drops this operator's state: %s. Call uid(...)"
            + " with a name that is unique in the job and stays the same.")
        .formatted(operator, state);
  }
}
