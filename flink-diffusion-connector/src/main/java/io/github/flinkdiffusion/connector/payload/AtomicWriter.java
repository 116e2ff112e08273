/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.UUID;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.RecoverableFsDataOutputStream;
import org.apache.flink.core.fs.RecoverableWriter;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Puts content under its final name so that nobody ever sees a part of it there.
 *
 * <p>Flink's {@link RecoverableWriter} does that on local disks (temporary file, fsync, atomic
 * move), on HDFS (rename) and on S3 (multi-part upload, completed at the end). A plain {@code
 * create} would not: most file systems show a file while it grows, and an object store completes an
 * upload when the stream is closed, even if that happens because of an error. Where there is no
 * recoverable writer, a temporary file is renamed; an object store makes a copy of that, which
 * costs more but appears as a whole too.
 *
 * <p>Two writers of one name write the same bytes. Whoever comes second replaces the file or finds
 * it there; the caller looks afterwards whether it is there in its right length.
 */
final class AtomicWriter {
  private static final Logger LOG = LoggerFactory.getLogger(AtomicWriter.class);

  private final FileSystem fileSystem;

  AtomicWriter(FileSystem fileSystem) {
    this.fileSystem = fileSystem;
  }

  /**
   * @param expected what the content was when it was looked at first
   * @throws IOException also when the content is another one now
   */
  void write(Content content, Digesting expected, StoreLayout layout) throws IOException {
    Path target = layout.payload(expected.sha256());
    RecoverableWriter recoverable;
    try {
      recoverable = fileSystem.createRecoverableWriter();
    } catch (UnsupportedOperationException e) {
      writeAndRename(content, expected, layout, target);
      return;
    }
    // Closing it without a commit leaves nothing under the final name. It is not synced here:
    // closeForCommit does that, and S3's sync would publish what there is.
    try (RecoverableFsDataOutputStream out = recoverable.open(target)) {
      copy(content, expected, out);
      out.closeForCommit().commit();
    }
  }

  private void writeAndRename(Content content, Digesting expected, StoreLayout layout, Path target)
      throws IOException {
    Path temporary = layout.unfinished(expected.sha256(), UUID.randomUUID().toString());
    boolean renamed = false;
    try {
      try (OutputStream out = fileSystem.create(temporary, FileSystem.WriteMode.NO_OVERWRITE)) {
        copy(content, expected, out);
      }
      renamed = fileSystem.rename(temporary, target);
    } finally {
      if (!renamed) {
        deleteQuietly(temporary);
      }
    }
  }

  private static void copy(Content content, Digesting expected, OutputStream out)
      throws IOException {
    try (InputStream in = content.open()) {
      Digesting copied = Digesting.copy(in, out, expected.length());
      if (!copied.equals(expected)) {
        throw new IOException("the bytes to be stored changed while they were written");
      }
    }
  }

  private void deleteQuietly(Path temporary) {
    try {
      fileSystem.delete(temporary, false);
    } catch (IOException e) {
      LOG.warn("Could not delete {}; the clean-up deletes it when it is old enough.", temporary, e);
    }
  }
}
