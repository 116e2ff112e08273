/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import io.github.flinkdiffusion.ops.weights.ModelFiles;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Models of Hugging Face's hub, or of another server of its protocol, as folders on this machine.
 * What the cache holds is not downloaded again. A branch or tag is looked up each time; without
 * network, it is the commit that it was when it was last looked up. A commit needs no network once
 * its files are there, and is the same everywhere and for ever.
 */
@Internal
public final class Hub {
  private static final Logger LOG = LoggerFactory.getLogger(Hub.class);

  /**
   * Of asking for a branch that is known: a task's restart is not to wait for a hub that is down.
   */
  private static final int HASTY_ATTEMPTS = 2;

  private final HubSettings settings;
  private final HubClient client;
  private final HubProgress progress;

  Hub(HubSettings settings, HubProgress progress) {
    this.settings = settings;
    this.client = new HubClient(settings);
    this.progress = progress;
  }

  /**
   * The hub that this process's environment names: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN,
   * HF_HUB_OFFLINE. A Java system property of such a name wins. Says its progress in the log.
   *
   * @throws HubException naming the variable that is wrong
   */
  public static Hub standard() {
    return standard(new LoggedProgress());
  }

  /** As {@link #standard()}, with another listener. */
  public static Hub standard(HubProgress progress) {
    return new Hub(
        HubSettings.of(environment(), Path.of(System.getProperty("user.home"))), progress);
  }

  private static Map<String, String> environment() {
    Map<String, String> environment = new HashMap<>(System.getenv());
    System.getProperties().stringPropertyNames().stream()
        .filter(name -> name.startsWith("HF_"))
        .forEach(name -> environment.put(name, System.getProperty(name)));
    return environment;
  }

  /** The {@link #file} that a name names, or the {@link #model}. */
  public Path locate(HubName name, HubWants wants) {
    return name.isFile() ? file(name) : model(name, wants);
  }

  /**
   * Downloads what is missing of a model.
   *
   * @return its folder, in diffusers' layout
   * @throws HubException if it cannot be had
   * @throws WeightsException if its {@code model_index.json} is invalid, or no component has the
   *     variant
   */
  public Path model(HubName name, HubWants wants) {
    if (name.isFile()) {
      throw HubException.lasting(
          "%s names a file; a model is hf://owner/name or hf://owner/name@revision"
              .formatted(name));
    }
    Commit commit = commit(name);
    if (commit.files.isEmpty()) {
      return asItIs(commit, ModelFiles.INDEX);
    }
    requireIndex(commit);
    bring(commit, List.of(ModelFiles.INDEX));
    Path snapshot = commit.folder();
    ModelFiles files =
        ModelFiles.of(
            snapshot.resolve(ModelFiles.INDEX),
            commit.files.get().keySet(),
            wants.variant(),
            wants.without(),
            wants.configsAlone());
    SortedSet<String> small = new TreeSet<>(files.small());
    if (wants.weights()) {
      files
          .pickled()
          .forEach(
              (component, pickled) ->
                  LOG.warn(
                      "{}: component {} has only pickled weights, which are not downloaded: {}",
                      name,
                      component,
                      pickled));
    } else {
      small.removeAll(files.indexes());
    }
    bring(commit, small);
    if (wants.weights()) {
      SortedSet<String> weights = new TreeSet<>(files.weights());
      files.indexes().forEach(index -> weights.addAll(ModelFiles.shards(snapshot, index)));
      bring(commit, weights);
    }
    commit.remember();
    return snapshot;
  }

  /**
   * Downloads one safetensors file, if it is not there.
   *
   * @throws HubException if it cannot be had
   */
  public Path file(HubName name) {
    if (!name.isSafetensors()) {
      throw HubException.lasting(
          "%s does not name a .safetensors file, and others are not read; expected hf://owner/name/file.safetensors"
              .formatted(name));
    }
    Commit commit = commit(name);
    String path = name.file().orElseThrow();
    if (commit.files.isEmpty()) {
      return asItIs(commit, path).resolve(path);
    }
    bring(commit, List.of(path));
    commit.remember();
    return commit.folder().resolve(path);
  }

  /**
   * What is known of a commit.
   *
   * @param files of it; empty if there is no network and they have not been listed
   */
  private record Commit(
      HubName name, String hash, HubCache cache, Optional<SortedMap<String, HubFile>> files) {
    Path folder() {
      return cache.snapshot(hash);
    }

    void remember() {
      cache.remember(name.revision(), hash);
    }
  }

  private Commit commit(HubName name) {
    HubCache cache = new HubCache(settings.cache(), name.repository());
    String hash = hash(name, cache);
    Optional<SortedMap<String, HubFile>> files = cache.tree(hash);
    if (files.isEmpty() && !settings.offline()) {
      try {
        SortedMap<String, HubFile> listed = new TreeMap<>();
        client.tree(name, hash).forEach(file -> listed.put(file.path(), file));
        cache.remember(hash, listed);
        files = Optional.of(listed);
      } catch (HubException e) {
        if (!e.mayPass()
            || Thread.currentThread().isInterrupted()
            || !Files.isDirectory(cache.snapshot(hash))) {
          throw e;
        }
        LOG.warn("Using {} as it is in the cache: {}", name, e.getMessage());
      }
    }
    return new Commit(name, hash, cache, files);
  }

