/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.file.Path;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * A low-rank adaptation of a model, to be merged into its weights when they are loaded.
 *
 * @param file safetensors with the keys of kohya's programs ({@code lora_unet_...lora_down.weight})
 *     or of diffusers and PEFT ({@code unet....lora_A.weight})
 * @param scale how much of it, mostly from 0 to 1; negative for less of what it shows
 */
@Internal
public record Lora(Path file, double scale) {
  public Lora {
    Objects.requireNonNull(file, "file");
    if (!Double.isFinite(scale)) {
      throw new AddedFileException(
          "LoRA %s: its scale is %s; a finite number is needed".formatted(file, scale));
    }
  }
}
