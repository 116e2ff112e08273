/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

class OutputFolderTest {

  @Test
  void nothingInAFolderThatIsNotEmptyIsTouched(@TempDir Path path) throws IOException {
    Path file = Files.writeString(path.resolve("notes.txt"), "mine");

    assertThatThrownBy(() -> OutputFolder.create(path))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining(path.toString())
        .hasMessageContaining("not empty");
    assertThat(path).isDirectoryContaining(each -> each.equals(file));
    try (var files = Files.list(path)) {
      assertThat(files).hasSize(1);
    }
  }

  /** Even root cannot write to /proc, as a container's user cannot to a volume of another's. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void aFolderThatCannotBeWrittenToIsRefusedAtTheStart() {
    assertThatThrownBy(() -> OutputFolder.existing(Path.of("/proc")))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining("Cannot write to the output folder /proc")
        .hasMessageContaining("'" + System.getProperty("user.name") + "'")
        .hasMessageContaining("--out");
  }

  @Test
  void aFileIsThereWithAllItsBytesOrNotAtAll(@TempDir Path path) throws Exception {
    // A limit of 512 bytes for each file, as a full disk would set it.
    Process child =
        new ProcessBuilder(
                "bash",
                "-c",
                "ulimit -f 1; exec \"$@\"",
                "bash",
                ProcessHandle.current().info().command().orElseThrow(),
                "-XX:-UsePerfData",
                "-cp",
                System.getProperty("java.class.path"),
                Writing.class.getName(),
                path.toString())
            .redirectErrorStream(true)
            .start();
    String said = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(child.waitFor()).as(said).isZero();

    assertThat(said.lines())
        .singleElement()
        .asString()
        .startsWith("Cannot write " + path.resolve("pictures/large"))
        .contains("too large")
        .contains("--out");
    try (var files = Files.walk(path)) {
      assertThat(files.filter(Files::isRegularFile))
          .containsExactly(path.resolve("pictures/small"));
    }
  }

  /** In a process of its own, which has the limit. */
  static final class Writing {
    public static void main(String[] args) {
      OutputFolder folder = OutputFolder.create(Path.of(args[0]));
      folder.write("pictures/small", new byte[100]);
      try {
        folder.write("pictures/large", new byte[1 << 20]);
      } catch (DemoException e) {
        System.out.println(e.getMessage());
      }
    }
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
    assertThatThrownBy(() -> OutputFolder.create(file))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining("--out");
  }
}
