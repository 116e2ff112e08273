/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.detection;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.examples.detection.BoxPicture.Labeled;
import io.github.flinkdiffusion.examples.evaluation.EvaluationException;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Box;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Found;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Truth;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * How good the boxes are that {@code examples/detect} found: their average precision, as COCO
 * measures it, and the boxes in COCO's format for other tools.
 */
public final class BoxReport {
  private static final int SHEET_COLUMNS = 8;
  private static final int SHEET_IMAGES = 24;
  private static final int SHEET_PICTURE = 160;

  private final CocoBoxes truth;
  private final Map<String, Path> files = new LinkedHashMap<>();
  private final List<Found> found = new ArrayList<>();

  private BoxReport(CocoBoxes truth) {
    this.truth = truth;
  }

  /**
   * Reads what is there and what was found.
   *
   * @param annotations COCO's file of instances
   * @param results the folder that {@code examples/detect} wrote
   * @throws EvaluationException naming what cannot be read, or is not in the annotations
   */
  public static BoxReport of(Path annotations, Path results) {
    BoxReport report = new BoxReport(CocoBoxes.read(annotations));
    Path summary = results.resolve("summary.json");
    try {
      for (JsonNode result : new ObjectMapper().readTree(summary.toFile()).path("results")) {
        report.add(Path.of(result.path("input").asText()), result.path("found"), annotations);
      }
    } catch (IOException e) {
      throw new EvaluationException(
          "%s cannot be read: %s. --found takes the folder that examples/detect wrote."
              .formatted(summary, e),
          e);
    }
    return report;
  }

  private void add(Path input, JsonNode regions, Path annotations) {
    Long image = truth.images().get(input.getFileName().toString());
    if (image == null) {
      throw new EvaluationException(
          "%s has no image %s, for which there is a result."
              .formatted(annotations, input.getFileName()));
    }
    String key = CocoBoxes.key(image);
    files.put(key, input);
    for (JsonNode region : regions) {
      String label = region.path("label").asText();
      if (!truth.categories().containsKey(label)) {
        throw new EvaluationException(
            "A thing found in %s is '%s', which is no category of %s; they are %s."
                .formatted(input, label, annotations, truth.categories().keySet()));
      }
      // One sample has no scores: all of its boxes are equally sure.
      found.add(
          new Found(
              key,
              label,
              CocoBoxes.box(region.path("boxPixels")),
              region.path("score").asDouble(1)));
    }
  }

  /** Measured by this project. */
  public DetectionPrecision precision() {
    return DetectionPrecision.of(truth.truths(), found);
  }

  /**
   * Writes {@code results.json} (COCO's format), {@code measures.json}, {@code README.md} and a
   * sheet of the first images.
   *
   * @param out an existing folder
   */
  public void write(Path out) throws IOException {
    DetectionPrecision measured = precision();
    Files.writeString(out.resolve("results.json"), cocoResults() + "\n");
    Files.writeString(out.resolve("measures.json"), measures(measured) + "\n");
    Files.writeString(out.resolve("README.md"), text(measured));
    Files.write(out.resolve("boxes.png"), sheet().toPng());
  }

  private ArrayNode cocoResults() {
    ArrayNode all = new ObjectMapper().createArrayNode();
    for (Found one : found) {
      ObjectNode result =
          all.addObject()
              .put("image_id", Long.parseLong(one.image()))
              .put("category_id", truth.categories().get(one.category()));
      result
          .putArray("bbox")
          .add(one.box().x())
          .add(one.box().y())
          .add(one.box().width())
          .add(one.box().height());
      result.put("score", one.score());
    }
    return all;
  }

  private static ObjectNode measures(DetectionPrecision measured) {
    ObjectNode json =
        new ObjectMapper()
            .createObjectNode()
            .put("mAP", measured.mean())
            .put("AP50", measured.at50())
            .put("AP75", measured.at75());
    measured.byCategory().forEach(json.putObject("byCategory")::put);
    return json;
  }

  /** Markdown, for a person. */
  public String text(DetectionPrecision measured) {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "%d true boxes in %d images; %d boxes found in %d of them.%n",
        truth.truths().size(),
        truth.images().size(),
        found.size(),
        files.size());
    line(text, "| class | true boxes | AP, mean over IoU 0.50 to 0.95 |");
    line(text, "| --- | --- | --- |");
    measured
        .byCategory()
        .forEach(
            (category, precision) ->
                line(
                    text,
                    "| %s | %d | %.4f |",
                    category,
                    truth.truths().stream().filter(one -> one.category().equals(category)).count(),
                    precision));
    line(text, "| **all (mAP)** | %d | **%.4f** |%n", truth.truths().size(), measured.mean());
    line(text, "AP at an IoU of 0.50: %.4f; at 0.75: %.4f.", measured.at50(), measured.at75());
    return text.toString();
  }

  private static void line(StringBuilder text, String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values)).append('\n');
  }

  /** What was found, over what is there. */
  private ContactSheet sheet() {
    ContactSheet sheet =
        ContactSheet.columns(SHEET_COLUMNS)
            .pictureSize(SHEET_PICTURE)
            .title(
                "Boxes that were found, over the true ones in white; below, what was found and what"
                    + " is there");
    files.entrySet().stream()
        .limit(SHEET_IMAGES)
        .forEach(
            entry -> {
              List<Found> here =
                  found.stream().filter(one -> one.image().equals(entry.getKey())).toList();
              List<Truth> there =
                  truth.truths().stream()
                      .filter(one -> one.image().equals(entry.getKey()))
                      .toList();
              sheet.add(
                  BoxPicture.drawn(
                      Images.read(entry.getValue(), ReadOptions.DEFAULT),
                      Stream.concat(
                              there.stream().map(one -> labeled("", one.box())),
                              here.stream().map(one -> labeled(one.category(), one.box())))
                          .toList()),
                  here.stream()
                      .map(
                          one -> String.format(Locale.ROOT, "%s %.2f", one.category(), one.score()))
                      .collect(Collectors.joining(", ")),
                  there.stream().map(Truth::category).collect(Collectors.joining(", ")));
            });
    return sheet;
  }

  private static Labeled labeled(String label, Box box) {
    return new Labeled(label, box.x(), box.y(), box.width(), box.height());
  }
}
