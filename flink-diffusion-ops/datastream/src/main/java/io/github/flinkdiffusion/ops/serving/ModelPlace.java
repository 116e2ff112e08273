/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.hub.Hub;
import io.github.flinkdiffusion.ops.hub.HubException;
import io.github.flinkdiffusion.ops.hub.HubName;
import io.github.flinkdiffusion.ops.hub.HubWants;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.apache.flink.configuration.ConfigOption;

/**
 * Where a model, or a file that belongs to one, is.
 *
 * @param text a path, which every task manager has; a name of the hub; or an address in one of
 *     Flink's file systems
 */
record ModelPlace(String text) {

  /**
   * Refuses what looks like a name of the hub, or an address, and is none; before a job runs.
   *
   * @param option that names it
   * @throws DiffusionException naming the option
   */
  void require(ConfigOption<?> option) {
    try {
      require();
    } catch (HubException e) {
      throw new DiffusionException("Option %s: %s".formatted(option.key(), e.getMessage()));
    }
  }

  /**
   * What looks like a name of the hub, or an address, must be one.
   *
   * @throws HubException if it is none
   */
  void require() {
    if (HubName.isOne(text)) {
      HubName.parse(text);
    } else if (FlinkFiles.isAddress(text)) {
      FlinkFiles.check(text);
    }
  }

  /** Whether it must be found first, and may have to be fetched. */
  boolean isElsewhere() {
    return HubName.isOne(text) || FlinkFiles.isAddress(text);
  }

  /** As a user calls it, the same for all spellings of a path. */
  String name() {
    if (HubName.isOne(text)) {
      return HubName.parse(text).toString();
    }
    return FlinkFiles.isAddress(text) ? FlinkFiles.name(text) : path().toString();
  }

  /** The path, if it is one, the same for all its spellings. */
  Path path() {
    return Path.of(text).toAbsolutePath().normalize();
  }

  /**
   * Path of the folder, or single-file checkpoint, on this machine: downloads what is missing.
   *
   * @throws HubException if it cannot be had
   */
  String folderHere(HubWants wants) {
    if (HubName.isOne(text)) {
      return Hub.standard().locate(HubName.parse(text), wants).toString();
    }
    return FlinkFiles.isAddress(text) ? FlinkFiles.locate(text, wants).toString() : text;
  }

  /** As {@link #folderHere}, of a single file. */
  String fileHere(HubWants wants) {
    return HubName.isOne(text)
        ? Hub.standard().file(HubName.parse(text)).toString()
        : folderHere(wants);
  }

  /**
   * As {@link #folderHere}, of an image encoder: two files, which the hub has in a folder of a
   * repository.
   */
  String encoderHere() {
    if (!HubName.isOne(text)) {
      return text;
    }
    HubName name = HubName.parse(text);
    String within = name.file().map(path -> path.replaceFirst("/+$", "") + "/").orElse("");
    Path config = null;
    for (String file : List.of("model.safetensors", "config.json")) {
      config =
          Hub.standard()
              .file(new HubName(name.repository(), name.revision(), Optional.of(within + file)));
    }
    return config.getParent().toString();
  }
}
