/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.ValueRange;
import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import io.github.flinkdiffusion.ops.imaging.Scene;
import io.github.flinkdiffusion.ops.imaging.Selection;
import java.io.Serializable;
import java.util.List;
import java.util.OptionalInt;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;

/**
 * {@link ImageTaskOptions} read and checked, as they travel to the task managers. References may be
 * null where the option has no default.
 */
@Internal
public record ImageSettings(
    int ensembleSize,
    List<Integer> bands,
    Double blackValue,
    Double whiteValue,
    Double notFiniteAs,
    boolean patientData,
    long maxPixels,
    int maxSlices,
    long memoryBytes,
    Long maxDecodedBytes,
    Integer tile,
    Integer overlap,
    int partsInFlight,
    ResultFormat format)
    implements Serializable {
  private static final Pattern RANGE =
      Pattern.compile("\\s*([-+.\\deE]+?)\\s*\\.\\.\\s*([-+.\\deE]+)\\s*");

  /** Options whose values show in results, so that audit records hold them. */
  public static final List<ConfigOption<?>> SHOWING_IN_RESULTS =
      List.of(
          ImageTaskOptions.BANDS,
          ImageTaskOptions.VALUE_RANGE,
          ImageTaskOptions.NOT_FINITE_AS,
          ImageTaskOptions.TILE_SIZE,
          ImageTaskOptions.TILE_OVERLAP,
          ImageTaskOptions.FORMAT);

  /**
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  public static ImageSettings of(ReadableConfig config) {
    ValueRange range = range(config);
    Integer tile = config.get(ImageTaskOptions.TILE_SIZE);
    if (tile != null && tile < 1) {
      throw DiffusionSettings.refused(ImageTaskOptions.TILE_SIZE, tile, "a number from 1");
    }
    Integer overlap = config.get(ImageTaskOptions.TILE_OVERLAP);
    if (overlap != null && (overlap < 0 || tile != null && overlap > tile / 2)) {
      throw DiffusionSettings.refused(
          ImageTaskOptions.TILE_OVERLAP, overlap, "a number from 0 to half a tile");
    }
    List<Integer> bands = config.getOptional(ImageTaskOptions.BANDS).orElse(List.of());
    return new ImageSettings(
        atLeast(ImageTaskOptions.ENSEMBLE_SIZE, config),
        List.copyOf(bands),
        range == null ? null : range.low(),
        range == null ? null : range.high(),
        config.get(ImageTaskOptions.NOT_FINITE_AS),
        config.get(ImageTaskOptions.PATIENT_DATA),
        config.get(ImageTaskOptions.MAX_PIXELS),
        atLeast(ImageTaskOptions.MAX_SLICES, config),
        config.get(ImageTaskOptions.MEMORY).getBytes(),
        config
            .getOptional(ImageTaskOptions.MAX_DECODED_SIZE)
            .map(MemorySize::getBytes)
            .orElse(null),
        tile,
        overlap,
        atLeast(ImageTaskOptions.PARTS_IN_FLIGHT, config),
        config.get(ImageTaskOptions.FORMAT));
  }

  private static ValueRange range(ReadableConfig config) {
    String text = config.get(ImageTaskOptions.VALUE_RANGE);
    if (text == null) {
      return null;
    }
    Matcher matcher = RANGE.matcher(text);
    try {
      if (matcher.matches()) {
        return new ValueRange(
            Double.parseDouble(matcher.group(1)), Double.parseDouble(matcher.group(2)));
      }
    } catch (NumberFormatException | ImageException e) {
      // said below
    }
    throw DiffusionSettings.refused(
        ImageTaskOptions.VALUE_RANGE, text, "two different numbers such as 0..10000");
  }

  private static int atLeast(ConfigOption<Integer> option, ReadableConfig config) {
    int value = config.get(option);
    if (value < 1) {
      throw DiffusionSettings.refused(option, value, "a number from 1");
    }
    return value;
  }

  /** For images beside the one that is worked on, whose bands and numbers are their own. */
  public ImageSettings withoutBandsAndRange() {
    return new ImageSettings(
        ensembleSize,
        List.of(),
        null,
        null,
        notFiniteAs,
        patientData,
        maxPixels,
        maxSlices,
        memoryBytes,
        maxDecodedBytes,
        tile,
        overlap,
        partsInFlight,
        format);
  }

  public OptionalInt tileSize() {
    return tile == null ? OptionalInt.empty() : OptionalInt.of(tile);
  }

  public OptionalInt tileOverlap() {
    return overlap == null ? OptionalInt.empty() : OptionalInt.of(overlap);
  }

  public ReadOptions reading() {
    ReadOptions options = ReadOptions.DEFAULT;
    if (notFiniteAs != null) {
      options = options.replacingNotFinite(notFiniteAs);
    }
    if (blackValue != null) {
      options = options.withRangeGiven();
    }
    return patientData ? options.withPatientData() : options;
  }

  /** The scene over the range that was set, if one was. */
  public Scene ranged(Scene scene) {
    return blackValue == null
        ? scene.asTheFileSays()
        : scene.over(new ValueRange(blackValue, whiteValue));
  }

  /** As {@link #ranged(Scene)}, unless the request says itself what is black and white. */
  public Scene ranged(Scene scene, Selection selection) {
    return selection.range().isPresent() ? scene : ranged(scene);
  }

  /** The values of {@link #SHOWING_IN_RESULTS}, by the options' names. */
  public SortedMap<String, String> parameters() {
    SortedMap<String, String> parameters = new TreeMap<>();
    if (!bands.isEmpty()) {
      parameters.put(
          ImageTaskOptions.BANDS.key(),
          bands.stream().map(Object::toString).collect(Collectors.joining(";")));
    }
    if (blackValue != null) {
      parameters.put(ImageTaskOptions.VALUE_RANGE.key(), blackValue + ".." + whiteValue);
    }
    if (notFiniteAs != null) {
      parameters.put(ImageTaskOptions.NOT_FINITE_AS.key(), notFiniteAs.toString());
    }
    if (tile != null) {
      parameters.put(ImageTaskOptions.TILE_SIZE.key(), tile.toString());
    }
    if (overlap != null) {
      parameters.put(ImageTaskOptions.TILE_OVERLAP.key(), overlap.toString());
    }
    parameters.put(ImageTaskOptions.FORMAT.key(), format.toString());
    return parameters;
  }
}
