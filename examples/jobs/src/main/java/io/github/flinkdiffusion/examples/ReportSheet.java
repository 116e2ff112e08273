/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
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
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * The contact sheet of a report: of each image what was sent, what came back, and how uncertain
 * that is.
 */
final class ReportSheet {
  private static final int SHEET_PICTURE_PIXELS = 288;

  /** Pixels around a part that a cubic filter looks at, and two more. */
  private static final int FILTER_REACH = 4;

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
  enum Kind {
    /** Beside it what a cubic filter makes of the same part: the gain is what the model adds. */
    ENLARGED("enlarged", 4),
    SEGMENTED("inside", 3),
    /** Boxes around what was found. */
    FOUND("found", 3);

    private final String answer;
    private final int columns;

    Kind(String answer, int columns) {
      this.answer = answer;
      this.columns = columns;
    }
  }

  private final Kind kind;
  private final PayloadStore payloads;
  private final ShownImage how;
  private final ContactSheet shown;

  /**
   * @param payloads where large results are
   * @param how images are shown
   */
  ReportSheet(Kind kind, PayloadStore payloads, ShownImage how, String title) {
    this.kind = kind;
    this.payloads = payloads;
    this.how = how;
    this.shown = ContactSheet.columns(kind.columns).pictureSize(SHEET_PICTURE_PIXELS).title(title);
  }

  /** Adds a row. */
  void show(ImageReport.Input input, ImageEvent image) throws IOException {
    Payload picture = Payloads.image(image);
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
    if (kind == Kind.ENLARGED && before.isPresent() && after.isPresent()) {
      showGain(before.get(), after.get());
    } else if (kind == Kind.FOUND && before.isPresent() && image.getRegions() != null) {
      List<ImageReport.Found> found =
          image.getRegions().getItems().stream().map(ImageReport.Found::of).toList();
      shown.add(
          BoxPicture.drawn(before.get(), found.stream().map(ImageReport.Found::labeled).toList()),
          Count.of(found.size(), "thing"),
          found.stream().map(ImageReport.Found::scored).collect(Collectors.joining(", ")));
    } else {
      if (kind == Kind.ENLARGED) {
        shown.add(Raster.filled(1, 1, 1, 0), "bicubic", "needs the input");
      }
      shown.add(
          after.orElse(Raster.filled(1, 1, 1, 0)),
          kind.answer,
          image.getWidth() + " x " + image.getHeight());
    }
    if (image.getUncertainty() != null) {
      shown.add(
          raster(input, image.getUncertainty())
              .map(ShownImage::withoutMissing)
              .map(ReportSheet::brightened)
              .orElse(Raster.filled(1, 1, 1, 0)),
          "uncertainty",
          "brightened");
    } else {
      shown.add(Raster.filled(1, 1, 1, 0), "uncertainty", "one sample has none");
    }
  }

  /** The middle of both, pixel for pixel, as a cubic filter and the model enlarge it. */
  private void showGain(Raster before, Raster after) {
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
    shown.add(model, Kind.ENLARGED.answer, part);
  }

  /** A result; of a series, the slice that its file is. */
  private Optional<Raster> raster(ImageReport.Input input, Payload result) throws IOException {
    byte[] file = payloads.read(result);
    int page = input.series() == null ? 0 : input.series().slices().size() / 2;
    return raster(() -> Images.read(file, SHOWN.withPage(page)));
  }

  /** Whether the result's slices are shown with another side up or left than the source's. */
  private static boolean turned(ImageReport.Input input, Payload result) {
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

  byte[] toPng() {
    return shown.toPng();
  }
}
