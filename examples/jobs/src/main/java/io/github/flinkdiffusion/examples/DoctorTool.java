/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.doctor.Doctor;
import org.apache.flink.annotation.Internal;

/** {@link Doctor}, leaving nothing of the launcher's behind. */
@Internal
public final class DoctorTool {
  private DoctorTool() {}

  public static void main(String[] args) {
    Scratch.deleteAtEnd();
    Doctor.main(args);
  }
}
