/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** {@code --icons} of commands that draw scenes. */
final class SceneIcons {
  @Option(
      names = "--icons",
      required = true,
      split = ",",
      description =
          "icons.json of npm packages @iconify-json/noto and @iconify-json/fluent-emoji-flat.")
  private List<Path> files;

  IconLibrary open() throws IOException {
    return IconLibrary.open(files, SceneVocabulary.nouns(), SceneModel.SIDE);
  }
}