  private String hash(HubName name, HubCache cache) {
    if (HubName.isCommit(name.revision())) {
      return name.revision();
    }
    Optional<String> known = cache.commit(name.revision());
    if (settings.offline()) {
      return known.orElseThrow(
          () ->
              HubException.lasting(
                  "%s is not in the cache %s, and HF_HUB_OFFLINE forbids to download it. Unset HF_HUB_OFFLINE, or run examples/model download %s where there is a network and copy the cache."
                      .formatted(name, settings.cache(), name)));
    }
    try {
      return known.isPresent()
          ? new HubClient(settings.withAttempts(Math.min(settings.attempts(), HASTY_ATTEMPTS)))
              .commit(name)
          : client.commit(name);
    } catch (HubException e) {
      if (!e.mayPass() || known.isEmpty() || Thread.currentThread().isInterrupted()) {
        throw e;
      }
      LOG.warn(
          "Using {} as it was when it was last looked up, at commit {}: {}",
          name,
          known.get(),
          e.getMessage());
      return known.get();
    }
  }

  /** A snapshot whose files have never been listed: Python's older versions list none. */
  private Path asItIs(Commit commit, String needed) {
    Path folder = commit.folder();
    if (!Files.isRegularFile(folder.resolve(needed))) {
      throw HubException.lasting(
          "%s: '%s' is not in the cache (%s), and HF_HUB_OFFLINE forbids to download it"
              .formatted(commit.name, needed, folder));
    }
    return folder;
  }

  private static void requireIndex(Commit commit) {
    SortedMap<String, HubFile> files = commit.files.orElseThrow();
    if (files.containsKey(ModelFiles.INDEX)) {
      return;
    }
    List<String> single =
        files.keySet().stream().filter(path -> path.endsWith(".safetensors")).limit(5).toList();
    throw HubException.lasting(
        "%s is not a model in diffusers' layout: it has no %s.%s"
            .formatted(
                commit.name,
                ModelFiles.INDEX,
                single.isEmpty()
                    ? " Look for a repository that diffusers' from_pretrained opens."
                    : " If a single file is the model, name it: %s/%s (there are: %s)."
                        .formatted(commit.name, single.get(0), String.join(", ", single))));
  }

  private void bring(Commit commit, Collection<String> paths) {
    List<HubFile> wanted = new ArrayList<>();
    for (String path : paths) {
      HubFile file = commit.files.orElseThrow().get(path);
      if (file == null) {
        throw HubException.lasting(
            "%s: the repository has no file '%s' at '%s'"
                .formatted(commit.name, path, commit.name.revision()));
      }
      wanted.add(file);
    }
    if (missing(commit, wanted).isEmpty()) {
      return;
    }
    if (settings.offline()) {
      throw HubException.lasting(
          "%s: %s are not in the cache %s, and HF_HUB_OFFLINE forbids to download them"
              .formatted(
                  commit.name,
                  missing(commit, wanted).stream().map(HubFile::path).limit(5).toList(),
                  settings.cache()));
    }
    try (CacheLock lock = CacheLock.take(commit.cache.lock())) {
      // Somebody else may have brought them meanwhile.
      download(commit, missing(commit, wanted));
    } catch (IOException e) {
      throw HubException.passing(
          "Cannot write %s to the cache %s: %s. Check its permissions, or set HF_HOME to another folder."
              .formatted(commit.name, settings.cache(), e),
          e);
    } catch (InterruptedException e) {
      throw HubClient.interrupted(commit.name.toString(), e);
    }
  }

  private static List<HubFile> missing(Commit commit, List<HubFile> wanted) {
    return wanted.stream().filter(file -> !commit.cache.has(commit.hash, file)).toList();
  }

  private void download(Commit commit, List<HubFile> files)
      throws IOException, InterruptedException {
    HubCache cache = commit.cache;
    Files.createDirectories(cache.folder().resolve("blobs"));
    long total = files.stream().mapToLong(HubFile::size).sum();
    requireSpace(commit, files);
    long done = 0;
    for (HubFile file : files) {
      if (!cache.hasBlob(file)) {
        long before = done;
        String what = commit.name + " " + file.path();
        client.download(
            commit.name,
            commit.hash,
            file,
            cache.partial(file),
            cache.blob(file),
            bytes -> progress.at(what, before + bytes, Math.max(1, total)));
      }
      cache.show(commit.hash, file);
      done += file.size();
      progress.at(commit.name + " " + file.path(), done, Math.max(1, total));
    }
  }

  private static void requireSpace(Commit commit, List<HubFile> files) throws IOException {
    long needed = 0;
    for (HubFile file : files) {
      Path partial = commit.cache.partial(file);
      if (!commit.cache.hasBlob(file)) {
        needed += file.size() - (Files.exists(partial) ? Files.size(partial) : 0);
      }
    }
    long free = Files.getFileStore(commit.cache.folder()).getUsableSpace();
    if (needed > free) {
      throw HubException.passing(
          "%s needs %d MiB more in %s, where %d MiB are free. Free space there, or set HF_HOME to a folder on another disk."
              .formatted(commit.name, needed >> 20, commit.cache.folder(), free >> 20),
          null);
    }
  }
}
