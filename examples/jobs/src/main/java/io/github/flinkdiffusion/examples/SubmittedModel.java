/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.hub.HubName;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Pattern;
import org.apache.flink.configuration.DeploymentOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.configuration.RestOptions;

/**
 * Whether a job's model is there before the job is submitted. TaskManagers read it, so only those
 * on this machine can be answered for: a model that they lack is an error, and for all others a
 * note says what was not checked.
 */
final class SubmittedModel {
  /** As a file system's scheme; a letter and a colon are a drive of Windows. */
  private static final Pattern ADDRESS = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]+:.*");

  private SubmittedModel() {}

  /**
   * @return what to tell whoever submits; empty if the model is there, or none is named
   * @throws DemoException if TaskManagers on this machine cannot find it
   */
  static Optional<String> check(ReadableConfig config) {
    String key = DiffusionOptions.MODEL_FOLDER.key();
    String model = config.getOptional(DiffusionOptions.MODEL_FOLDER).orElse(null);
    if (model == null) {
      return Optional.empty();
    }
    if (HubName.isOne(model) || ADDRESS.matcher(model).matches()) {
      return Optional.of(
          "The model %s (%s) is not a folder of this machine, so it was not checked. The TaskManagers fetch it when the job starts."
              .formatted(model, key));
    }
    Path path = Path.of(model).toAbsolutePath();
    if (Files.exists(path)) {
      return Optional.empty();
    }
    if (runsHere(config)) {
      throw new DemoException(
          "There is no model at %s (%s). The job was not submitted. Put the model there, or set %s to where it is."
              .formatted(path, key, key));
    }
    return Optional.of(
        "There is no model at %s (%s) on this machine, and the TaskManagers' folders could not be checked. The job fails if it is not there on each of them."
            .formatted(path, key));
  }

  private static boolean runsHere(ReadableConfig config) {
    String target = config.getOptional(DeploymentOptions.TARGET).orElse("local");
    return switch (target) {
      case "local" -> true;
      case "remote" ->
          config
              .getOptional(RestOptions.ADDRESS)
              .filter(
                  host -> host.equals("localhost") || host.startsWith("127.") || host.equals("::1"))
              .isPresent();
      default -> false;
    };
  }
}
