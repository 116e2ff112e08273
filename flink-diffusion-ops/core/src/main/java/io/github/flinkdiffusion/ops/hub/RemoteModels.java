/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import io.github.flinkdiffusion.ops.weights.ModelFiles;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Models in file systems that this machine cannot map, fetched once for each machine into a cache:
 *
 * <pre>
 * URI/blobs/SHA-256                        content
 *     snapshots/LISTING/NAME/unet/config.json -> ../../../../blobs/SHA-256
 *     known/FILE                           digest of a file, by its name, size and time
 *     lock
 * </pre>
 *
 * URI is the digest of the model's address, and LISTING that of the names, sizes and times of the
 * files that are read of it: a model that was replaced is another snapshot. A blob gets its name
 * when all of it is there; who has a snapshot keeps it, whatever becomes of the model. Nothing is
 * deleted.
 */
@Internal
public final class RemoteModels {
  private static final Logger LOG = LoggerFactory.getLogger(RemoteModels.class);

  /** Environment variable and system property that says where the cache is. */
  public static final String CACHE = "FLINK_DIFFUSION_CACHE";

  private static final int COPY_BYTES = 1 << 20;

  private final Path cache;
  private final HubProgress progress;

  RemoteModels(Path cache, HubProgress progress) {
    this.cache = cache;
    this.progress = progress;
  }

  /**
   * With the cache of this process's environment: {@value #CACHE}, else {@code flink-diffusion} in
   * XDG_CACHE_HOME, else in {@code ~/.cache}. A system property {@value #CACHE} wins.
   */
  public static RemoteModels standard() {
    String folder = System.getProperty(CACHE, System.getenv(CACHE));
    String caches = System.getenv("XDG_CACHE_HOME");
    Path cache =
        folder != null
            ? Path.of(folder)
            : (caches == null || caches.isEmpty()
                    ? Path.of(System.getProperty("user.home"), ".cache")
                    : Path.of(caches))
                .resolve("flink-diffusion");
    return new RemoteModels(cache.toAbsolutePath(), new LoggedProgress());
  }

  /**
   * Fetches what is missing of a model: what its pipeline reads of a folder with a {@code
   * model_index.json}, or a single file.
   *
   * @param address of the model, for messages and the cache
   * @return its folder, or the file
   * @throws HubException if it cannot be had
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException if its {@code model_index.json}
   *     is invalid, or no component has the variant
   */
  public Path locate(String address, RemoteFiles files, HubWants wants) {
    Path place =
        cache.resolve("models").resolve(Sha256.hex(address.getBytes(StandardCharsets.UTF_8)));
    try (CacheLock lock = CacheLock.take(place.resolve("lock"))) {
      SortedMap<String, RemoteFiles.Found> found = new TreeMap<>();
      files.list().forEach(file -> found.put(file.path(), file));
      Fetch fetch = new Fetch(address, files, found, place);
      return fetch.isFile() ? fetch.file() : fetch.folder(wants);
    } catch (FileNotFoundException | NoSuchFileException e) {
      throw HubException.lasting(
          "%s does not exist (%s). Check the address, and that every task manager may read it."
              .formatted(address, e.getMessage()));
    } catch (IOException e) {
      throw HubException.passing("Cannot fetch %s into %s: %s".formatted(address, cache, e), e);
    } catch (InterruptedException e) {
      throw HubClient.interrupted(address, e);
    }
  }

  /** One model on its way. */
  private final class Fetch {
    private final String address;
    private final RemoteFiles files;
    private final SortedMap<String, RemoteFiles.Found> found;
    private final Path place;
    private final String name;

    Fetch(
        String address, RemoteFiles files, SortedMap<String, RemoteFiles.Found> found, Path place) {
      this.address = address;
      this.files = files;
      this.found = found;
      this.place = place;
      this.name = address.replaceFirst("/+$", "").replaceFirst(".*/", "");
    }

    /** Whether the address is that of a file. */
    boolean isFile() {
      return found.size() == 1 && found.firstKey().equals(name);
    }

    Path file() throws IOException {
      if (!name.endsWith(".safetensors")) {
        throw HubException.lasting(
            "%s is not a .safetensors file, and others are not read; expected one, or a folder with %s"
                .formatted(address, ModelFiles.INDEX));
      }
      Path snapshot = snapshot(List.of(name), "");
      bring(snapshot, List.of(name));
      return snapshot.resolve(name);
    }

