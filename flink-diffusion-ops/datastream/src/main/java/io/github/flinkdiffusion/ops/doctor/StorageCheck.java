/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;

/**
 * Checkpoints, savepoints, high availability and the payload store: a file is written, read and
 * deleted in each. The file's time is compared with this machine's.
 */
final class StorageCheck implements Check {
  private static final Duration TOLERABLE_SKEW = Duration.ofMinutes(1);
  private static final byte[] TEXT = {'d', 'o', 'c', 't', 'o', 'r'};

  @Override
  public String name() {
    return "storage";
  }

  @Override
  public List<Finding> examine(Setup setup) {
    List<Finding> findings = new ArrayList<>();
    Configuration config = setup.config();
    Map<String, String> folders = new LinkedHashMap<>();
    put(folders, config.get(PayloadOptions.STORE), PayloadOptions.STORE.key());
    put(
        folders,
        config.get(HighAvailabilityOptions.HA_STORAGE_PATH),
        "high-availability.storageDir");
    put(
        folders,
        config.get(CheckpointingOptions.SAVEPOINT_DIRECTORY),
        CheckpointingOptions.SAVEPOINT_DIRECTORY.key());
    String checkpoints = CheckpointingOptions.CHECKPOINTS_DIRECTORY.key();
    put(folders, config.get(CheckpointingOptions.CHECKPOINTS_DIRECTORY), checkpoints);
    if (!folders.containsValue(checkpoints)) {
      findings.add(
          Finding.error(
              name(),
              checkpoints + " is not set, so checkpoints are in the JobManager's memory.",
              "Set it to a folder that all machines reach under one name, such as s3://bucket/checkpoints."));
    } else if (config.get(CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION)
        != ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION) {
      findings.add(
          Finding.warning(
              name(),
              "Checkpoints are deleted when a job is cancelled.",
              "Set %s to RETAIN_ON_CANCELLATION: an older checkpoint is the way out of a lost transaction."
                  .formatted(CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION.key())));
    }
    folders.forEach((folder, option) -> folder(setup, folder, option, findings));
    return findings;
  }

  private static void put(Map<String, String> folders, String folder, String option) {
    if (folder != null) {
      folders.put(folder, option);
    }
  }

  private void folder(Setup setup, String folder, String option, List<Finding> findings) {
    String what = "%s (%s)".formatted(folder, option);
    try {
      // Not java.net.URI: bucket names with underscores are none.
      Path file = new Path(new Path(folder), "doctor-" + UUID.randomUUID());
      FileSystem fileSystem = file.getFileSystem();
      Instant before = setup.clock().instant();
      long written;
      try {
        try (FSDataOutputStream out = fileSystem.create(file, FileSystem.WriteMode.NO_OVERWRITE)) {
          out.write(TEXT);
        }
        written = fileSystem.getFileStatus(file).getModificationTime();
        try (FSDataInputStream in = fileSystem.open(file)) {
          in.readNBytes(TEXT.length);
        }
      } finally {
        fileSystem.delete(file, false);
      }
      findings.add(Finding.ok(name(), "%s can be written and read".formatted(what)));
      clock(what, before, setup.clock().instant(), Instant.ofEpochMilli(written), findings);
    } catch (IOException | RuntimeException e) {
      findings.add(
          Finding.error(
              name(),
              "Cannot write to %s: %s".formatted(what, Reason.of(e)),
              "Create the folder or bucket and let this user write there; s3:// and the like need a"
                  + " plugin in Flink's plugins/ and credentials (deploy/README.md)."));
    }
  }

  private void clock(
      String what, Instant before, Instant after, Instant written, List<Finding> findings) {
    // Many file systems keep seconds only, so the file may seem a second older.
    Duration skew =
        written.isBefore(before)
            ? Duration.between(written, before)
            : written.isAfter(after) ? Duration.between(after, written) : Duration.ZERO;
    if (skew.compareTo(TOLERABLE_SKEW) > 0) {
      findings.add(
          Finding.error(
              "clock",
              "This machine says %s, and %s says %s: they differ by %d s."
                  .formatted(after, what, written, skew.toSeconds()),
              "Run chrony or another NTP client on both: deadlines, time-outs of transactions and"
                  + " what is cleaned up by age go by these clocks."));
    } else {
      findings.add(Finding.ok("clock", "as that of " + what));
    }
  }
}
