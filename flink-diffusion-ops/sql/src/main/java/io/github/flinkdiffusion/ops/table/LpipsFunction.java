/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.evaluation.PerceptualDistance;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.annotation.Internal;

/** {@code LPIPS(picture, truth, weights)}: how different two images of one size look. */
@Internal
public final class LpipsFunction extends NetworkFunction<PerceptualDistance> {
  private static final long serialVersionUID = 1L;

  LpipsFunction(boolean failing) {
    super("LPIPS", failing);
  }

  @Override
  PerceptualDistance load(Path weights) {
    return PerceptualDistance.open(weights, DeviceSpec.CPU);
  }

  public Double eval(byte[] picture, byte[] truth, String weights) {
    return picture == null || truth == null || weights == null
        ? null
        : valueOrNull(
            () -> network(weights).between(List.of(read(picture)), List.of(read(truth)))[0]);
  }
}
