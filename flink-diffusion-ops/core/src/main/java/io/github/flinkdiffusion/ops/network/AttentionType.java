/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.annotation.Internal;

/** {@code attention_type}: whether transformers may see objects in their places (GLIGEN). */
@Internal
public enum AttentionType {
  DEFAULT("default"),
  /** Objects that phrases describe. */
  GATED("gated"),
  /** Objects that phrases or images describe. */
  GATED_TEXT_IMAGE("gated-text-image");

  private final String text;

  AttentionType(String text) {
    this.text = text;
  }

  static AttentionType from(Config config) {
    List<String> names = Arrays.stream(values()).map(type -> type.text).toList();
    String name = ConfigValues.oneOf(config, "attention_type", DEFAULT.text, names);
    AttentionType type = values()[names.indexOf(name)];
    if (type != DEFAULT && config.node().path("cross_attention_dim").isArray()) {
      throw config.unsupported(
          "cross_attention_dim",
          config.node().get("cross_attention_dim"),
          "one number together with a gated attention_type");
    }
    return type;
  }
}
