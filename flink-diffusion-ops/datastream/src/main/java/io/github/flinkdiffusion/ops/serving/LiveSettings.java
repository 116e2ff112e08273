/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.imaging.FrameSimilarity;
import java.io.Serializable;
import java.time.Duration;
import java.util.Optional;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/**
 * {@link LiveOptions} read and checked, as they travel to the task managers.
 *
 * @param similarity null when every frame is generated
 */
@Internal
public record LiveSettings(
    boolean enabled,
    double blend,
    Double similarity,
    int maxRepeats,
    long ttlMillis,
    int maxStreams)
    implements Serializable {

  /**
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  public static LiveSettings of(ReadableConfig config) {
    double blend = config.get(LiveOptions.BLEND);
    if (!(blend >= 0 && blend < 1)) {
      throw DiffusionSettings.refused(LiveOptions.BLEND, blend, "a number from 0 and below 1");
    }
    Double similarity = config.get(LiveOptions.SIMILARITY);
    if (similarity != null && !(similarity >= 0 && similarity < 1)) {
      throw DiffusionSettings.refused(
          LiveOptions.SIMILARITY, similarity, "a number from 0 and below 1, or none");
    }
    Duration ttl = config.get(LiveOptions.TTL);
    if (ttl.compareTo(Duration.ofSeconds(1)) < 0 || ttl.compareTo(Duration.ofDays(365)) > 0) {
      throw DiffusionSettings.refused(LiveOptions.TTL, ttl, "a time from 1 s to a year");
    }
    return new LiveSettings(
        config.get(LiveOptions.ENABLED),
        blend,
        similarity,
        DiffusionSettings.atLeast(1, LiveOptions.MAX_REPEATS, config),
        ttl.toMillis(),
        DiffusionSettings.atLeast(1, LiveOptions.MAX_STREAMS, config));
  }

  /** Which frames are answered with an earlier result. */
  public Optional<FrameSimilarity> filter() {
    return Optional.ofNullable(similarity)
        .map(threshold -> new FrameSimilarity(threshold, maxRepeats));
  }

  /** Whether a frame needs to know of the one before it more than its seed. */
  public boolean looksBack() {
    return blend > 0 || similarity != null;
  }
}
