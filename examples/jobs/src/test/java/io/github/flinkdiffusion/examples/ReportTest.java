/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ReportTest {
  @Test
  void anImageOnTheContactSheetSaysWhatMakesItAgain() {
    PromptEvent request =
        PromptEvent.newBuilder()
            .setId("one")
            .setPrompt("a heart")
            .setParameters(Map.of("pagScale", "3", "loras", "style:0.8"))
            .build();
    ImageEvent image =
        ImageEvent.newBuilder()
            .setId("one")
            .setImage(ByteBuffer.allocate(0))
            .setWidth(64)
            .setHeight(64)
            .setSeed(7L)
            .setSteps(25)
            .setGuidanceScale(2.0)
            .setScheduler("DDIMScheduler")
            .build();
    assertThat(Report.detail(request, image, List.of(), false))
        .isEqualTo("seed 7, 25 steps, guidance 2, DDIMScheduler, loras style:0.8, pagScale 3");
    assertThat(Report.detail(request, image, List.of("sky", "dark"), true))
        .startsWith("seed 7, unseen, does not know: sky, dark, 25 steps, guidance 2, ");
  }
}
