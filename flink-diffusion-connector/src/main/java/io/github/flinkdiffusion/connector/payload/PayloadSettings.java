/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import java.io.Serializable;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;

/**
 * What {@link PayloadOptions} say, checked where the job is built and carried to its tasks.
 *
 * @param storeUri folder for large images; null for none, then all images stay in their events
 * @param inlineLimit largest image that stays in its event, when there is a store
 * @param allowedPrefixes folders below which referenced images may be read, beside the store
 * @param maxSize largest image that is read as a whole
 * @param readByRanges whether files of which parts can be read are neither fetched nor verified
 * @param keyFile with keys that payloads are encrypted with; null to store them as they are
 */
@Internal
public record PayloadSettings(
    String storeUri,
    MemorySize inlineLimit,
    List<String> allowedPrefixes,
    MemorySize maxSize,
    boolean readByRanges,
    String keyFile)
    implements Serializable {

  /**
   * @throws PayloadException when a URI is none that is accepted
   */
  public PayloadSettings {
    allowedPrefixes = List.copyOf(allowedPrefixes);
    if (storeUri != null) {
      checkFolder(PayloadOptions.STORE.key(), storeUri);
    }
    for (String prefix : allowedPrefixes) {
      checkFolder(PayloadOptions.ALLOWED_PREFIXES.key(), prefix);
    }
    if (maxSize.getBytes() < 1) {
      throw new PayloadException(
          PayloadException.Kind.SETTINGS,
          "%s is %s; set it to 1 byte or more.".formatted(PayloadOptions.MAX_SIZE.key(), maxSize));
    }
  }

  /** Settings with which every file is read as a whole and verified. */
  public PayloadSettings(
      String storeUri, MemorySize inlineLimit, List<String> allowedPrefixes, MemorySize maxSize) {
    this(storeUri, inlineLimit, allowedPrefixes, maxSize, false, null);
  }

  /** Settings without encryption. */
  public PayloadSettings(
      String storeUri,
      MemorySize inlineLimit,
      List<String> allowedPrefixes,
      MemorySize maxSize,
      boolean readByRanges) {
    this(storeUri, inlineLimit, allowedPrefixes, maxSize, readByRanges, null);
  }

  /**
   * @throws PayloadException when a URI is none that is accepted
   */
  public static PayloadSettings of(ReadableConfig config) {
    return new PayloadSettings(
        config.getOptional(PayloadOptions.STORE).orElse(null),
        config.get(PayloadOptions.INLINE_LIMIT),
        config.get(PayloadOptions.ALLOWED_PREFIXES),
        config.get(PayloadOptions.MAX_SIZE),
        config.get(PayloadOptions.READ_BY_RANGES),
        config.getOptional(PayloadOptions.KEY_FILE).orElse(null));
  }

  /** The store's folder, if there is one. */
  Optional<Location> store() {
    return Optional.ofNullable(storeUri).map(Location::parseFolder);
  }

  private static void checkFolder(String key, String uri) {
    try {
      Location.parseFolder(uri);
    } catch (PayloadException e) {
      throw new PayloadException(
          PayloadException.Kind.SETTINGS, "%s: %s".formatted(key, e.getMessage()), e);
    }
  }
}
