/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a process's environment should say about memory when networks run on its CPU.
 *
 * <p>libtorch takes memory for each layer's result and returns it at once. An allocator that hands
 * it back to the kernel makes every step map and clear those pages again, up to a third of its
 * time. It can be told only before the process starts, so all that can be done here is to say so.
 */
final class AllocatorAdvice {
  private static final Logger LOG = LoggerFactory.getLogger(AllocatorAdvice.class);
  private static final AtomicBoolean GIVEN = new AtomicBoolean();

  private static final Map<String, String> GLIBC =
      Map.of(
          "MALLOC_ARENA_MAX", "1",
          "MALLOC_MMAP_MAX_", "0",
          "MALLOC_TRIM_THRESHOLD_", "17179869184");
  private static final Map<String, String> JEMALLOC =
      Map.of("MALLOC_CONF", "oversize_threshold:0,dirty_decay_ms:-1,muzzy_decay_ms:-1");

  private AllocatorAdvice() {}

  /** Logs the advice, once a process. */
  static void give() {
    if (GIVEN.compareAndSet(false, true)) {
      of(System.getenv(), System.getProperty("os.name")).ifPresent(LOG::warn);
    }
  }

  /**
   * @param environment of the process
   * @param os as {@code os.name}
   * @return what to set, if anything is missing
   */
  static Optional<String> of(Map<String, String> environment, String os) {
    String preloaded = environment.getOrDefault("LD_PRELOAD", "");
    boolean jemalloc = preloaded.contains("jemalloc");
    if (!os.equals("Linux") || (!jemalloc && preloaded.contains("malloc"))) {
      return Optional.empty(); // another allocator, which nobody has measured
    }
    List<String> missing = new ArrayList<>();
    (jemalloc ? JEMALLOC : GLIBC)
        .forEach(
            (name, value) -> {
              if (!environment.containsKey(name)) {
                missing.add(name + "=" + value);
              }
            });
    return missing.isEmpty()
        ? Optional.empty()
        : Optional.of(
            "Networks run on this process's CPU, and its allocator (%s) gives their memory back to the kernel after each layer, which can take a third of a step's time; set %s in the process's environment (deploy/README.md, On the CPU)."
                .formatted(
                    jemalloc ? "jemalloc" : "glibc",
                    String.join(" ", missing.stream().sorted().toList())));
  }
}
