/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.image.PngCodec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class SceneFolderTest {
  @TempDir private Path folder;

  @Test
  void writesImagesWithCaptionsOfTheVocabularyTheSameEachTime() throws IOException {
    for (String out : List.of("one", "two")) {
      assertThat(
              new CommandLine(new SceneFolder())
                  .execute(
                      "--icons=" + set("noto") + "," + set("fluent-emoji-flat"),
                      "--out=" + folder.resolve(out),
                      "--scenes=5"))
          .isZero();
    }
    Set<String> words = SceneVocabulary.words();
    for (int i = 0; i < 5; i++) {
      String name = "scene-%06d".formatted(i);
      byte[] image = Files.readAllBytes(folder.resolve("one/" + name + ".png"));
      assertThat(PngCodec.decode(image).width()).isEqualTo(SceneModel.SIDE);
      assertThat(folder.resolve("two/" + name + ".png")).hasBinaryContent(image);
      String caption = Files.readString(folder.resolve("one/" + name + ".txt"));
      assertThat(folder.resolve("two/" + name + ".txt")).hasContent(caption);
      assertThat(words).containsAll(List.of(caption.strip().replace(",", "").split(" ")));
    }
  }

  /** A set in which every noun is a disc. */
  private Path set(String prefix) throws IOException {
    return Files.writeString(
        folder.resolve(prefix + ".json"),
        SceneVocabulary.nouns().stream()
            .map(
                noun ->
                    "\"%s\": {\"body\": \"<circle cx='5' cy='5' r='4'/>\"}".formatted(noun.icon()))
            .collect(
                Collectors.joining(
                    ",",
                    "{\"prefix\": \"%s\", \"width\": 10, \"height\": 10, \"icons\": {"
                        .formatted(prefix),
                    "}}")));
  }
}
