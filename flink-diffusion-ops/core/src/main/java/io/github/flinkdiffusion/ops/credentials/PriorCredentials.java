/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * What an input file says of itself: kept, so that the credentials of a result hold those of what
 * it was made of.
 *
 * @param mediaType of the file
 * @param manifests of its store, if it has one that can be read
 * @param active label of the last of them
 * @param verdict on them when they were taken over
 * @param problem why its credentials could not be taken over, if it has some
 */
@Internal
public record PriorCredentials(
    String mediaType,
    List<SuperBox> manifests,
    Optional<String> active,
    Optional<Verdict> verdict,
    Optional<String> problem) {

  /** Bytes of a store that is taken over. Thumbnails make them large. */
  private static final int MOST_BYTES = 8 << 20;

  private static final String UNKNOWN_TYPE = "application/octet-stream";

  /** Of a file that has none. */
  public static PriorCredentials none(String mediaType) {
    return new PriorCredentials(
        mediaType, List.of(), Optional.empty(), Optional.empty(), Optional.empty());
  }

  /** Of a file's bytes, whatever file it is. Never fails: inputs are anybody's. */
  public static PriorCredentials of(byte[] file) {
    try (AssetBytes bytes = AssetBytes.of(file)) {
      return of(bytes);
    } catch (IOException e) {
      return unread(e.toString());
    }
  }

  /** As the other. */
  public static PriorCredentials of(Path file) {
    try (AssetBytes bytes = AssetBytes.of(file)) {
      return of(bytes);
    } catch (IOException e) {
      return unread(e.toString());
    }
  }

  /** Of a file that is not looked at. */
  public static PriorCredentials unread(String problem) {
    return new PriorCredentials(
        UNKNOWN_TYPE, List.of(), Optional.empty(), Optional.empty(), Optional.of(problem));
  }

  private static PriorCredentials of(AssetBytes bytes) {
    String type = UNKNOWN_TYPE;
    try {
      Optional<AssetFormat> format = AssetFormat.of(bytes);
      if (format.isEmpty()) {
        return none(UNKNOWN_TYPE);
      }
      type = format.get().mediaType();
      Optional<AssetFormat.Found> found = format.get().find(bytes);
      if (found.isEmpty()) {
        return none(type);
      }
      if (found.get().store().length > MOST_BYTES) {
        throw new CredentialsException(
            "they have %d bytes; at most %d are kept"
                .formatted(found.get().store().length, MOST_BYTES));
      }
      Verdict verdict = new CredentialsVerifier().verify(bytes);
      return new PriorCredentials(
          type,
          SuperBox.read(found.get().store()).boxes(),
          verdict.manifest(),
          Optional.of(verdict),
          Optional.empty());
    } catch (CredentialsException | IOException e) {
      return new PriorCredentials(
          type, List.of(), Optional.empty(), Optional.empty(), Optional.of(e.getMessage()));
    }
  }
}
