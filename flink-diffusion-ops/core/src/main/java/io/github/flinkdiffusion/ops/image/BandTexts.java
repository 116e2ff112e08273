/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * What a file's texts say of single bands, as GDAL's metadata have it: a name, and behind bars the
 * band ({@code sample=0}) and what it is for GDAL ({@code role=scale}).
 */
@Internal
public final class BandTexts {
  private static final Pattern SAMPLE = Pattern.compile("\\|sample=(\\d{1,6})(?=\\||$)");

  private BandTexts() {}

  /** What a band's numbers are multiplied by to be what they measure; 1 if it is not said. */
  public static double scale(Map<String, String> texts, int band) {
    double scale = number(texts, band, "scale", 1);
    if (scale == 0) {
      throw new ImageException(
          "The TIFF file's scale of band B%d is 0; a number other than 0 is needed"
              .formatted(band + 1));
    }
    return scale;
  }

  /** What is added then; 0 if it is not said. */
  public static double offset(Map<String, String> texts, int band) {
    return number(texts, band, "offset", 0);
  }

  private static double number(Map<String, String> texts, int band, String role, double other) {
    for (Map.Entry<String, String> text : texts.entrySet()) {
      Matcher sample = SAMPLE.matcher(text.getKey());
      if (text.getKey().contains("|role=" + role)
          && sample.find()
          && Integer.parseInt(sample.group(1)) == band) {
        try {
          double number = Double.parseDouble(text.getValue().strip());
          if (Double.isFinite(number)) {
            return number;
          }
        } catch (NumberFormatException e) {
          // Said below.
        }
        throw new ImageException(
            "The TIFF file's %s of band B%d is '%s'; a finite number is needed"
                .formatted(role, band + 1, text.getValue()));
      }
    }
    return other;
  }

  /**
   * Texts of an image of some of the bands.
   *
   * @param bands from 0, in the new order
   */
  public static SortedMap<String, String> ofBands(Map<String, String> texts, List<Integer> bands) {
    SortedMap<String, String> others = withoutBands(texts);
    texts.forEach(
        (name, text) -> {
          Matcher sample = SAMPLE.matcher(name);
          if (sample.find()) {
            int band = Integer.parseInt(sample.group(1));
            for (int to = 0; to < bands.size(); to++) {
              if (bands.get(to) == band) {
                others.put(
                    name.substring(0, sample.start())
                        + "|sample="
                        + to
                        + name.substring(sample.end()),
                    text);
              }
            }
          }
        });
    return others;
  }

  /** Texts that are of no single band. */
  public static SortedMap<String, String> withoutBands(Map<String, String> texts) {
    SortedMap<String, String> others = new TreeMap<>(texts);
    others.keySet().removeIf(name -> SAMPLE.matcher(name).find());
    return others;
  }

  /** Without what was measured of the pixels themselves, which are not these any more. */
  public static SortedMap<String, String> withoutStatistics(Map<String, String> texts) {
    SortedMap<String, String> others = new TreeMap<>(texts);
    others.keySet().removeIf(name -> name.startsWith("STATISTICS_"));
    return others;
  }
}
