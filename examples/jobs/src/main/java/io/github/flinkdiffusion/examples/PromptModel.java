/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.nio.file.Path;
import java.util.Optional;
import org.apache.flink.configuration.Configuration;
import picocli.CommandLine;
import picocli.CommandLine.Option;

/** {@code --model} of commands that draw prompts. */
final class PromptModel {
  @Option(
      names = "--model",
      paramLabel = "MODEL",
      converter = ModelPath.class,
      defaultValue = "${sys:flinkdiffusion.home:-.}/examples/models/mini-emoji",
      showDefaultValue = CommandLine.Help.Visibility.NEVER,
      description =
          "Model folder in diffusers' layout, or hf://owner/name (default:"
              + " examples/models/mini-emoji).")
  private Path folder;

  Path folder() {
    return folder;
  }

  /**
   * The words that it knows; empty when its folder does not say.
   *
   * @throws DemoException if the file is there and cannot be understood
   */
  Optional<ModelWords> words() {
    return ModelWords.of(folder);
  }

  String name() {
    return ModelFolder.name(folder);
  }

  /** Settings of a job that draws with it. */
  void addTo(Configuration settings, String device) {
    settings.set(DiffusionOptions.MODEL_FOLDER, folder.toAbsolutePath().toString());
    settings.set(DiffusionOptions.DEVICE, device);
    settings.set(DiffusionOptions.PROGRESS_EVERY_STEPS, 1);
  }
}
