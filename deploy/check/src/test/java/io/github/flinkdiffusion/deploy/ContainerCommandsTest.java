/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.deploy;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The image with the tools has each tool of the folder examples. */
class ContainerCommandsTest {
  private static final Path ENTRY = Path.of("../container/flink-diffusion");
  private static final Path DOCS = Path.of("../../docs/CONTAINER.md");
  private static final String PACKAGE = "io.github.flinkdiffusion.examples.";

  private static final Pattern MAIN =
      Pattern.compile("FLINK_DIFFUSION_MAIN=" + Pattern.quote(PACKAGE) + "([\\w.]+)");
  private static final Pattern COMMAND =
      Pattern.compile("^  ([a-z-]+)\\) main=\\$examples\\.([\\w.]+) ;;", Pattern.MULTILINE);

  @Test
  void everyToolIsACommandAndIsNamedWhereCommandsAre() throws IOException {
    String entry = Files.readString(ENTRY);
    Map<String, String> commands = new TreeMap<>();
    for (MatchResult each : COMMAND.matcher(entry).results().toList()) {
      commands.put(each.group(1), each.group(2));
    }

    assertThat(commands).isEqualTo(tools());
    String listed = entry.lines().filter(line -> line.startsWith("#   gallery, ")).findAny().get();
    assertThat(listed.substring(1).strip().split(", "))
        .containsExactlyInAnyOrderElementsOf(commands.keySet());
    String row =
        Files.readString(DOCS)
            .lines()
            .filter(
                line -> line.contains("`-tools`") || line.startsWith("| `flink-diffusion-tools`"))
            .findAny()
            .get();
    for (String command : commands.keySet()) {
      assertThat(row).contains("`" + command + "`");
    }
  }

  /** What starts one of the examples' programs, but training, which needs the other engine. */
  private static Map<String, String> tools() throws IOException {
    Map<String, String> tools = new TreeMap<>(Map.of("demo", "TextToImageDemo"));
    try (Stream<Path> files = Files.list(Path.of("../../examples"))) {
      for (Path file : (Iterable<Path>) files.filter(Files::isRegularFile)::iterator) {
        Matcher main = MAIN.matcher(Files.readString(file));
        if (main.find() && !file.endsWith("train")) {
          tools.put(file.getFileName().toString(), main.group(1));
        }
      }
    }
    return tools;
  }
}
