/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.serving.UnusableModelException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is refused for want of an option, or of a file that an option names, says so. */
class MissingOptionsTest {
  private static final String LORA = "src/test/resources/fixtures/lora/kohya-sd1.safetensors";

  @TempDir private Path temp;

  private static PromptCheck check(String model, String... options) {
    Map<String, String> all = new HashMap<>();
    all.put("diffusion.model.folder", "src/test/resources/fixtures/models/" + model);
    for (int i = 0; i < options.length; i += 2) {
      all.put(options[i], options[i + 1]);
    }
    return PromptCheck.of(Configuration.fromMap(all));
  }

  private static PromptEvent asking(String parameter, String value) {
    return PromptEvent.newBuilder()
        .setId("one")
        .setPrompt("a table")
        .setParameters(Map.of(parameter, value))
        .build();
  }

  @ParameterizedTest
  @CsvSource({
    "tiny-sd1, pagScale, 3, diffusion.unet-guidance.enabled",
    "tiny-sd1, pagAppliedLayers, mid, diffusion.unet-guidance.enabled",
    "tiny-sdxl, freeuB1, 1.2, diffusion.unet-guidance.enabled",
    "tiny-lcm, freeuB1, 1.2, diffusion.unet-guidance.enabled",
    "tiny-sd1, loras, style:0.5, diffusion.loras.allowed",
    "tiny-sdxl, loras, style, diffusion.loras.allowed",
    "tiny-sd1, ipAdapterScale, 1, diffusion.model.ip-adapters",
    "tiny-sd1, cacheInterval, 2, diffusion.cache.interval",
    "tiny-sd3, cacheInterval, 2, diffusion.cache.interval",
    "tiny-sd3, taylorOrder, 1, diffusion.cache.interval"
  })
  void aRequestThatNeedsAnOptionOfTheJobIsRefusedWithItsKey(
      String model, String parameter, String value, String option) {
    assertThatThrownBy(() -> check(model).require(asking(parameter, value)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageStartingWith("The request has " + parameter + ", which ")
        .hasMessageEndingWith(" takes only in a job with the option " + option + ".");
  }

  @Test
  void theOptionsThatDoNotGoTogetherWithItAreNamed() {
    assertThatThrownBy(
            () ->
                check("tiny-sd1", "diffusion.cache.interval", "2")
                    .require(asking("loras", "style:0.5")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageEndingWith(
            "in a job with the option diffusion.loras.allowed and without"
                + " diffusion.cache.interval.");
    assertThatThrownBy(
            () ->
                check("tiny-sd3", "diffusion.cache.interval", "2")
                    .require(asking("cacheThreshold", "0.1")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageEndingWith(
            "the options diffusion.cache.interval and diffusion.cache.threshold.");
  }

  @ParameterizedTest
  @CsvSource({"tiny-sd3, pagScale, 3", "tiny-dit, loras, style", "tiny-lcm, pagScale, 3"})
  void noOptionIsNamedWhereNoneHelps(String model, String parameter, String value) {
    assertThatThrownBy(() -> check(model).require(asking(parameter, value)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(" does not take; it takes ");
  }

  @Test
  void anImageToLookLikeNamesTheOptionOfIpAdapters() {
    PromptEvent event =
        PromptEvent.newBuilder()
            .setId("one")
            .setPrompt("a table")
            .setImages(Map.of("ipAdapterImage", Payloads.inline(new byte[] {1}, "image/png")))
            .build();
    assertThatThrownBy(() -> check("tiny-sd1").require(event))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessage(
            "The request's images have 'ipAdapterImage', which model tiny-sd1 takes only in a job"
                + " with the option diffusion.model.ip-adapters.");
  }

  @Test
  void theRangeOfALorasScaleIsSaid() {
    PromptCheck check = check("tiny-sd1", "diffusion.loras.allowed", "style=" + LORA);
    assertThatThrownBy(() -> check.require(asking("loras", "style:101")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("loras is style:101; it must be one to 8 different names")
        .hasMessageContaining("scales from -100 to 100");
  }

  @Test
  void aFileThatIsNoLoraIsNamedWithoutBlameOfTheModel() throws IOException {
    Path absent = temp.resolve("absent.safetensors");
    assertThatThrownBy(() -> check("tiny-sd1", "diffusion.loras.allowed", "style=" + absent))
        .isInstanceOf(UnusableModelException.class)
        .hasMessageStartingWith("LoRA style (" + absent + ") does not exist")
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("cannot be used"));
    assertThatThrownBy(() -> check("tiny-sd1", "diffusion.model.loras", absent + "=0.5"))
        .isInstanceOf(UnusableModelException.class)
        .hasMessageStartingWith("LoRA " + absent + " does not exist");
    Path broken = Files.writeString(temp.resolve("broken.safetensors"), "not a LoRA at all");
    assertThatThrownBy(() -> check("tiny-sd1", "diffusion.loras.allowed", "style=" + broken))
        .isInstanceOf(UnusableModelException.class)
        .hasMessageStartingWith("LoRA style: LoRA " + broken + " cannot be read: ");
    assertThatThrownBy(() -> check("tiny-sdxl", "diffusion.model.ip-adapters", absent.toString()))
        .isInstanceOf(UnusableModelException.class)
        .hasMessageContaining("IP-Adapter " + absent + " does not exist");
  }
}
