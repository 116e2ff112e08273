/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** The digest that a file of the hub is named by: SHA-256, or git's SHA-1 of a blob. */
final class ContentDigest {
  private final MessageDigest digest;

  private ContentDigest(MessageDigest digest) {
    this.digest = digest;
  }

  static ContentDigest of(HubFile file) {
    try {
      if (file.sha256().isPresent()) {
        return new ContentDigest(MessageDigest.getInstance("SHA-256"));
      }
      MessageDigest sha1 = MessageDigest.getInstance("SHA-1");
      sha1.update(("blob " + file.size() + "\0").getBytes(StandardCharsets.US_ASCII));
      return new ContentDigest(sha1);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Java has no SHA.", e);
    }
  }

  void add(ByteBuffer bytes) {
    digest.update(bytes);
  }

  /** In hexadecimal; ends this digest. */
  String hex() {
    return HexFormat.of().formatHex(digest.digest());
  }
}
