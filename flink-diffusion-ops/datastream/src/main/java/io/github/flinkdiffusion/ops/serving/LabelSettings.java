/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.TextLabel;
import io.github.flinkdiffusion.ops.imaging.Audit;
import java.io.Serializable;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/**
 * Whether results get a visible label, and which.
 *
 * @param text null for none
 */
@Internal
public record LabelSettings(String text) implements Serializable {
  private static final int MOST_CHANNELS = 4;

  static LabelSettings of(ReadableConfig config) {
    String text = config.get(DiffusionOptions.LABEL_TEXT);
    if (text != null && !TextLabel.isText(text)) {
      throw new DiffusionException(
          "Invalid value '%s' for option %s: expected 1 to %d characters of ASCII"
              .formatted(text, DiffusionOptions.LABEL_TEXT.key(), TextLabel.MOST_CHARACTERS));
    }
    return new LabelSettings(text);
  }

  /** A result's record, with the label's text where it gets one. */
  Audit in(Audit audit, int channels, int height, int width) {
    if (text == null || channels > MOST_CHANNELS || !TextLabel.fits(text, height, width)) {
      return audit;
    }
    SortedMap<String, String> parameters = new TreeMap<>(audit.parameters());
    parameters.put(DiffusionOptions.LABEL_TEXT.key(), text);
    return audit.withParameters(parameters);
  }

  /** The result with the label that its record has. */
  Raster draw(Raster result, Audit audit) {
    String label = audit.parameters().get(DiffusionOptions.LABEL_TEXT.key());
    return text == null || label == null ? result : TextLabel.draw(result, label);
  }
}
