/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/**
 * What happens when a file system has not answered for {@link DiffusionOptions#OUTAGE_RETRY_TIME}.
 */
@NullMarked
@PublicEvolving
public enum OutageAction {
  /** The task fails and Flink restarts it: nothing is lost, and the job stands still meanwhile. */
  FAIL_TASK,
  /** The request fails with reason PAYLOAD and its original, and other requests continue. */
  FAIL_REQUEST
}
