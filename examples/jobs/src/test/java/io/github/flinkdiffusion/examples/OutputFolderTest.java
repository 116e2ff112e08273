/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OutputFolderTest {

  @Test
  void aRunReplacesWhatAnEarlierOneWroteAndNothingElse(@TempDir Path path) throws IOException {
    OutputFolder first = OutputFolder.prepare(path);
    first.write("pictures/001-a.png", new byte[1]);
    first.write("pictures/of-mine.png", new byte[1]);
    Files.writeString(path.resolve("notes.txt"), "mine");
    first.write(
        OutputFolder.SUMMARY_JSON,
        """
        {"pictures": [{"file": "pictures/001-a.png"}, {"file": "notes.txt"}, {"file": "pictures/../notes.txt"}]}
        """
            .getBytes());

    OutputFolder.prepare(path);

    assertThat(path.resolve("pictures/001-a.png")).doesNotExist();
    assertThat(path.resolve(OutputFolder.SUMMARY_JSON)).doesNotExist();
    assertThat(path.resolve("pictures/of-mine.png")).exists();
    assertThat(path.resolve("notes.txt")).exists();
  }

  @Test
  void aPictureIsNamedByItsNumberAndTheBeginningOfItsPrompt() {
    assertThat(OutputFolder.pictureName(7, "A red apple, on a Blue background!"))
        .isEqualTo("pictures/007-a-red-apple-on-a-blue-background.png");
    assertThat(OutputFolder.pictureName(1, "../../etc/passwd"))
        .isEqualTo("pictures/001-etc-passwd.png");
    assertThat(OutputFolder.pictureName(1, "猫")).isEqualTo("pictures/001.png");
    assertThat(OutputFolder.pictureName(1, "a".repeat(100_000))).hasSizeLessThan(100);
  }

  @Test
  void aFolderThatCanNotBeMadeIsNamed(@TempDir Path path) throws IOException {
    Path file = Files.writeString(path.resolve("file"), "");
    assertThatThrownBy(() -> OutputFolder.prepare(file))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining("--out");
  }
}
