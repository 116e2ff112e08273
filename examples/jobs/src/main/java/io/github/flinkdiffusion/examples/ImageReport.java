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
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageLimits;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.imaging.ClassPictures;
import io.github.flinkdiffusion.ops.imaging.ClassRaster;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** Results of image tasks as files: pictures, a contact sheet and a summary. */
final class ImageReport {
  private static final int SHEET_PICTURE_PIXELS = 288;

  /** Pixels around a part that a cubic filter looks at, and two more. */
  private static final int FILTER_REACH = 4;

  /** Regions of an image that the summary for a person names. */
  private static final int MOST_NAMED = 3;

  /** Rows of the sheet; more would make one that no viewer opens gladly. */
  private static final int SHEET_ROWS = 40;

  /** Larger pictures are not drawn on the sheet. */
  private static final ReadOptions SHOWN =
      ReadOptions.DEFAULT.withLimits(ImageLimits.DEFAULT.withPixels(8192, 8192L * 8192));

  /** Share of an uncertainty's pixels that are not simply white on the sheet. */
  private static final double SHOWN_SHARE = 0.99;

  private static final ClassMap RED =
      new ClassMap(
          ClassMap.Encoding.BINARY,
          List.of("outside", "inside"),
          List.of(new Rgb(0, 0, 0), new Rgb(230, 30, 30)),
          OptionalInt.of(0));

  /** What is shown of a result. */
  enum Sheet {
    /** Beside it what a cubic filter makes of the same part: the gain is what the model adds. */
    ENLARGED("enlarged", 4),
    SEGMENTED("inside", 3),
    /** Boxes around what was found. */
    FOUND("found", 3);

    private final String answer;
    private final int columns;

    Sheet(String answer, int columns) {
      this.answer = answer;
      this.columns = columns;
    }
  }

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

    private BoxPicture.Labeled labeled() {
      return new BoxPicture.Labeled(
          label, boxPixels.get(0), boxPixels.get(1), boxPixels.get(2), boxPixels.get(3));
    }

