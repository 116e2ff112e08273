/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

/** What becomes of a row whose picture cannot be made. */
enum OnError {
  /** The job fails. */
  FAIL,
  /** The row gives none. */
  DROP,
  /** The row's outputs are null but for the error columns. */
  COLUMN
}
