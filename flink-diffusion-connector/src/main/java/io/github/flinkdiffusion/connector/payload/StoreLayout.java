/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.core.fs.Path;

/**
 * Names in a store: {@code 1f/1f82...} holds the bytes with that SHA-256. Beside it there may be
 * {@code 1f82....used}, written when an old payload got a new event, and {@code
 * .1f82....inprogress.*} from a writer at work or one that died.
 *
 * <p>256 folders, since some file systems become slow with a million files in one.
 */
final class StoreLayout {
  private static final Pattern DIGEST = Pattern.compile("[0-9a-f]{64}");
  private static final Pattern FOLDER = Pattern.compile("[0-9a-f]{2}");
  private static final Pattern MARK = Pattern.compile("([0-9a-f]{64})\\.used");
  private static final Pattern UNFINISHED = Pattern.compile("\\.[0-9a-f]{64}\\.inprogress\\..+");

  private final Location store;

  StoreLayout(Location store) {
    this.store = store;
  }

  static boolean isDigest(String text) {
    return DIGEST.matcher(text).matches();
  }

  /** True for the name of a folder that payloads are in. */
  static boolean isFolder(String name) {
    return FOLDER.matcher(name).matches();
  }

  /** The digest of the payload that the file of this name marks as used; empty for other names. */
  static Optional<String> marked(String name) {
    Matcher mark = MARK.matcher(name);
    return mark.matches() ? Optional.of(mark.group(1)) : Optional.empty();
  }

  /** True for what a writer has not finished. */
  static boolean isUnfinished(String name) {
    return UNFINISHED.matcher(name).matches();
  }

  Path root() {
    return store.toPath();
  }

  /** URI of a payload as references have it. */
  String uri(String digest) {
    return place(digest).toString();
  }

  Path payload(String digest) {
    return place(digest).toPath();
  }

  private Location place(String digest) {
    return store.child(digest.substring(0, 2), digest);
  }

  Path mark(String digest) {
    return payload(digest).suffix(".used");
  }

  /** As Flink's recoverable writers call theirs, so that all leftovers look alike. */
  Path unfinished(String digest, String unique) {
    Path payload = payload(digest);
    return new Path(payload.getParent(), "." + digest + ".inprogress." + unique);
  }
}