    /** The class, and how sure it is. */
    private String scored() {
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
  private final Sheet sheet;
  private final PayloadStore payloads;
  private final ShownImage how;
  private final String title;

  /**
   * @param payloads where large results are
   * @param how the sheet shows images
   * @param title of the sheet
   */
  ImageReport(
      OutputFolder folder, Sheet sheet, PayloadStore payloads, ShownImage how, String title) {
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
    ContactSheet shown =
        ContactSheet.columns(sheet.columns).pictureSize(SHEET_PICTURE_PIXELS).title(title);
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

  private Result write(Input input, ImageEvent image, ContactSheet shown) throws IOException {
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
      show(shown, input, image, picture);
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

  private void show(ContactSheet shown, Input input, ImageEvent image, Payload picture)
      throws IOException {
    Optional<Raster> before =
        !how.inputs()
            ? Optional.empty()
            : raster(
                () -> how.input(Images.read(input.file(), SHOWN.withPage(input.page().orElse(0)))));
    Optional<Raster> after =
        image.getMask() == null
            ? raster(input, picture).map(how::result)
            : raster(input, image.getMask())
                .map(mask -> turned(input, image.getMask()) ? mask : outlined(before, mask));
    shown.add(
        before.orElse(Raster.filled(1, 1, 1, 0)),
        input.series() == null ? input.name() : input.name() + ", middle slice",
        before
            .map(seen -> seen.width() + " x " + seen.height())
            .orElse(how.inputs() ? "too large to show" : "not shown with --parameter"));
    if (sheet == Sheet.ENLARGED && before.isPresent() && after.isPresent()) {
      showGain(shown, before.get(), after.get());
    } else if (sheet == Sheet.FOUND && before.isPresent() && image.getRegions() != null) {
      List<Found> found = image.getRegions().getItems().stream().map(Found::of).toList();
      shown.add(
          BoxPicture.drawn(before.get(), found.stream().map(Found::labeled).toList()),
          Count.of(found.size(), "thing"),
          found.stream().map(Found::scored).collect(Collectors.joining(", ")));
    } else {
      if (sheet == Sheet.ENLARGED) {
        shown.add(Raster.filled(1, 1, 1, 0), "bicubic", "needs the input");
      }
      shown.add(
          after.orElse(Raster.filled(1, 1, 1, 0)),
          sheet.answer,
          image.getWidth() + " x " + image.getHeight());
    }
    if (image.getUncertainty() != null) {
      shown.add(
          raster(input, image.getUncertainty())
              .map(ShownImage::withoutMissing)
              .map(ImageReport::brightened)
              .orElse(Raster.filled(1, 1, 1, 0)),
          "uncertainty",
          "brightened");
    } else {
      shown.add(Raster.filled(1, 1, 1, 0), "uncertainty", "one sample has none");
    }
  }

  /** The middle of both, pixel for pixel, as a cubic filter and the model enlarge it. */
  private static void showGain(ContactSheet shown, Raster before, Raster after) {
    int scale = Math.max(1, after.width() / before.width());
    int width = Math.min(SHEET_PICTURE_PIXELS, after.width()) / scale;
    int height = Math.min(SHEET_PICTURE_PIXELS, after.height()) / scale;
    int x = (before.width() - width) / 2;
    int y = (before.height() - height) / 2;
    // Enlarged with what is around it, so that its edges are as in the whole.
    int left = Math.max(0, x - FILTER_REACH);
    int top = Math.max(0, y - FILTER_REACH);
    int right = Math.min(before.width(), x + width + FILTER_REACH);
    int bottom = Math.min(before.height(), y + height + FILTER_REACH);
    Raster around = before.crop(new Window(left, top, right - left, bottom - top));
    Raster cubic =
        FloatResize.resize(
                around, scale * around.height(), scale * around.width(), PilResize.Filter.BICUBIC)
            .crop(new Window(scale * (x - left), scale * (y - top), scale * width, scale * height));
    Raster model = after.crop(new Window(scale * x, scale * y, scale * width, scale * height));
    String part = "part of %d x %d, 1:1".formatted(after.width(), after.height());
    shown.add(cubic, "bicubic", part);
    shown.add(model, Sheet.ENLARGED.answer, part);
  }

  /** A result; of a series, the slice that its file is. */
  private Optional<Raster> raster(Input input, Payload result) throws IOException {
    byte[] file = payloads.read(result);
    int page = input.series() == null ? 0 : input.series().slices().size() / 2;
    return raster(() -> Images.read(file, SHOWN.withPage(page)));
  }

  /** Whether the result's slices are shown with another side up or left than the source's. */
  private static boolean turned(Input input, Payload result) {
    return input.series() != null && result.getMediaType().equals("application/x-nifti");
  }

  private static Optional<Raster> raster(Supplier<Raster> read) {
    try {
      Raster raster = read.get();
      return raster.channels() > 4 ? Optional.empty() : Optional.of(raster);
    } catch (ImageException e) {
      return Optional.empty();
    }
  }

  /** The image with the mask's outline in red; the mask itself where the image cannot be shown. */
  private static Raster outlined(Optional<Raster> before, Raster mask) {
    if (before.isEmpty()
        || before.get().width() != mask.width()
        || before.get().height() != mask.height()) {
      return mask;
    }
    byte[] classes = new byte[mask.width() * mask.height()];
    for (int i = 0; i < classes.length; i++) {
      classes[i] = (byte) (mask.data()[i] >= 0.5f ? 1 : 0);
    }
    return ClassPictures.outlined(
        before.get(), new ClassRaster(mask.width(), mask.height(), classes), RED);
  }

  /** One channel; all but the brightest pixels keep their order, those are white. */
  private static Raster brightened(Raster values) {
    float[] sorted = values.data().clone();
    Arrays.sort(sorted);
    float white = Math.max(1e-6f, sorted[(int) (SHOWN_SHARE * (sorted.length - 1))]);
    float[] shown = new float[values.data().length];
    for (int i = 0; i < shown.length; i++) {
      shown[i] = Math.min(1, values.data()[i] / white);
    }
    return new Raster(1, values.height(), values.width(), shown);
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
