/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/** What is kept of images that a training sees in each epoch. */
class EncodedImagesTest {
  private int calls;

  private Supplier<HostTensor.Floats> encoder() {
    return () -> {
      calls++;
      return new HostTensor.Floats(new float[100], 1, 100);
    };
  }

  @Test
  void anImageIsEncodedOnce() {
    EncodedImages images = new EncodedImages(10_000);
    HostTensor.Floats first = images.get(new float[] {1, 2}, encoder());
    assertThat(images.get(new float[] {1, 2}, encoder())).isSameAs(first);
    images.get(new float[] {1, 3}, encoder());
    assertThat(calls).isEqualTo(2);
  }

  @Test
  void whatDoesNotFitIsEncodedAgainAndTheFirstOnesStay() {
    EncodedImages images = new EncodedImages(1_300); // two of 600 bytes
    for (int epoch = 0; epoch < 2; epoch++) {
      for (int i = 0; i < 3; i++) {
        images.get(new float[] {i}, encoder());
      }
    }
    assertThat(calls).isEqualTo(3 + 1);
  }

  @Test
  void keptImagesGiveTheSameLatentsAsAFreshEncoder() {
    ModelFolder model = ModelFolder.open(TrainingCase.MODELS.resolve("tiny-sd1"));
    float[] pixels = new float[3 * 3 * 16 * 16];
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = (float) Math.sin(i);
    }
    HostTensor.Floats batch = new HostTensor.Floats(pixels, 3, 3, 16, 16);
    String cpu = DeviceSpec.CPU.toString();
    try (LatentEncoder kept = new LatentEncoder(model, cpu, new EncodedImages(1 << 20));
        LatentEncoder fresh = new LatentEncoder(model, cpu, new EncodedImages(0))) {
      kept.latents(batch, Batches.random(1, 0));
      float[] again = kept.latents(batch, Batches.random(1, 1)).data();
      assertThat(again).isEqualTo(fresh.latents(batch, Batches.random(1, 1)).data());
    }
  }
}
