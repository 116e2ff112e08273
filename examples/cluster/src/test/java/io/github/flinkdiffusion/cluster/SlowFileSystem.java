/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.FileSystemFactory;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.local.LocalFileSystem;

/**
 * The local file system under the scheme {@code slow}, each of whose calls takes as many
 * milliseconds as a file says at that moment; none without the file. A store far away, on a bad
 * day.
 */
final class SlowFileSystem extends LocalFileSystem {
  static final String SCHEME = "slow";

  /** In Flink's configuration: the file that says how slow. */
  static final ConfigOption<String> DELAY_FILE =
      ConfigOptions.key("slow.delay-file").stringType().noDefaultValue();

  private final java.nio.file.Path delay;

  SlowFileSystem(java.nio.file.Path delay) {
    this.delay = delay;
  }

  @Override
  public URI getUri() {
    return URI.create(SCHEME + ":///");
  }

  @Override
  public FileStatus getFileStatus(Path path) throws IOException {
    pause();
    return super.getFileStatus(path);
  }

  @Override
  public FSDataInputStream open(Path path) throws IOException {
    pause();
    return super.open(path);
  }

  @Override
  public FSDataInputStream open(Path path, int bufferSize) throws IOException {
    pause();
    return super.open(path, bufferSize);
  }

  @Override
  public FSDataOutputStream create(Path path, WriteMode overwrite) throws IOException {
    pause();
    return super.create(path, overwrite);
  }

  @Override
  public boolean rename(Path from, Path to) throws IOException {
    pause();
    return super.rename(from, to);
  }

  private void pause() throws IOException {
    try {
      Thread.sleep(Long.parseLong(Files.readString(delay).strip()));
    } catch (NoSuchFileException e) {
      // Not slow at the moment.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted");
    }
  }

  /** Found by Flink, since META-INF/services names it. */
  public static final class Factory implements FileSystemFactory {
    private String delay = "/nonexistent";

    @Override
    public void configure(Configuration configuration) {
      delay = configuration.getOptional(DELAY_FILE).orElse(delay);
    }

    @Override
    public String getScheme() {
      return SCHEME;
    }

    @Override
    public FileSystem create(URI uri) {
      return new SlowFileSystem(java.nio.file.Path.of(delay));
    }
  }
}
