/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.Collection;
import org.apache.flink.api.connector.sink2.Committer;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.RecoverableWriter;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lets files appear. After a failure it is asked for some that have appeared already; that changes
 * nothing.
 */
final class ImageFilesCommitter implements Committer<PendingFile> {
  private static final Logger LOG = LoggerFactory.getLogger(ImageFilesCommitter.class);

  private final RecoverableWriter writer;
  private final ContactSheetFile sheet;

  ImageFilesCommitter(RecoverableWriter writer, ContactSheetFile sheet) {
    this.writer = writer;
    this.sheet = sheet;
  }

  @Override
  public void commit(Collection<CommitRequest<PendingFile>> requests) throws IOException {
    for (CommitRequest<PendingFile> request : requests) {
      PendingFile file = request.getCommittable();
      try {
        commit(file);
        sheet.add(file.path(), file.caption());
      } catch (FileNotFoundException e) {
        // It appeared before a failure, and somebody has taken it away since; nobody else would.
        LOG.warn(
            "{} has been committed before, and is not there any more: {}",
            file.path(),
            e.getMessage());
        request.signalAlreadyCommitted();
      }
    }
    sheet.write();
  }

  private void commit(PendingFile file) throws IOException {
    RecoverableWriter.CommitRecoverable recoverable =
        writer.getCommitRecoverableSerializer().deserialize(file.version(), file.recoverable());
    try {
      writer.recoverForCommit(recoverable).commitAfterRecovery();
    } catch (FileNotFoundException e) {
      throw e;
    } catch (IOException e) {
      // Some file systems do not rename over a file, here that of an earlier row of the same name.
      Path path = new Path(file.path());
      FileSystem files = path.getFileSystem();
      if (!files.exists(path)) {
        throw new IOException("Cannot commit " + path + ": " + e.getMessage(), e);
      }
      files.delete(path, false);
      writer.recoverForCommit(recoverable).commitAfterRecovery();
    }
  }

  @Override
  public void close() {
    // Nothing is open between two commits.
  }
}
