/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;

/** What brackets, weights and capital words in a prompt mean. */
@Internal
public enum PromptLanguage {
  /** Nothing: a prompt is its words, as in diffusers. */
  PLAIN("plain"),
  /** What they mean in AUTOMATIC1111's web UI. */
  A1111("a1111"),
  /** What they mean in the Python library Compel. */
  COMPEL("compel");

  private final String requested;

  PromptLanguage(String requested) {
    this.requested = requested;
  }

  /** The language that a request names so. */
  public static Optional<PromptLanguage> named(String name) {
    return Arrays.stream(values()).filter(each -> each.requested.equals(name)).findFirst();
  }

  /** All names, for messages. */
  public static String names() {
    return Arrays.stream(values()).map(each -> each.requested).collect(Collectors.joining(" or "));
  }
}
