/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.flink.core.fs.BlockLocation;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.RecoverableFsDataOutputStream;
import org.apache.flink.core.fs.RecoverableWriter;
import org.apache.flink.core.fs.RecoverableWriter.CommitRecoverable;
import org.apache.flink.core.fs.RecoverableWriter.ResumeRecoverable;
import org.apache.flink.core.fs.local.LocalFileSystem;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * The local file system, for paths of any scheme, that writes down what it is asked and fails at
 * the n-th call: before it did it, in its middle, or after it, as when an answer is lost.
 */
final class TestFileSystem extends FileSystem {
  enum Fault {
    BEFORE,
    HALF_WAY,
    AFTER
  }

  /** What a reader gets. */
  enum Reading {
    AS_IT_IS,
    ONE_BYTE_AT_A_TIME,
    A_BYTE_CHANGED,
    ENDS_EARLY
  }

  private final FileSystem local = LocalFileSystem.getSharedInstance();
  private final List<String> calls = Collections.synchronizedList(new ArrayList<>());
  private boolean recoverable = true;
  private int failAt;
  private Fault fault = Fault.BEFORE;
  private Reading reading = Reading.AS_IT_IS;

  /** As file systems that cannot resume, such as some of those for object stores. */
  TestFileSystem withoutRecoverableWriter() {
    recoverable = false;
    return this;
  }

  /**
   * @param call number of the call, from 1
   */
  TestFileSystem failAt(int call, Fault how) {
    failAt = call;
    fault = how;
    return this;
  }

  TestFileSystem reading(Reading how) {
    reading = how;
    return this;
  }

  /** The calls so far. */
  List<String> calls() {
    return List.copyOf(calls);
  }

  boolean hasFailed() {
    return failAt > 0 && calls.size() >= failAt;
  }

  private interface Call<T> {
    T make() throws IOException;
  }

  private interface Effect {
    void make() throws IOException;
  }

  private <T> T call(String name, Call<T> call) throws IOException {
    calls.add(name);
    boolean fails = calls.size() == failAt;
    if (fails && fault != Fault.AFTER) {
      throw new IOException("induced before " + name);
    }
    T result = call.make();
    if (fails) {
      throw new IOException("induced after " + name);
    }
    return result;
  }

  private void effect(String name, Effect effect) throws IOException {
    call(
        name,
        () -> {
          effect.make();
          return null;
        });
  }

  private static Path local(Path path) {
    return new Path("file", null, path.getPath());
  }

  @Override
  public Path getWorkingDirectory() {
    return local.getWorkingDirectory();
  }

  @Override
  public Path getHomeDirectory() {
    return local.getHomeDirectory();
  }

  @Override
  public URI getUri() {
    return URI.create("remote:/");
  }

  @Override
  public boolean isDistributedFS() {
    return true;
  }

  @Override
  public BlockLocation[] getFileBlockLocations(FileStatus file, long start, long length) {
    throw new AssertionError("payloads are not split");
  }

  @Override
  public boolean mkdirs(Path path) throws IOException {
    return call("mkdirs", () -> local.mkdirs(local(path)));
  }

  @Override
  public FSDataInputStream open(Path path, int bufferSize) throws IOException {
    return open(path);
  }

  @Override
  public FileStatus getFileStatus(Path path) throws IOException {
    return call("status", () -> local.getFileStatus(local(path)));
  }

  @Override
  public FileStatus[] listStatus(Path path) throws IOException {
    return call("list", () -> local.listStatus(local(path)));
  }

  @Override
  public boolean delete(Path path, boolean recursive) throws IOException {
    return call("delete", () -> local.delete(local(path), recursive));
  }

  @Override
  public boolean rename(Path from, Path to) throws IOException {
    return call("rename", () -> local.rename(local(from), local(to)));
  }

  @Override
  public FSDataOutputStream create(Path path, WriteMode mode) throws IOException {
    FSDataOutputStream out = call("create", () -> local.create(local(path), mode));
    return new FSDataOutputStream() {
      @Override
      public void write(int b) throws IOException {
        effect("write", () -> out.write(b));
      }

      @Override
      public void write(byte[] bytes, int offset, int length) throws IOException {
        writeTo(out, bytes, offset, length);
      }

      @Override
      public long getPos() throws IOException {
        return out.getPos();
      }

      @Override
      public void flush() throws IOException {
        out.flush();
      }

      @Override
      public void sync() throws IOException {
        out.sync();
      }

      @Override
      public void close() throws IOException {
        effect("close", out::close);
      }
    };
  }