    Path folder(HubWants wants) throws IOException {
      if (!found.containsKey(ModelFiles.INDEX)) {
        throw HubException.lasting(
            "%s is no model in diffusers' layout: it has no %s, but %s"
                .formatted(
                    address,
                    ModelFiles.INDEX,
                    found.isEmpty()
                        ? "nothing"
                        : String.join(", ", found.keySet().stream().limit(5).toList())));
      }
      // Which files are read follows from the first one; where they are, from all of them.
      Path first = snapshot(List.of(ModelFiles.INDEX), name);
      bring(first, List.of(ModelFiles.INDEX));
      ModelFiles read =
          ModelFiles.of(
              first.resolve(ModelFiles.INDEX),
              found.keySet(),
              wants.variant(),
              wants.without(),
              wants.configsAlone());
      read.pickled()
          .forEach(
              (component, pickled) ->
                  LOG.warn(
                      "{}: component {} has only pickled weights, which are not read: {}",
                      address,
                      component,
                      pickled));
      SortedSet<String> all = new TreeSet<>(read.small());
      all.addAll(read.weights());
      if (wants.weights()) {
        for (String index : read.indexes()) {
          bring(first, List.of(index));
          all.addAll(ModelFiles.shards(first, index));
        }
      } else {
        all.removeAll(read.weights());
        all.removeAll(read.indexes());
      }
      Path snapshot = snapshot(all, name);
      bring(snapshot, all);
      return snapshot;
    }

    private Path snapshot(Collection<String> paths, String folder) throws IOException {
      Sha256 listing = new Sha256();
      for (String path : new TreeSet<>(paths)) {
        listing.add(identity(found(path)));
      }
      return place.resolve("snapshots").resolve(listing.hex()).resolve(folder);
    }

    private static String identity(RemoteFiles.Found file) {
      return "%s %d %d%n".formatted(file.path(), file.bytes(), file.modified());
    }

    private RemoteFiles.Found found(String path) {
      RemoteFiles.Found file = found.get(path);
      if (file == null || !HubName.isPath(path)) {
        throw HubException.lasting("%s has no file '%s'".formatted(address, path));
      }
      return file;
    }

    private void bring(Path snapshot, Collection<String> paths) throws IOException {
      List<RemoteFiles.Found> missing = new ArrayList<>();
      for (String path : paths) {
        RemoteFiles.Found file = found(path);
        Path there = snapshot.resolve(path);
        if (!Files.exists(there) || Files.size(there) != file.bytes()) {
          missing.add(file);
        }
      }
      if (missing.isEmpty()) {
        return;
      }
      Path blobs = Files.createDirectories(place.resolve("blobs"));
      long total = 0;
      long needed = 0;
      for (RemoteFiles.Found file : missing) {
        total += file.bytes();
        needed += known(file, blobs).isPresent() ? 0 : file.bytes();
      }
      requireSpace(blobs, needed);
      missing.sort(Comparator.comparingLong(RemoteFiles.Found::bytes));
      long done = 0;
      for (RemoteFiles.Found file : missing) {
        Optional<Path> known = known(file, blobs);
        HubCache.show(
            known.isPresent() ? known.get() : fetch(file, blobs), snapshot.resolve(file.path()));
        done += file.bytes();
        progress.at(address + " " + file.path(), done, Math.max(1, total));
      }
    }

    private void requireSpace(Path blobs, long needed) throws IOException {
      long free = Files.getFileStore(blobs).getUsableSpace();
      if (needed > free) {
        throw HubException.passing(
            "%s needs %d MiB more in %s, where %d MiB are free. Free space there, or set %s to a folder on another disk."
                .formatted(address, needed >> 20, cache, free >> 20, CACHE),
            null);
      }
    }

    private Path digestOf(RemoteFiles.Found file) {
      return place
          .resolve("known")
          .resolve(Sha256.hex(identity(file).getBytes(StandardCharsets.UTF_8)));
    }

    /** The blob of a file that another snapshot has, too. */
    private Optional<Path> known(RemoteFiles.Found file, Path blobs) throws IOException {
      Path digest = digestOf(file);
      if (!Files.exists(digest)) {
        return Optional.empty();
      }
      Path blob = blobs.resolve(Files.readString(digest).strip());
      return Files.isRegularFile(blob) && Files.size(blob) == file.bytes()
          ? Optional.of(blob)
          : Optional.empty();
    }

    /** The blob of a file, named by what was read. */
    private Path fetch(RemoteFiles.Found file, Path blobs) throws IOException {
      Path growing = blobs.resolve(UUID.randomUUID() + ".incomplete");
      MessageDigest digest = sha256();
      try {
        long bytes = 0;
        try (InputStream in = new DigestInputStream(files.open(file), digest);
            OutputStream out = Files.newOutputStream(growing)) {
          byte[] buffer = new byte[COPY_BYTES];
          for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
            out.write(buffer, 0, count);
            bytes += count;
          }
        }
        if (bytes != file.bytes()) {
          throw new IOException(
              "%s has %d bytes, its listing says %d; was it replaced?"
                  .formatted(file.path(), bytes, file.bytes()));
        }
        Path blob = blobs.resolve(HexFormat.of().formatHex(digest.digest()));
        Files.move(
            growing, blob, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        Files.createDirectories(digestOf(file).getParent());
        Files.writeString(digestOf(file), blob.getFileName().toString());
        return blob;
      } finally {
        Files.deleteIfExists(growing);
      }
    }
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Java has no SHA-256.", e);
    }
  }
}
