/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.event.Box;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.Region;
import io.github.flinkdiffusion.connector.event.Regions;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.examples.detection.BoxPicture;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Results of image tasks as files: pictures, a contact sheet and a summary. */
final class ImageReport {
  /** Regions of an image that the summary for a person names. */
  private static final int MOST_NAMED = 3;

  /** Rows of the sheet; more would make one that no viewer opens gladly. */
  private static final int SHEET_ROWS = 40;

  /**
   * An image that was sent.
   *
   * @param file or the middle one of a series
   * @param page of the file, if it has several
   * @param series whose files were answered together; null for a file that was answered alone
   * @param name of its results' files
   */
  record Input(String id, Path file, OptionalInt page, SeriesFolder.Member series, String name) {
    Input(String id, Path file, OptionalInt page) {
      this(id, file, page, null, name(file, page));
    }

    static Input of(SeriesFolder.Member series) {
      return new Input(series.uid(), series.middle(), OptionalInt.empty(), series, series.name());
    }

    /** The inputs, of which no two have one name, as files of several folders may. */
    static List<Input> distinct(List<Input> inputs) {
      Set<String> taken = new HashSet<>();
      return inputs.stream()
          .map(
              input -> {
                String name = input.name;
                for (int i = 2; !taken.add(name.toLowerCase(Locale.ROOT)); i++) {
                  name = input.name + "-" + i;
                }
                return new Input(input.id, input.file, input.page, input.series, name);
              })
          .toList();
    }

    private static String name(Path file, OptionalInt page) {
      String whole = file.getFileName().toString().replaceAll("\\.nii\\.gz$", ".nii");
      String name = whole.contains(".") ? whole.substring(0, whole.lastIndexOf('.')) : whole;
      return page.isPresent() ? String.format(Locale.ROOT, "%s-%03d", name, page.getAsInt()) : name;
    }

    /** For a person. */
    String source() {
      if (series != null) {
        return "%s (%s of series %s)"
            .formatted(series.name(), Count.of(series.slices().size(), "slice"), series.uid());
      }
      return page.isPresent() ? file + " slice " + page.getAsInt() : file.toString();
    }
  }

  /**
   * What was found, a line of a result.
   *
   * @param boxPixels left, top, width and height
   */
  record Found(
      String label,
      long areaPixels,
      Double area,
      String areaUnit,
      Double score,
      List<Double> boxPixels) {
    static Found of(Region region) {
      Box box = region.getBox();
      return new Found(
          region.getLabel(),
          region.getAreaPixels(),
          region.getArea(),
          region.getAreaUnit(),
          region.getScore(),
          List.of(box.getX(), box.getY(), box.getWidth(), box.getHeight()));
    }

    BoxPicture.Labeled labeled() {
      return new BoxPicture.Labeled(
          label, boxPixels.get(0), boxPixels.get(1), boxPixels.get(2), boxPixels.get(3));
    }

    /** The class, and how sure it is. */
    String scored() {
      return score == null ? label : String.format(Locale.ROOT, "%s %.2f", label, score);
    }

    private String text() {
      return area == null
          ? String.format(Locale.ROOT, "%s %d pixels", label, areaPixels)
          : String.format(Locale.ROOT, "%s %.1f %s", label, area, areaUnit);
    }
  }

  /** An image that could not be done, and why. */
  record Failure(String input, String reason, String message) {}

  /** A line of {@code summary.json}; the names of files are below the output folder. */
  record Result(
      String input,
      String picture,
      String mask,
      String uncertainty,
      String regions,
      List<Found> found,
      int width,
      int height,
      String digest,
      Map<String, String> audit) {}

  private final OutputFolder folder;
  private final ReportSheet.Kind sheet;
  private final PayloadStore payloads;
  private final ShownImage how;
  private final String title;

  /**
   * @param payloads where large results are
   * @param how the sheet shows images
   * @param title of the sheet
   */
  ImageReport(
      OutputFolder folder,
      ReportSheet.Kind sheet,
      PayloadStore payloads,
      ShownImage how,
      String title) {
    this.folder = folder;
    this.sheet = sheet;
    this.payloads = payloads;
    this.how = how;
    this.title = title;
  }

  /**
   * Writes all of it.
   *
   * @return a few lines for a person
   */
  String write(List<Input> inputs, DemoRun.Results results, Duration total) throws IOException {
    Map<String, ImageEvent> images =
        results.images().stream().collect(Collectors.toMap(ImageEvent::getId, Function.identity()));
    ReportSheet shown = new ReportSheet(sheet, payloads, how, title);
    List<Result> written = new ArrayList<>();
    for (Input input : Input.distinct(inputs)) {
      ImageEvent image = images.get(input.id());
      if (image != null) {
        written.add(write(input, image, written.size() < SHEET_ROWS ? shown : null));
      }
    }
    List<Failure> failures =
        results.failures().stream()
            .map(
                failure ->
                    new Failure(
                        source(inputs, failure),
                        failure.getReason().toString(),
                        failure.getMessage()))
            .toList();
    String text = text(inputs.size(), written, failures, results, total);
    if (!written.isEmpty()) {
      folder.write(OutputFolder.CONTACT_SHEET, shown.toPng());
    }
    folder.write(OutputFolder.SUMMARY_TEXT, text.getBytes(StandardCharsets.UTF_8));
    folder.write(
        OutputFolder.SUMMARY_JSON, json(written, failures).getBytes(StandardCharsets.UTF_8));
    return text;
  }

