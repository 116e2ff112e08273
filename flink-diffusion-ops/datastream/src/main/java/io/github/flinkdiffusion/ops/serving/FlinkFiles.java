/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.hub.HubException;
import io.github.flinkdiffusion.ops.hub.HubName;
import io.github.flinkdiffusion.ops.hub.HubWants;
import io.github.flinkdiffusion.ops.hub.RemoteFiles;
import io.github.flinkdiffusion.ops.hub.RemoteModels;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.UnsupportedFileSystemSchemeException;

/** A model, or a file of one, in one of Flink's file systems, such as {@code s3://bucket/model}. */
final class FlinkFiles implements RemoteFiles {
  private static final Pattern URI_TEXT = Pattern.compile("([a-zA-Z][a-zA-Z0-9+.-]*)://.*");
  private static final String LOCAL = "file";

  /** A model folder has some dozens of files. */
  private static final int MOST_FILES = 10_000;

  private static final int MOST_LEVELS = 8;

  private final Path place;

  private FlinkFiles(String address) {
    this.place = new Path(URI.create(address));
  }

  /** Whether it is neither a path nor a name of the hub, but an address. */
  static boolean isAddress(String text) {
    return URI_TEXT.matcher(text).matches() && !HubName.isOne(text);
  }

  /**
   * Refuses an address that is none, without asking a file system.
   *
   * @throws HubException naming it and what is expected
   */
  static void check(String address) {
    try {
      URI uri = new URI(address);
      boolean plain = uri.getPath() != null && uri.equals(uri.normalize());
      if (plain && uri.getQuery() == null && uri.getFragment() == null) {
        return;
      }
    } catch (URISyntaxException e) {
      // As one that is not plain.
    }
    throw HubException.refused(
        "'%s' is no address of a model; expected scheme://authority/path, such as s3://bucket/models/emoji, without '..', '?' and '#'"
            .formatted(address));
  }

  /** The address without a slash at its end. */
  static String name(String address) {
    return address.replaceFirst("/+$", "");
  }

  /**
   * The path on this machine: that of a {@code file://} address itself, of others where they were
   * fetched to.
   *
   * @throws HubException if it cannot be had
   */
  static java.nio.file.Path locate(String address, HubWants wants) {
    check(address);
    String name = name(address);
    URI uri = URI.create(name);
    return uri.getScheme().equalsIgnoreCase(LOCAL)
        ? java.nio.file.Path.of(uri.getPath())
        : RemoteModels.standard().locate(name, new FlinkFiles(name), wants);
  }

  @Override
  public List<Found> list() throws IOException {
    FileStatus status = system().getFileStatus(place);
    List<Found> files = new ArrayList<>();
    if (status.isDir()) {
      list(place, "", 1, files);
    } else {
      files.add(found(place.getName(), status));
    }
    return files;
  }

  private void list(Path folder, String below, int level, List<Found> files) throws IOException {
    FileStatus[] entries = system().listStatus(folder);
    for (FileStatus entry : entries == null ? new FileStatus[0] : entries) {
      String name = entry.getPath().getName();
      if (!entry.isDir()) {
        files.add(found(below + name, entry));
      } else if (level < MOST_LEVELS) {
        list(new Path(folder, name), below + name + "/", level + 1, files);
      }
      if (files.size() > MOST_FILES) {
        throw HubException.refused(
            "%s has more than %d files, so it is no model; name the model's own folder"
                .formatted(place, MOST_FILES));
      }
    }
  }

  private static Found found(String path, FileStatus status) {
    return new Found(path, status.getLen(), status.getModificationTime());
  }

  @Override
  public InputStream open(Found file) throws IOException {
    boolean itself = file.path().equals(place.getName()) && !system().getFileStatus(place).isDir();
    return system().open(itself ? place : new Path(place, file.path()));
  }

  private FileSystem system() throws IOException {
    try {
      return place.getFileSystem();
    } catch (UnsupportedFileSystemSchemeException e) {
      throw HubException.refused(
          "%s: Flink has no file system for '%s' here. Put its plugin into the folder plugins of every task manager: %s"
              .formatted(place, place.toUri().getScheme(), e.getMessage()));
    }
  }
}
