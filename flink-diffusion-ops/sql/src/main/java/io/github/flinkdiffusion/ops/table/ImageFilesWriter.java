/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.flink.api.connector.sink2.CommittingSinkWriter;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.RecoverableFsDataOutputStream;
import org.apache.flink.core.fs.RecoverableWriter;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.groups.SinkWriterMetricGroup;
import org.apache.flink.table.data.RowData;
import org.apache.flink.util.IOUtils;

/** Writes each row's file at once; none is kept in memory until the checkpoint. */
final class ImageFilesWriter implements CommittingSinkWriter<RowData, PendingFile> {
  private final String table;
  private final ImageFilesSink.Settings settings;
  private final RecoverableWriter writer;
  private final boolean local;
  private final Counter withoutName;
  private final Counter bytesOut;
  private List<PendingFile> pending = new ArrayList<>();

  ImageFilesWriter(
      String table,
      ImageFilesSink.Settings settings,
      RecoverableWriter writer,
      SinkWriterMetricGroup metrics)
      throws IOException {
    this.table = table;
    this.settings = settings;
    this.writer = writer;
    this.local = !new Path(settings.folder()).getFileSystem().isDistributedFS();
    this.withoutName = metrics.counter("rowsWithoutImage");
    this.bytesOut = metrics.getNumBytesSendCounter();
  }

  @Override
  public void write(RowData row, Context context) throws IOException {
    ImageRows.File file = settings.rows().file(row).orElse(null);
    if (file == null) {
      withoutName.inc();
      return;
    }
    Path path = new Path(settings.folder(), file.name());
    try {
      RecoverableWriter.CommitRecoverable recoverable =
          complete(writer, path, file.content(), local).getRecoverable();
      pending.add(
          new PendingFile(
              path.toString(),
              file.caption(),
              writer.getCommitRecoverableSerializer().getVersion(),
              writer.getCommitRecoverableSerializer().serialize(recoverable)));
    } catch (IOException e) {
      throw new IOException(
          "Table '%s' cannot write %s (%d bytes): %s"
              .formatted(table, path, file.content().length, e.getMessage()),
          e);
    }
    bytesOut.inc(file.content().length);
  }

  /**
   * Writes a file that appears when it is committed.
   *
   * @param synced whether it must be on the disk first; distributed file systems see to that
   */
  static RecoverableFsDataOutputStream.Committer complete(
      RecoverableWriter writer, Path path, byte[] content, boolean synced) throws IOException {
    RecoverableFsDataOutputStream out = writer.open(path);
    try {
      out.write(content);
      if (synced) {
        out.sync();
      }
      return out.closeForCommit();
    } catch (IOException e) {
      IOUtils.closeQuietly(out);
      throw e;
    }
  }

  @Override
  public void flush(boolean endOfInput) {
    // Files are complete when they are written.
  }

  @Override
  public Collection<PendingFile> prepareCommit() {
    List<PendingFile> ready = pending;
    pending = new ArrayList<>();
    return ready;
  }

  @Override
  public void close() {
    // Nothing is open between two rows.
  }
}
