/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.NonWritableChannelException;
import java.nio.channels.SeekableByteChannel;
import org.apache.flink.annotation.Internal;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A stored payload as a channel over any file system of Flink's. A read fetches the bytes that were
 * asked for and no others, except what the file system itself reads ahead. The first read opens the
 * file.
 *
 * <p>Its bytes are not compared with a digest. A file that is replaced is noticed by {@link
 * #requireUnchanged}. Not thread-safe.
 */
@Internal
public final class PayloadChannel implements SeekableByteChannel {
  private static final Logger LOG = LoggerFactory.getLogger(PayloadChannel.class);

  private final FileSystem fileSystem;
  private final Path path;
  private final String uri;
  private final long size;
  private final long modified;
  private FSDataInputStream in;
  private byte[] buffer = new byte[0];
  private long position;
  private long bytesRead;
  private boolean closed;

  private PayloadChannel(FileSystem fileSystem, Path path, String uri, FileStatus status) {
    this.fileSystem = fileSystem;
    this.path = path;
    this.uri = uri;
    this.size = status.getLen();
    this.modified = status.getModificationTime();
  }

  static PayloadChannel open(FileSystem fileSystem, Path path, String uri) throws IOException {
    return new PayloadChannel(fileSystem, path, uri, fileSystem.getFileStatus(path));
  }

  /** Names what lies at the place now: another file there has another version. */
  public String version() {
    return size + " bytes of " + modified;
  }

  /** How many bytes have been asked of the file system. */
  public long bytesRead() {
    return bytesRead;
  }

  /**
   * @throws PayloadException of kind DAMAGED when another file lies there than when it was opened
   */
  public void requireUnchanged() {
    try {
      FileStatus now = fileSystem.getFileStatus(path);
      if (now.getLen() != size || now.getModificationTime() != modified) {
        throw new PayloadException(
            PayloadException.Kind.DAMAGED,
            "Payload %s was replaced while parts of it were read: it had %d bytes, and has %d. Send the request again; write payloads under new names."
                .formatted(uri, size, now.getLen()));
      }
    } catch (IOException e) {
      throw FileTrouble.of(e).reading(uri, e);
    }
  }

  /**
   * @throws PayloadException when the file system does not give the bytes
   */
  @Override
  public int read(ByteBuffer target) throws IOException {
    if (closed) {
      throw new ClosedChannelException();
    }
    if (!target.hasRemaining()) {
      return 0;
    }
    if (position >= size) {
      return -1;
    }
    int wanted = (int) Math.min(target.remaining(), size - position);
    try {
      if (in == null) {
        in = fileSystem.open(path);
      }
      if (in.getPos() != position) {
        in.seek(position);
      }
      byte[] bytes;
      int at;
      if (target.hasArray()) {
        bytes = target.array();
        at = target.arrayOffset() + target.position();
      } else {
        buffer = buffer.length < wanted ? new byte[wanted] : buffer;
        bytes = buffer;
        at = 0;
      }
      int count = in.read(bytes, at, wanted);
      if (count <= 0) {
        return -1;
      }
      if (target.hasArray()) {
        target.position(target.position() + count);
      } else {
        target.put(bytes, 0, count);
      }
      position += count;
      bytesRead += count;
      return count;
    } catch (IOException e) {
      // A stream that has failed is of no use; the next attempt opens another.
      closeStream(e);
      throw FileTrouble.of(e).reading(uri, e);
    }
  }

  private void closeStream(IOException because) {
    if (in != null) {
      try {
        in.close();
      } catch (IOException e) {
        because.addSuppressed(e);
      }
      in = null;
    }
  }

  @Override
  public long position() {
    return position;
  }

  @Override
  public PayloadChannel position(long newPosition) {
    if (newPosition < 0) {
      throw new IllegalArgumentException("Position " + newPosition + " of a payload.");
    }
    position = newPosition;
    return this;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public int write(ByteBuffer source) {
    throw new NonWritableChannelException();
  }

  @Override
  public SeekableByteChannel truncate(long newSize) {
    throw new NonWritableChannelException();
  }

  @Override
  public boolean isOpen() {
    return !closed;
  }

  /** Nothing was written, so how the file system closes it says nothing. */
  @Override
  public void close() {
    closed = true;
    if (in != null) {
      try {
        in.close();
      } catch (IOException e) {
        LOG.debug("Could not close payload {}.", uri, e);
      }
      in = null;
    }
  }
}
