/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import org.apache.flink.annotation.Internal;

/** Hears how far a download has come. Called by the thread that downloads, after each block. */
@Internal
@FunctionalInterface
public interface HubProgress {

  /**
   * @param what the model and the file that is being downloaded
   * @param done bytes of all files of this download that are there
   * @param total bytes of all files of this download, at least 1
   */
  void at(String what, long done, long total);
}
