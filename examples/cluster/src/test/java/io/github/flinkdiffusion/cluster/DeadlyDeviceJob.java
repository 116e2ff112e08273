/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

/** The text-to-image job on a {@link DeadlyDevice}; its topics must exist. */
public final class DeadlyDeviceJob {
  private DeadlyDeviceJob() {}

  /**
   * For {@code flink run}.
   *
   * @param args the topics' prefix, and the id of the request that ends the process
   */
  public static void main(String[] args) throws Exception {
    StandIns.run(args[0], "deadly-device", folder -> new DeadlyDevice(folder, args[1]));
  }
}
