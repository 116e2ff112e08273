/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.nio.file.Path;
import java.util.Collections;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;

/**
 * LoRAs that requests may name ({@link Parameters#LORAS}).
 *
 * @param files by name
 * @param resident how many of them stay in memory; the least recently used one makes room
 */
@Internal
public record AdapterSettings(SortedMap<String, Path> files, int resident) {
  /** Most that may stay in memory. */
  public static final int MOST_RESIDENT = 1024;

  /** What a name may be. */
  public static final String NAME = "[A-Za-z0-9._-]{1,64}";

  public AdapterSettings {
    files = Collections.unmodifiableSortedMap(new TreeMap<>(files));
    if (files.isEmpty() || !files.keySet().stream().allMatch(name -> name.matches(NAME))) {
      throw new IllegalArgumentException(
          "LoRAs that requests may name are %s; there must be one, and a name has up to 64 letters, digits, and characters of '._-'."
              .formatted(files.keySet()));
    }
    if (resident < 1 || resident > MOST_RESIDENT) {
      throw new IllegalArgumentException(
          "%d resident LoRAs; it must be from 1 to %d.".formatted(resident, MOST_RESIDENT));
    }
  }
}
