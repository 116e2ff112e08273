/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * One file of a commit.
 *
 * @param path within the repository
 * @param size in bytes
 * @param gitId git's SHA-1 of the blob: of the file itself, or of the pointer to a large one
 * @param sha256 of a large file
 * @param xetHash another digest of a large file; not used here, kept for Python
 */
record HubFile(
    String path, long size, String gitId, Optional<String> sha256, Optional<String> xetHash) {
  private static final Pattern SHA1 = Pattern.compile("[0-9a-f]{40}");
  private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");

  HubFile {
    if (!HubName.isPath(path)) {
      throw new IllegalArgumentException("'" + path + "' is no path");
    }
    if (size < 0 || !SHA1.matcher(gitId).matches()) {
      throw new IllegalArgumentException(
          "file '%s' has size %d and id '%s'".formatted(path, size, gitId));
    }
    if (!sha256.map(digest -> SHA256.matcher(digest).matches()).orElse(true)) {
      throw new IllegalArgumentException(
          "file '%s' has SHA-256 '%s'".formatted(path, sha256.get()));
    }
    xetHash = xetHash.filter(hash -> SHA256.matcher(hash).matches());
  }

  /** An entry of the hub's listing; empty for a folder. */
  static Optional<HubFile> ofListing(JsonNode entry) {
    if (!entry.path("type").asText().equals("file")) {
      return Optional.empty();
    }
    JsonNode large = entry.path("lfs");
    return Optional.of(
        new HubFile(
            entry.path("path").asText(),
            (large.has("size") ? large : entry).path("size").asLong(-1),
            entry.path("oid").asText(),
            text(large, "oid"),
            text(entry, "xetHash")));
  }

  /** An entry of a listing in the cache. */
  static HubFile ofCache(String path, JsonNode entry) {
    return new HubFile(
        path,
        (entry.has("lfs_size") ? entry.path("lfs_size") : entry.path("size")).asLong(-1),
        entry.path("blob_id").asText(),
        text(entry, "lfs_sha256"),
        text(entry, "xet_hash"));
  }

  ObjectNode toCache() {
    ObjectNode entry = JsonNodeFactory.instance.objectNode();
    entry.put("size", size).put("blob_id", gitId);
    sha256.ifPresent(digest -> entry.put("lfs_sha256", digest).put("lfs_size", size));
    xetHash.ifPresent(hash -> entry.put("xet_hash", hash));
    return entry;
  }

  /** Its name among the blobs of the cache, which is the digest of its content. */
  String blob() {
    return sha256.orElse(gitId);
  }

  private static Optional<String> text(JsonNode node, String key) {
    return Optional.ofNullable(node.path(key).textValue());
  }
}
