/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AskedPromptTest {
  @TempDir private Path folder;

  @Test
  void aFileHoldsOnePromptALineAndMayHaveCommentsAndBlankLines() throws IOException {
    Path file = folder.resolve("prompts.txt");
    Files.writeString(file, "# fruit\n  a banana \n\na s\u00fc\u00dfe cherry\n");
    assertThat(AskedPrompt.ofFile(file))
        .extracting(prompt -> prompt.event().getPrompt() + " of " + prompt.where())
        .containsExactly(
            "a banana of %s, line 2".formatted(file),
            "a s\u00fc\u00dfe cherry of %s, line 4".formatted(file));
  }

  @Test
  void aJsonObjectHasThePromptsFields() {
    AskedPrompt prompt =
        AskedPrompt.of(
            "{\"prompt\": \"a cat\", \"seed\": 7, \"negativePrompt\": \"\"}", "Prompt 1");
    assertThat(prompt.event().getPrompt()).isEqualTo("a cat");
    assertThat(prompt.event().getSeed()).isEqualTo(7);
    assertThat(prompt.event().getId()).isEmpty();
    assertThat(prompt.negativePromptGiven()).isTrue();
    assertThat(AskedPrompt.of("{\"prompt\": \"a\"}", "Prompt 1").negativePromptGiven()).isFalse();
  }

  @Test
  void anImageMayBeTheNameOfAFile() throws IOException {
    Path image = folder.resolve("edges.png");
    Files.write(image, new byte[] {1, 2, 3});
    AskedPrompt prompt =
        AskedPrompt.of(
            "{\"prompt\": \"a cat\", \"images\": {\"controlImage\": \"%s\", \"ipAdapterImage\": {\"content\": \"BAU=\"}}}"
                .formatted(image),
            "Prompt 1");
    assertThat(prompt.event().getImages())
        .isEqualTo(
            Map.of(
                "controlImage", Payloads.inline(new byte[] {1, 2, 3}, ""),
                "ipAdapterImage", Payloads.inline(new byte[] {4, 5}, "")));
    assertThatThrownBy(
            () ->
                AskedPrompt.of(
                    "{\"prompt\": \"a\", \"images\": {\"controlImage\": \"gone.png\"}}", "line 9"))
        .isInstanceOf(DemoException.class)
        .hasMessage("line 9: There is no file gone.png; name an image's file.");
  }

  @Test
  void aRefusalForAnImageNamesItsFile() throws IOException {
    Path image = Files.write(folder.resolve("edges.png"), new byte[] {1, 2, 3});
    AskedPrompt prompt =
        AskedPrompt.of(
            "{\"prompt\": \"a cat\", \"images\": {\"controlImage\": \"%s\"}}".formatted(image),
            "Prompt 1");
    assertThat(
            prompt.refused(
                new InvalidRequestException(
                    "The request's controlImage: no image", new ImageException("no image"))))
        .hasMessage(
            "Prompt 1, \"a cat\": The request's controlImage: no image (images: controlImage=%s)"
                .formatted(image));
    assertThat(prompt.refused(new InvalidRequestException("steps is 0")))
        .hasMessage("Prompt 1, \"a cat\": steps is 0");
  }

  @Test
  void aJsonObjectThatIsNoPromptIsRefusedByItsPlace() {
    assertThatThrownBy(() -> AskedPrompt.of("{\"prompt\": 3}", "p.txt, line 9"))
        .isInstanceOf(DemoException.class)
        .hasMessageStartingWith("p.txt, line 9: ")
        .hasMessageContaining("prompt");
    assertThatThrownBy(() -> AskedPrompt.of("{a cat}", "p.txt, line 9"))
        .hasMessageStartingWith("p.txt, line 9: ");
  }

  @Test
  void aFileWithoutPromptsIsRefused() throws IOException {
    Path empty = folder.resolve("empty.txt");
    Files.writeString(empty, "# nothing\n");
    assertThatThrownBy(() -> AskedPrompt.ofFile(empty))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining("empty.txt")
        .hasMessageContaining("one on each line");

    Path binary = folder.resolve("binary");
    Files.write(binary, new byte[] {(byte) 0xff, (byte) 0xfe});
    assertThatThrownBy(() -> AskedPrompt.ofFile(binary)).hasMessageContaining("UTF-8");
    assertThatThrownBy(() -> AskedPrompt.ofFile(folder.resolve("none")))
        .hasMessageStartingWith("There is no file " + folder.resolve("none"));
  }
}
