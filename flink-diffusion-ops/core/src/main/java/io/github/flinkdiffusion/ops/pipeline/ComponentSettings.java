/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;

/**
 * How single components of a model are loaded where that differs from the model.
 *
 * @param precisions by component, such as {@code text_encoder_3}
 * @param devices by component
 * @param unloadsTextEncoders whether a text encoder is in memory only while it encodes
 */
@Internal
public record ComponentSettings(
    SortedMap<String, Precision> precisions,
    SortedMap<String, DeviceSpec> devices,
    boolean unloadsTextEncoders) {
  /** All components as the model. */
  public static final ComponentSettings SAME =
      new ComponentSettings(new TreeMap<>(), new TreeMap<>(), false);

  private static final String TEXT_ENCODER = "text_encoder";

  public ComponentSettings {
    precisions = new TreeMap<>(precisions);
    devices = new TreeMap<>(devices);
  }

  public static ComponentSettings of(
      Map<String, Precision> precisions, Map<String, DeviceSpec> devices, boolean unloads) {
    return new ComponentSettings(new TreeMap<>(precisions), new TreeMap<>(devices), unloads);
  }

  /** Whether a component is unloaded after each use. */
  boolean unloads(String component) {
    return unloadsTextEncoders && component.startsWith(TEXT_ENCODER);
  }
}