  private void writeTo(FSDataOutputStream out, byte[] bytes, int offset, int length)
      throws IOException {
    if (fault == Fault.HALF_WAY && calls.size() + 1 == failAt) {
      out.write(bytes, offset, length / 2);
    }
    effect("write", () -> out.write(bytes, offset, length));
  }

  @Override
  public FSDataInputStream open(Path path) throws IOException {
    FSDataInputStream in = call("open", () -> local.open(local(path)));
    return new FSDataInputStream() {
      @Override
      public void seek(long position) throws IOException {
        in.seek(position);
      }

      @Override
      public long getPos() throws IOException {
        return in.getPos();
      }

      @Override
      public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
      }

      @Override
      public int read(byte[] bytes, int offset, int length) throws IOException {
        if (reading == Reading.ENDS_EARLY && in.getPos() >= 1) {
          return -1;
        }
        boolean first = in.getPos() == 0;
        int most = reading == Reading.AS_IT_IS || length == 0 ? length : 1;
        int n = call("read", () -> in.read(bytes, offset, most));
        if (reading == Reading.A_BYTE_CHANGED && first && n > 0) {
          bytes[offset] ^= 1;
        }
        return n;
      }

      @Override
      public void close() throws IOException {
        in.close();
      }
    };
  }

  @Override
  public RecoverableWriter createRecoverableWriter() throws IOException {
    if (!recoverable) {
      throw new UnsupportedOperationException("no recoverable writer");
    }
    RecoverableWriter writer = local.createRecoverableWriter();
    return new RecoverableWriter() {
      @Override
      public RecoverableFsDataOutputStream open(Path path) throws IOException {
        return new Recoverable(call("open to write", () -> writer.open(local(path))));
      }

      @Override
      public RecoverableFsDataOutputStream recover(ResumeRecoverable resumable) {
        throw new AssertionError("payloads are not resumed");
      }

      @Override
      public boolean requiresCleanupOfRecoverableState() {
        return writer.requiresCleanupOfRecoverableState();
      }

      @Override
      public boolean cleanupRecoverableState(ResumeRecoverable resumable) {
        throw new AssertionError("payloads are not resumed");
      }

      @Override
      public RecoverableFsDataOutputStream.Committer recoverForCommit(CommitRecoverable commit) {
        throw new AssertionError("payloads are not resumed");
      }

      @Override
      public SimpleVersionedSerializer<CommitRecoverable> getCommitRecoverableSerializer() {
        return writer.getCommitRecoverableSerializer();
      }

      @Override
      public SimpleVersionedSerializer<ResumeRecoverable> getResumeRecoverableSerializer() {
        return writer.getResumeRecoverableSerializer();
      }

      @Override
      public boolean supportsResume() {
        return writer.supportsResume();
      }
    };
  }

  private final class Recoverable extends RecoverableFsDataOutputStream {
    private final RecoverableFsDataOutputStream out;

    Recoverable(RecoverableFsDataOutputStream out) {
      this.out = out;
    }

    @Override
    public ResumeRecoverable persist() throws IOException {
      return out.persist();
    }

    @Override
    public Committer closeForCommit() throws IOException {
      Committer committer = call("close for commit", out::closeForCommit);
      return new Committer() {
        @Override
        public void commit() throws IOException {
          effect("commit", committer::commit);
        }

        @Override
        public void commitAfterRecovery() {
          throw new AssertionError("payloads are not resumed");
        }

        @Override
        public CommitRecoverable getRecoverable() {
          return committer.getRecoverable();
        }
      };
    }

    @Override
    public void write(int b) throws IOException {
      effect("write", () -> out.write(b));
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      writeTo(out, bytes, offset, length);
    }

    @Override
    public long getPos() throws IOException {
      return out.getPos();
    }

    @Override
    public void flush() throws IOException {
      out.flush();
    }

    @Override
    public void sync() {
      throw new AssertionError("S3 would publish what was written so far");
    }

    @Override
    public void close() throws IOException {
      out.close();
    }
  }
}