  /** The file that a failure is about. */
  static String source(List<Input> inputs, FailureEvent failure) {
    return inputs.stream()
        .filter(input -> input.id().equals(failure.getId()))
        .map(Input::source)
        .findFirst()
        .orElse("unknown file");
  }

  private Result write(Input input, ImageEvent image, ReportSheet shown) throws IOException {
    Payload picture = Payloads.image(image);
    String pictureFile = write(input, "", picture);
    String maskFile = image.getMask() == null ? null : write(input, "-mask", image.getMask());
    String uncertaintyFile =
        image.getUncertainty() == null
            ? null
            : write(input, "-uncertainty", image.getUncertainty());
    String regionsFile = null;
    if (image.getRegions() != null) {
      regionsFile = OutputFolder.PICTURES + "/" + input.name() + "-regions.geojson";
      folder.write(regionsFile, geoJson(image.getRegions()));
    }
    if (shown != null) {
      shown.show(input, image);
    }
    return new Result(
        input.source(),
        pictureFile,
        maskFile,
        uncertaintyFile,
        regionsFile,
        image.getRegions() == null
            ? List.of()
            : image.getRegions().getItems().stream().map(Found::of).toList(),
        image.getWidth(),
        image.getHeight(),
        image.getDigest(),
        image.getAudit().getParameters());
  }

  /** Outlines with their areas; in pixels where the image has no place on Earth. */
  private static byte[] geoJson(Regions regions) throws IOException {
    ObjectMapper json = new ObjectMapper();
    ObjectNode all = json.createObjectNode().put("type", "FeatureCollection");
    all.put(
        "coordinates",
        regions.getCrs() == null ? "pixels from the upper left corner" : regions.getCrs());
    ArrayNode features = all.putArray("features");
    for (Region region : regions.getItems()) {
      ObjectNode feature = features.addObject().put("type", "Feature");
      feature.set(
          "geometry", region.getGeometry() == null ? null : json.readTree(region.getGeometry()));
      feature.set("properties", json.valueToTree(Found.of(region)));
    }
    return json.writerWithDefaultPrettyPrinter().writeValueAsBytes(all);
  }

  private String write(Input input, String suffix, Payload payload) {
    String extension =
        switch (payload.getMediaType()) {
          case "image/tiff" -> ".tif";
          case "image/jpeg" -> ".jpg";
          case "application/dicom" -> ".dcm";
          case "application/x-nifti" -> ".nii";
          default -> ".png";
        };
    String name = OutputFolder.PICTURES + "/" + input.name() + suffix + extension;
    folder.write(name, payloads.read(payload));
    return name;
  }

  private String text(
      int sent,
      List<Result> written,
      List<Failure> failures,
      DemoRun.Results results,
      Duration total) {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "%s in %.1f s, %.1f s of it for the Flink job from start to end",
        Count.of(written.size(), sent, "image"),
        total.toMillis() / 1000.0,
        results.making().toMillis() / 1000.0);
    line(
        text,
        "%s of %.1f rows on average, the largest of %d",
        Count.of(results.batches().calls(), "network call"),
        results.batches().meanRows(),
        results.batches().largestRows());
    line(text, "%s", title);
    for (Result result : written) {
      if (result.regions() != null) {
        List<Found> most = result.found().subList(0, Math.min(MOST_NAMED, result.found().size()));
        line(
            text,
            "  %s: %s%s",
            result.input(),
            Count.of(result.found().size(), "region"),
            most.stream()
                .map(Found::text)
                .collect(Collectors.joining(", ", most.isEmpty() ? "" : ": ", "")));
      } else if (result.mask() != null) {
        // Of a volume, no regions are looked for.
        line(text, "  %s: %s", result.input(), result.mask());
      }
    }
    for (Failure failure : failures) {
      line(text, "  %s: %s: %s", failure.input(), failure.reason(), failure.message());
    }
    return text.toString();
  }

  private static void line(StringBuilder text, String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values)).append('\n');
  }

  private static String json(List<Result> written, List<Failure> failures) {
    try {
      return new ObjectMapper()
              .writerWithDefaultPrettyPrinter()
              .writeValueAsString(new TreeMap<>(Map.of("results", written, "failures", failures)))
          + "\n";
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("A summary is always representable as JSON.", e);
    }
  }
}
