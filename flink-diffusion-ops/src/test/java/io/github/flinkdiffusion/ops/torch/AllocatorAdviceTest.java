/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AllocatorAdviceTest {
  private static final Map<String, String> COMPLETE =
      Map.of(
          "MALLOC_ARENA_MAX", "2", "MALLOC_MMAP_MAX_", "0", "MALLOC_TRIM_THRESHOLD_", "99999999");

  @Test
  void whatIsMissingIsNamedWithAValue() {
    assertThat(AllocatorAdvice.of(Map.of("MALLOC_ARENA_MAX", "1"), "Linux"))
        .hasValueSatisfying(
            advice ->
                assertThat(advice)
                    .contains(
                        "(glibc)",
                        "set MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 in",
                        "deploy/README.md"));
  }

  @Test
  void whatIsSetIsTheUsersOwn() {
    assertThat(AllocatorAdvice.of(COMPLETE, "Linux")).isEmpty();
  }

  @Test
  void jemallocHasSettingsOfItsOwn() {
    Map<String, String> environment = new HashMap<>(COMPLETE);
    environment.put("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/libjemalloc.so");
    assertThat(AllocatorAdvice.of(environment, "Linux"))
        .hasValueSatisfying(
            advice -> assertThat(advice).contains("(jemalloc)", "set MALLOC_CONF=oversize"));

    environment.put("MALLOC_CONF", "dirty_decay_ms:-1");
    assertThat(AllocatorAdvice.of(environment, "Linux")).isEmpty();
  }

  @Test
  void nothingIsSaidOfOthers() {
    assertThat(AllocatorAdvice.of(Map.of("LD_PRELOAD", "libtcmalloc.so.4"), "Linux")).isEmpty();
    assertThat(AllocatorAdvice.of(Map.of(), "Mac OS X")).isEmpty();
  }
}
