/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.examples.emoji.EmojiScene;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PromptsTest {

  @Test
  void theBuiltInOnesAreSixteenDifferentEmojiOnAllColoursHalfOfThemHeldOut() {
    List<EmojiScene> scenes =
        Prompts.builtIn().stream()
            .map(
                prompt ->
                    EmojiVocabulary.scenes().stream()
                        .filter(scene -> scene.phrasings().contains(prompt))
                        .findFirst()
                        .orElseThrow(() -> new AssertionError("mini-emoji knows no " + prompt)))
            .toList();

    assertThat(scenes).hasSize(16).extracting(EmojiScene::emoji).doesNotHaveDuplicates();
    assertThat(scenes).filteredOn(EmojiVocabulary::isHeldOut).hasSize(8);
    assertThat(scenes)
        .extracting(EmojiScene::background)
        .containsAll(EmojiVocabulary.backgrounds());
    assertThat(Prompts.builtIn()).filteredOn(Prompts::isHeldOut).hasSize(8);
  }

  @Test
  void aFileHoldsOnePromptALineAndMayHaveCommentsAndBlankLines(@TempDir Path folder)
      throws IOException {
    Path file = folder.resolve("prompts.txt");
    Files.writeString(file, "# fruit\n  a banana \n\na süße cherry\n");
    assertThat(Prompts.read(file)).containsExactly("a banana", "a süße cherry");
  }

  @Test
  void aFileWithoutPromptsIsRefused(@TempDir Path folder) throws IOException {
    Path empty = folder.resolve("empty.txt");
    Files.writeString(empty, "# nothing\n");
    assertThatThrownBy(() -> Prompts.read(empty))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining("empty.txt")
        .hasMessageContaining("one on each line");

    Path binary = folder.resolve("binary");
    Files.write(binary, new byte[] {(byte) 0xff, (byte) 0xfe});
    assertThatThrownBy(() -> Prompts.read(binary)).hasMessageContaining("UTF-8");
    assertThatThrownBy(() -> Prompts.read(folder.resolve("none")))
        .hasMessageContaining("NoSuchFile");
  }
}
