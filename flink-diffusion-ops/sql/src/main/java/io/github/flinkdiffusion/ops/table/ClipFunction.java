/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.evaluation.ClipEmbeddings;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;

/**
 * {@code CLIP_FEATURES(image, folder)} and {@code CLIP_FEATURES(text, folder)}: where CLIP puts an
 * image or a text in their common space.
 */
@Internal
public final class ClipFunction extends NetworkFunction<ClipEmbeddings> {
  private static final long serialVersionUID = 1L;

  ClipFunction(boolean failing) {
    super("CLIP_FEATURES", failing);
  }

  @Override
  ClipEmbeddings load(Path folder) {
    return ClipEmbeddings.open(folder, DeviceSpec.CPU);
  }

  public @DataTypeHint("ARRAY<FLOAT>") Float[] eval(byte[] image, String folder) {
    return image == null || folder == null
        ? null
        : valueOrNull(
            () -> InceptionFunction.boxed(network(folder).images(List.of(read(image)))[0]));
  }

  public @DataTypeHint("ARRAY<FLOAT>") Float[] eval(String text, String folder) {
    return text == null || folder == null
        ? null
        : valueOrNull(() -> InceptionFunction.boxed(network(folder).texts(List.of(text))[0]));
  }
}
