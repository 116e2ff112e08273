/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One repository in the cache, in the layout of Python's {@code huggingface_hub}:
 *
 * <pre>
 * models--owner--name/refs/main            commit that the branch was at
 *                     trees/COMMIT.json    all files of the commit
 *                     blobs/DIGEST         content
 *                     snapshots/COMMIT/unet/config.json -> ../../../blobs/DIGEST
 * .locks/models--owner--name/
 * </pre>
 */
final class HubCache {
  private static final Logger LOG = LoggerFactory.getLogger(HubCache.class);
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final int TREE_FORMAT = 1;

  private final Path folder;
  private final Path lock;

  HubCache(Path cache, String repository) {
    String name = "models--" + repository.replace("/", "--");
    this.folder = cache.resolve(name);
    this.lock = cache.resolve(".locks").resolve(name).resolve("flink-diffusion.lock");
  }

  Path folder() {
    return folder;
  }

  /** Held by the process, and the thread in it, that downloads files of the repository. */
  Path lock() {
    return lock;
  }

  Path snapshot(String commit) {
    return folder.resolve("snapshots").resolve(commit);
  }

  Path blob(HubFile file) {
    return folder.resolve("blobs").resolve(file.blob());
  }

  /** Where a blob grows until it is complete. */
  Path partial(HubFile file) {
    return folder.resolve("blobs").resolve(file.blob() + ".incomplete");
  }

  /** The commit that a branch or tag was at when it was last asked for. */
  Optional<String> commit(String revision) {
    try {
      return Optional.of(Files.readString(ref(revision)).strip()).filter(HubName::isCommit);
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** Best effort: a cache may be read-only, and only works without network need the ref. */
  void remember(String revision, String commit) {
    if (HubName.isCommit(revision) || commit(revision).filter(commit::equals).isPresent()) {
      return;
    }
    try {
      write(ref(revision), commit);
    } catch (IOException e) {
      LOG.warn("Cannot write {}: {}. Without network, this model will not be found.", folder, e);
    }
  }

  private Path ref(String revision) {
    return folder.resolve("refs").resolve(revision);
  }

  /** All files of a commit, by their paths; empty if they have not been listed yet. */
  Optional<SortedMap<String, HubFile>> tree(String commit) {
    try {
      JsonNode tree = JSON.readTree(treeFile(commit).toFile());
      if (tree.path("format_version").asInt() != TREE_FORMAT || !tree.path("files").isObject()) {
        return Optional.empty();
      }
      SortedMap<String, HubFile> files = new TreeMap<>();
      tree.path("files")
          .properties()
          .forEach(
              entry ->
                  files.put(entry.getKey(), HubFile.ofCache(entry.getKey(), entry.getValue())));
      return Optional.of(files);
    } catch (NoSuchFileException | java.io.FileNotFoundException e) {
      return Optional.empty();
    } catch (IOException | IllegalArgumentException e) {
      LOG.warn("{} is not a listing of files and is not used: {}", treeFile(commit), e.toString());
      return Optional.empty();
    }
  }

  void remember(String commit, SortedMap<String, HubFile> files) {
    ObjectNode tree = JSON.createObjectNode().put("format_version", TREE_FORMAT);
    ObjectNode entries = tree.putObject("files");
    files.forEach((path, file) -> entries.set(path, file.toCache()));
    try {
      write(treeFile(commit), JSON.writerWithDefaultPrettyPrinter().writeValueAsString(tree));
    } catch (IOException e) {
      LOG.warn("Cannot write {}: {}", treeFile(commit), e.toString());
    }
  }

  private Path treeFile(String commit) {
    return folder.resolve("trees").resolve(commit + ".json");
  }

  /** By a rename, so that nobody reads a half. */
  private static void write(Path file, String text) throws IOException {
    Files.createDirectories(file.getParent());
    Path temporary = file.resolveSibling(file.getFileName() + "." + UUID.randomUUID() + ".tmp");
    try {
      Files.writeString(temporary, text);
      Files.move(
          temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  /** Whether a file of a commit is there with the size that it must have. */
  boolean has(String commit, HubFile file) {
    try {
      return Files.size(snapshot(commit).resolve(file.path())) == file.size();
    } catch (IOException e) {
      return false;
    }
  }

  /** Whether its content is there, from another commit or an attempt that ended early. */
  boolean hasBlob(HubFile file) {
    try {
      return Files.size(blob(file)) == file.size();
    } catch (IOException e) {
      return false;
    }
  }

  /** Shows a blob in a commit's snapshot: by a link, or where there are none, by moving it. */
  void show(String commit, HubFile file) throws IOException {
    show(blob(file), snapshot(commit).resolve(file.path()));
  }

  /** Shows a blob at a place: by a link, or where there are none, by moving it. */
  static void show(Path blob, Path place) throws IOException {
    Files.createDirectories(place.getParent());
    Path link = place.resolveSibling("." + UUID.randomUUID() + ".tmp");
    try {
      Files.createSymbolicLink(link, place.getParent().relativize(blob));
    } catch (UnsupportedOperationException | FileSystemException e) {
      LOG.debug("No symbolic links at {}; moving the file", place, e);
      Files.move(blob, place, StandardCopyOption.REPLACE_EXISTING);
      return;
    }
    try {
      Files.move(link, place, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(link);
    }
  }
}
