/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.evaluation.InceptionFeatures;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.types.Row;

/** {@code INCEPTION(image, weights)}: what {@link InceptionFeatures} sees in an image. */
@Internal
@FunctionHint(output = @DataTypeHint("ROW<features ARRAY<FLOAT>, logits ARRAY<FLOAT>>"))
public final class InceptionFunction extends NetworkFunction<InceptionFeatures> {
  private static final long serialVersionUID = 1L;

  InceptionFunction(boolean failing) {
    super("INCEPTION", failing);
  }

  @Override
  InceptionFeatures load(Path weights) {
    return InceptionFeatures.open(weights, DeviceSpec.CPU);
  }

  public Row eval(byte[] image, String weights) {
    return image == null || weights == null ? null : valueOrNull(() -> seen(image, weights));
  }

  private Row seen(byte[] image, String weights) {
    InceptionFeatures.Seen seen = network(weights).see(List.of(read(image)));
    return Row.of(boxed(seen.features()[0]), boxed(seen.logits()[0]));
  }

  static Float[] boxed(float[] values) {
    Float[] boxed = new Float[values.length];
    for (int i = 0; i < boxed.length; i++) {
      boxed[i] = values[i];
    }
    return boxed;
  }
}
