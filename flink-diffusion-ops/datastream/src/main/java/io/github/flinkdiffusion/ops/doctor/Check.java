/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import java.util.List;

/** Examines one part of a setup. */
interface Check {
  /** Short and lower case, as findings are listed by it. */
  String name();

  /**
   * What is found, at least one finding. May take as long as the part takes to answer: the caller
   * bounds it.
   *
   * @throws Exception that {@link Doctor} turns into an error
   */
  List<Finding> examine(Setup setup) throws Exception;
}
