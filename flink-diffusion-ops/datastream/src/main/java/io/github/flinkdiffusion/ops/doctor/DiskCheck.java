/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.MemorySize;

/** Folders of this machine that a TaskManager writes to. */
final class DiskCheck implements Check {
  private static final MemorySize LOW = MemorySize.ofMebiBytes(1024);

  @Override
  public String name() {
    return "disk";
  }

  @Override
  public List<Finding> examine(Setup setup) {
    Map<Path, String> folders = new LinkedHashMap<>();
    String tmpdir = setup.java().getOrDefault("java.io.tmpdir", "");
    setup
        .config()
        .getOptional(CoreOptions.TMP_DIRS)
        .ifPresent(
            dirs -> {
              for (String dir : dirs.split(",|" + File.pathSeparator)) {
                folders.putIfAbsent(Path.of(dir.strip()), CoreOptions.TMP_DIRS.key());
              }
            });
    folders.putIfAbsent(Path.of(tmpdir), "java.io.tmpdir");
    setup
        .config()
        .getOptional(DiffusionOptions.MODEL_ARCHIVES)
        .ifPresent(dir -> folders.putIfAbsent(Path.of(dir), DiffusionOptions.MODEL_ARCHIVES.key()));
    List<Finding> findings = new ArrayList<>();
    folders.forEach((folder, option) -> findings.add(folder(folder, option)));
    return findings;
  }

  private Finding folder(Path folder, String option) {
    String what = "%s (%s)".formatted(folder, option);
    try {
      Files.delete(Files.createTempFile(folder, "doctor", ".tmp"));
      MemorySize free = new MemorySize(Files.getFileStore(folder).getUsableSpace());
      return free.compareTo(LOW) < 0
          ? Finding.warning(
              name(),
              "%s has %s left.".formatted(what, free.toHumanReadableString()),
              "Make room: image tasks, weights that are converted and native libraries are written there.")
          : Finding.ok(name(), "%s has %s left".formatted(what, free.toHumanReadableString()));
    } catch (IOException e) {
      return Finding.error(
          name(),
          "Cannot write to the folder %s: %s".formatted(what, Reason.of(e)),
          "Create it and let the user that runs Flink write to it, or set %s to a folder where that is so."
              .formatted(option));
    }
  }
}
