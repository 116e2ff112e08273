/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

/** The text-to-image job on a {@link SlowDevice}; its topics must exist. */
public final class SlowDeviceJob {
  private SlowDeviceJob() {}

  /**
   * For {@code flink run}.
   *
   * @param args the topics' prefix, by how many milliseconds a call is longer, and whether only the
   *     first of a process is
   */
  public static void main(String[] args) throws Exception {
    StandIns.run(
        args[0],
        "slow-device",
        folder -> new SlowDevice(folder, Long.parseLong(args[1]), Boolean.parseBoolean(args[2])));
  }
}
