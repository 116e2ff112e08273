/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import io.github.flinkdiffusion.ops.credentials.AssetBytes.Range;
import java.io.IOException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Whether a file is the one that its active manifest was made for: its hash, without the manifest.
 */
final class DataBinding {
  private static final Map<String, String> DIGESTS =
      Map.of("sha256", "SHA-256", "sha384", "SHA-384", "sha512", "SHA-512");

  private final Manifest active;
  private final Statuses statuses;

  DataBinding(Manifest active, Statuses statuses) {
    this.active = active;
    this.statuses = statuses;
  }

  /** Says what it finds to the statuses. */
  void check(AssetBytes file) {
    List<SuperBox> hashes = active.assertionsOf(Labels.DATA_HASH);
    if (hashes.isEmpty()) {
      boolean other =
          active.references().stream().anyMatch(each -> each.url().contains("c2pa.hash."));
      statuses.failure(
          "claim.hardBindings.missing",
          Labels.uri(active.label()),
          other ? "only c2pa.hash.data is looked at" : "nothing binds it to the file");
    }
    if (hashes.size() > 1) {
      statuses.failure(
          "assertion.multipleHardBindings", Labels.uri(active.label()), "several bindings");
    }
    for (SuperBox box : hashes) {
      String uri = Labels.assertionUri(active.label(), box.label());
      Map<?, ?> hash = Manifest.map(box);
      List<Range> left = new ArrayList<>();
      for (Map<?, ?> range : Cbor.maps(hash, "exclusions")) {
        left.add(
            new Range(
                Cbor.get(range, "start", Long.class).orElse(-1L),
                Cbor.get(range, "length", Long.class).orElse(-1L)));
      }
      left.sort(Comparator.comparingLong(Range::start));
      if (left.size() > 1) {
        statuses.informational(
            "assertion.dataHash.additionalExclusionsPresent", uri, "further exclusions");
      }
      if (isSame(file, hash, left)) {
        statuses.success("assertion.dataHash.match", uri, "data hash valid");
      } else {
        statuses.failure("assertion.dataHash.mismatch", uri, "the file was changed");
      }
    }
  }

  private boolean isSame(AssetBytes file, Map<?, ?> hash, List<Range> left) {
    long end = 0;
    try {
      for (Range range : left) {
        if (range.start() < end
            || range.length() < 0
            || range.length() > file.size() - range.start()) {
          return false;
        }
        end = range.end();
      }
    } catch (IOException e) {
      throw new CredentialsException("The file cannot be read: " + e, e);
    }
    Optional<MessageDigest> digest =
        digest(Cbor.get(hash, "alg", String.class).orElse(active.algorithm()));
    Optional<byte[]> expected = Cbor.get(hash, "hash", byte[].class);
    if (digest.isEmpty() || expected.isEmpty()) {
      return false;
    }
    file.digestWithout(left, digest.get());
    return MessageDigest.isEqual(digest.get().digest(), expected.get());
  }

  /** Of an algorithm as manifests call it; empty for others than SHA-2. */
  static Optional<MessageDigest> digest(String algorithm) {
    try {
      String name = DIGESTS.get(algorithm);
      return name == null ? Optional.empty() : Optional.of(MessageDigest.getInstance(name));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java has SHA-2", e);
    }
  }
}
