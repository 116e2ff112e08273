/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;

/**
 * The classes that a model's {@code model_index.json} declares: {@code sample_target}, how a sample
 * means a class, one of {@code mask}, {@code one_hot} and {@code palette}; {@code labels}, names of
 * the classes by their numbers, which a mask may leave out; {@code palette}, a color of red, green
 * and blue, 0 to 255, for each class, which only samples of colors need; {@code background}, the
 * number of the class that is nothing in particular, 0 unless it says otherwise, -1 for none;
 * {@code minimum_region}, the pixels of the smallest area that is a region of the result, 1 unless
 * it says otherwise; and how sure an answer must be, see {@link MinimumCertainty}.
 */
final class DeclaredClasses {
  private static final String TARGET = "sample_target";
  private static final String LABELS = "labels";
  private static final String PALETTE = "palette";
  private static final String BACKGROUND = "background";
  private static final String MINIMUM_REGION = "minimum_region";

  /** A thousand by a thousand: what is larger is no speck. */
  private static final int MOST_LEAST_PIXELS = 1_000_000;

  private static final List<String> OF_A_MASK = List.of("background", "mask");

  private DeclaredClasses() {}

  /**
   * @param unet config of the denoising network
   * @param channels of its samples
   * @throws IllegalConfigException naming the key whose value does not fit
   */
  static ClassMap of(Config index, Config unet, int channels) {
    ClassMap.Encoding encoding = encoding(index);
    List<String> labels = labels(index, encoding);
    if (labels.size() < 2
        || labels.size() > ClassMap.MOST_CLASSES
        || encoding == ClassMap.Encoding.BINARY && labels.size() != 2) {
      throw index.unsupported(
          LABELS,
          index.node().get(LABELS),
          encoding == ClassMap.Encoding.BINARY
              ? "two names, of what is outside and what is inside"
              : "2 to %d names".formatted(ClassMap.MOST_CLASSES));
    }
    ClassMap map =
        new ClassMap(
            encoding,
            labels,
            palette(index, encoding, labels.size()),
            background(index, labels),
            leastPixels(index),
            MinimumCertainty.of(index, encoding));
    if (map.sampleChannels() != channels) {
      throw unet.unsupported(
          "out_channels",
          channels,
          "%d for %s".formatted(map.sampleChannels(), index.string(TARGET, "mask")));
    }
    return map;
  }

  private static ClassMap.Encoding encoding(Config index) {
    String target = index.string(TARGET, "mask");
    return switch (target) {
      case "mask" -> ClassMap.Encoding.BINARY;
      case "one_hot" -> ClassMap.Encoding.ONE_HOT;
      case "palette" -> ClassMap.Encoding.PALETTE;
      default -> throw index.unsupported(TARGET, target, "mask, one_hot, palette");
    };
  }

  private static List<String> labels(Config index, ClassMap.Encoding encoding) {
    return encoding == ClassMap.Encoding.BINARY
        ? index.strings(LABELS, OF_A_MASK)
        : index.strings(LABELS);
  }

  private static OptionalInt background(Config index, List<String> labels) {
    int background = index.integer(BACKGROUND, 0);
    if (background < -1 || background >= labels.size()) {
      throw index.unsupported(
          BACKGROUND,
          background,
          "the number of a class, 0 to %d, or -1 for none".formatted(labels.size() - 1));
    }
    return background < 0 ? OptionalInt.empty() : OptionalInt.of(background);
  }

  private static int leastPixels(Config index) {
    int pixels = index.integer(MINIMUM_REGION, 1);
    if (pixels < 1 || pixels > MOST_LEAST_PIXELS) {
      throw index.unsupported(
          MINIMUM_REGION, pixels, "a number of pixels, 1 to %d".formatted(MOST_LEAST_PIXELS));
    }
    return pixels;
  }

  private static List<Rgb> palette(Config index, ClassMap.Encoding encoding, int classes) {
    if (!index.has(PALETTE)) {
      if (encoding == ClassMap.Encoding.PALETTE) {
        throw index.unsupported(PALETTE, "missing", "a color for each of the labels");
      }
      return encoding == ClassMap.Encoding.BINARY
          ? ClassMap.binary("", "").palette()
          : ClassMap.colors(classes);
    }
    JsonNode declared = index.node().get(PALETTE);
    List<Rgb> palette = new ArrayList<>();
    for (JsonNode color : declared) {
      palette.add(color(index, color));
    }
    if (palette.size() != classes || new HashSet<>(palette).size() != classes) {
      throw index.unsupported(
          PALETTE, declared, "a color of its own for each of the %d labels".formatted(classes));
    }
    return palette;
  }

  private static Rgb color(Config index, JsonNode color) {
    boolean valid = color.isArray() && color.size() == 3;
    for (JsonNode band : color) {
      valid &= band.isIntegralNumber() && band.asLong() >= 0 && band.asLong() <= 255;
    }
    if (!valid) {
      throw index.unsupported(PALETTE, color, "lists of red, green and blue, each 0 to 255");
    }
    return new Rgb(color.get(0).intValue(), color.get(1).intValue(), color.get(2).intValue());
  }
}
