/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import java.io.IOException;
import java.io.Serializable;
import org.apache.flink.api.connector.sink2.Committer;
import org.apache.flink.api.connector.sink2.CommitterInitContext;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.SupportsCommitter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.RecoverableWriter;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.streaming.api.connector.sink2.CommittableMessage;
import org.apache.flink.streaming.api.connector.sink2.SupportsPreCommitTopology;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.table.data.RowData;

/**
 * Rows become files, each exactly once: a file is written at once under a name that nobody looks at
 * (or as the parts of an upload), is part of the checkpoint, and appears when that is complete.
 * After a failure, what the checkpoint knows of appears, and rows after it are written again. The
 * file system's {@link RecoverableWriter} does both, so all that Flink's own file sinks write to
 * will do.
 */
final class ImageFilesSink
    implements Sink<RowData>,
        SupportsCommitter<PendingFile>,
        SupportsPreCommitTopology<PendingFile, PendingFile> {
  private static final long serialVersionUID = 1L;

  /**
   * @param folder of the files, with its scheme
   * @param shown most images on the contact sheet; 0 without one
   */
  record Settings(String folder, ImageRows rows, int shown) implements Serializable {}

  private final String table;
  private final Settings settings;

  ImageFilesSink(String table, Settings settings) {
    this.table = table;
    this.settings = settings;
  }

  @Override
  public SinkWriter<RowData> createWriter(WriterInitContext context) throws IOException {
    return new ImageFilesWriter(table, settings, writer(), context.metricGroup());
  }

  @Override
  public Committer<PendingFile> createCommitter(CommitterInitContext context) throws IOException {
    return new ImageFilesCommitter(
        writer(), new ContactSheetFile(settings.folder(), settings.shown()));
  }

  @Override
  public SimpleVersionedSerializer<PendingFile> getCommittableSerializer() {
    return new PendingFile.Serializer();
  }

  /**
   * One committer commits all files: it knows the whole contact sheet. It cannot be an operator
   * behind the committers, because at the end of its input such a one reads no more, and the last
   * files appear after that.
   */
  @Override
  public DataStream<CommittableMessage<PendingFile>> addPreCommitTopology(
      DataStream<CommittableMessage<PendingFile>> written) {
    return written.global();
  }

  @Override
  public SimpleVersionedSerializer<PendingFile> getWriteResultSerializer() {
    return getCommittableSerializer();
  }

  private RecoverableWriter writer() throws IOException {
    Path folder = new Path(settings.folder());
    try {
      return folder.getFileSystem().createRecoverableWriter();
    } catch (IOException | UnsupportedOperationException e) {
      throw new IOException(
          "Table '%s' cannot write to %s: %s. Its file system must be one that Flink's own file sink writes to, such as file:// or s3:// (with Flink's plugin)."
              .formatted(table, folder, e.getMessage()),
          e);
    }
  }
}
