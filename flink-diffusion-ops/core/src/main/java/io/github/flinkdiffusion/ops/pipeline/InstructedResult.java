/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;

/**
 * What the pictures of a model mean that does vision tasks by instruction (InstructCV, Gan et al.
 * 2023): "segment the dog" gives the dog in white on black, "detect the dog" the picture with boxes
 * around dogs, in blue if the model was trained on COCO and in red if it was on VOC. The
 * instruction is free text, so the request says what it asks for.
 */
final class InstructedResult {
  static final String PICTURE = "picture";
  static final String MASK = "mask";
  static final String BOXES = "boxes";

  private static final Rgb BLACK = new Rgb(0, 0, 0);
  private static final Rgb WHITE = new Rgb(255, 255, 255);
  private static final Rgb BLUE = new Rgb(0, 0, 255);
  private static final String KEY = "result";
  private static final List<String> NAMES = List.of(PICTURE, MASK, BOXES);

  private final String own;

  private InstructedResult(String own) {
    this.own = own;
  }

  /** With what the model's {@code model_index.json} says under {@code result}, if anything. */
  static InstructedResult of(Config index) {
    String own = index.string(KEY, PICTURE);
    if (!NAMES.contains(own)) {
      throw index.unsupported(KEY, own, String.join(", ", NAMES));
    }
    return new InstructedResult(own);
  }

  Signature describe(Signature signature) {
    return signature
        .withDefault(Parameters.RESULT, own)
        .optional(Parameters.LABELS)
        .optional(Parameters.COLORS);
  }

  /**
   * @throws InvalidRequestException when labels and colors do not fit each other or the result
   */
  void check(GenerationRequest request) {
    meaning(request.arguments());
  }

  ResultMeaning meaning(Arguments request) {
    String result = request.has(Parameters.RESULT) ? request.get(Parameters.RESULT) : own;
    if (result.equals(PICTURE)) {
      if (request.has(Parameters.LABELS) || request.has(Parameters.COLORS)) {
        throw new InvalidRequestException(
            "The request has labels or colors, and its result is a picture; they say how a mask or boxes are read.");
      }
      return ResultMeaning.PICTURE;
    }
    List<String> labels = labels(request);
    return result.equals(MASK)
        ? ResultMeaning.classes(classes(labels, colors(request, labels, WHITE)))
        : ResultMeaning.boxes(new BoxStyle(colors(request, labels, BLUE), labels));
  }

  private static List<String> labels(Arguments request) {
    String text = request.has(Parameters.LABELS) ? request.get(Parameters.LABELS) : "object";
    List<String> labels = Arrays.stream(text.split(";", -1)).map(String::strip).toList();
    if (labels.contains("") || labels.size() >= ClassMap.MOST_CLASSES) {
      throw new InvalidRequestException(
          "labels has %d names or a blank one; it must be 1 to %d names."
              .formatted(labels.size(), ClassMap.MOST_CLASSES - 1));
    }
    return labels;
  }

  private static ClassMap classes(List<String> labels, List<Rgb> colors) {
    if (colors.contains(BLACK)) {
      throw new InvalidRequestException("colors has black, which is what no label is about.");
    }
    List<String> all = new ArrayList<>(List.of("background"));
    all.addAll(labels);
    List<Rgb> palette = new ArrayList<>(List.of(BLACK));
    palette.addAll(colors);
    return new ClassMap(ClassMap.Encoding.PALETTE, all, palette, OptionalInt.of(0));
  }

  private static List<Rgb> colors(Arguments request, List<String> labels, Rgb ofOne) {
    Numbers numbers = request.get(Parameters.COLORS);
    if (numbers == null && labels.size() == 1) {
      return List.of(ofOne);
    }
    if (numbers == null || numbers.size() != 3 * labels.size()) {
      throw new InvalidRequestException(
          "colors has %d numbers; it must be red, green and blue for each of the %d labels."
              .formatted(numbers == null ? 0 : numbers.size(), labels.size()));
    }
    List<Rgb> colors = new ArrayList<>();
    for (int i = 0; i < numbers.size(); i += 3) {
      colors.add(new Rgb((int) numbers.at(i), (int) numbers.at(i + 1), (int) numbers.at(i + 2)));
    }
    if (new HashSet<>(colors).size() != colors.size()) {
      throw new InvalidRequestException("colors has one color twice; each label needs its own.");
    }
    return colors;
  }
}
