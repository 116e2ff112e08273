/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import java.io.IOException;
import java.net.URI;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.core.fs.BlockLocation;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.FileSystemFactory;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.local.LocalFileSystem;

/** Local files under the scheme {@code counted}, as if they were far away: their bytes count. */
public final class CountedFileSystem extends LocalFileSystem {
  private static final AtomicLong BYTES = new AtomicLong();
  private static final AtomicLong READS = new AtomicLong();
  private static final URI ROOT = URI.create("counted:///");

  /** Found by Flink as a service. */
  public static final class Factory implements FileSystemFactory {
    @Override
    public String getScheme() {
      return "counted";
    }

    @Override
    public FileSystem create(URI uri) {
      return new CountedFileSystem();
    }
  }

  public static void reset() {
    BYTES.set(0);
    READS.set(0);
  }

  /** Read since {@link #reset}, by any process-wide user. */
  public static long bytes() {
    return BYTES.get();
  }

  public static long reads() {
    return READS.get();
  }

  @Override
  public URI getUri() {
    return ROOT;
  }

  private static Path local(Path path) {
    return new Path("file", null, path.getPath());
  }

  @Override
  public FileStatus getFileStatus(Path path) throws IOException {
    return super.getFileStatus(local(path));
  }

  @Override
  public FileStatus[] listStatus(Path path) throws IOException {
    return super.listStatus(local(path));
  }

  @Override
  public BlockLocation[] getFileBlockLocations(FileStatus file, long start, long length)
      throws IOException {
    throw new UnsupportedOperationException();
  }

  @Override
  public FSDataOutputStream create(Path path, WriteMode mode) throws IOException {
    throw new UnsupportedOperationException();
  }

  @Override
  public FSDataInputStream open(Path path) throws IOException {
    FSDataInputStream in = super.open(local(path));
    return new FSDataInputStream() {
      @Override
      public void seek(long to) throws IOException {
        in.seek(to);
      }

      @Override
      public long getPos() throws IOException {
        return in.getPos();
      }

      @Override
      public int read() throws IOException {
        BYTES.incrementAndGet();
        return in.read();
      }

      @Override
      public int read(byte[] to, int at, int length) throws IOException {
        int count = in.read(to, at, length);
        BYTES.addAndGet(Math.max(0, count));
        READS.incrementAndGet();
        return count;
      }

      @Override
      public void close() throws IOException {
        in.close();
      }
    };
  }
}
