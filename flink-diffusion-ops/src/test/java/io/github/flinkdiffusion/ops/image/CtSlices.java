/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * CT images made by tests: a bright square on black, which moves with the slice, so that slices
 * that were exchanged show.
 */
public final class CtSlices {
  public static final String CT = "1.2.840.10008.5.1.4.1.1.2";
  public static final double SPACING = 0.5;
  private static final String ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1";

  private CtSlices() {}

  /**
   * How a slice is made; tests change what they are about.
   *
   * @param number of the slice, which its pixels show and its instance's UID holds
   * @param z where it lies, in millimetres
   * @param turned whether its rows run along the body
   * @param expected images of the series, 0 if the file does not say
   */
  public record Slice(
      String series,
      int number,
      double z,
      int side,
      double spacing,
      String frameOfReference,
      boolean turned,
      int expected) {

    /** The usual one: slices of a series, 2 mm apart. */
    public static Slice of(String series, int number) {
      return new Slice(series, number, 2.0 * number, 8, SPACING, "1.2.3.9", false, 0);
    }

    public Slice at(double other) {
      return new Slice(series, number, other, side, spacing, frameOfReference, turned, expected);
    }

    public Slice ofSide(int other) {
      return new Slice(series, number, z, other, spacing, frameOfReference, turned, expected);
    }

    public Slice spaced(double other) {
      return new Slice(series, number, z, side, other, frameOfReference, turned, expected);
    }

    public Slice in(String other) {
      return new Slice(series, number, z, side, spacing, other, turned, expected);
    }

    public Slice turnedRound() {
      return new Slice(series, number, z, side, spacing, frameOfReference, true, expected);
    }

    public Slice ofExpected(int images) {
      return new Slice(series, number, z, side, spacing, frameOfReference, turned, images);
    }

    public String instance() {
      return series + "." + (number + 1);
    }
  }

  /** The stored value at a pixel: Hounsfield units plus 1024. */
  public static int value(int slice, int x, int y, int side) {
    int half = side / 2;
    int left = slice % half;
    return x >= left && x < left + half && y >= half / 2 && y < half / 2 + half
        ? 1024 + 100 + slice % 300
        : 0;
  }

  public static byte[] file(Slice slice) {
    DicomElements elements =
        described(slice.side())
            .text(DicomHeader.CLASS, "UI", CT)
            .text(DicomHeader.INSTANCE, "UI", slice.instance())
            .text(DicomHeader.STUDY, "UI", "1.2.3.1")
            .text(DicomHeader.SERIES, "UI", slice.series())
            .text(DicomHeader.FRAME_OF_REFERENCE, "UI", slice.frameOfReference())
            .decimals(0x00200032, slice.turned() ? slice.z() : 0, 0, slice.turned() ? 0 : slice.z())
            .decimals(
                0x00200037,
                slice.turned() ? new double[] {0, 1, 0, 0, 0, -1} : new double[] {1, 0, 0, 0, 1, 0})
            .decimals(DicomTag.PIXEL_SPACING, slice.spacing(), slice.spacing())
            .text(0x00180050, "DS", "2")
            .decimals(DicomTag.INTERCEPT, -1024)
            .decimals(DicomTag.SLOPE, 1);
    if (slice.expected() > 0) {
      elements.text(0x00201002, "IS", Integer.toString(slice.expected()));
    }
    return elements
        .bytes(DicomTag.PIXELS, "OW", pixels(slice.number(), slice.side()))
        .file(CT, slice.instance());
  }

  /** Frames of one file, 2 mm apart, each as {@link #file} has it. */
  public static void writeFrames(Path file, int frames, int side) {
    DicomElements shared =
        new DicomElements()
            .items(0x00209116, new DicomElements().decimals(0x00200037, 1, 0, 0, 0, 1, 0))
            .items(
                DicomTag.PIXEL_MEASURES,
                new DicomElements()
                    .text(0x00180050, "DS", "2")
                    .decimals(DicomTag.PIXEL_SPACING, SPACING, SPACING))
            .items(
                DicomTag.PIXEL_VALUE_TRANSFORMATION,
                new DicomElements()
                    .decimals(DicomTag.INTERCEPT, -1024)
                    .decimals(DicomTag.SLOPE, 1));
    List<DicomElements> each = new ArrayList<>();
    for (int frame = 0; frame < frames; frame++) {
      each.add(
          new DicomElements()
              .items(0x00209113, new DicomElements().decimals(0x00200032, 0, 0, 2.0 * frame)));
    }
    Path pixels = file.resolveSibling(file.getFileName() + ".raw");
    try {
      try (var out = Files.newOutputStream(pixels)) {
        for (int frame = 0; frame < frames; frame++) {
          out.write(pixels(frame, side));
        }
      }
      DicomElements elements =
          described(side)
              .text(DicomHeader.CLASS, "UI", ENHANCED_CT)
              .text(DicomHeader.INSTANCE, "UI", "1.2.3.5")
              .text(DicomHeader.STUDY, "UI", "1.2.3.1")
              .text(DicomHeader.SERIES, "UI", "1.2.3.2")
              .text(DicomHeader.FRAME_OF_REFERENCE, "UI", "1.2.3.9")
              .text(DicomTag.FRAMES, "IS", Integer.toString(frames))
              .items(DicomTag.SHARED_GROUPS, shared)
              .items(DicomTag.PER_FRAME_GROUPS, each.toArray(DicomElements[]::new))
              .file(DicomTag.PIXELS, "OW", pixels, Files.size(pixels));
      try (var out = Files.newOutputStream(file)) {
        elements.writeFile(out, ENHANCED_CT, "1.2.3.5");
      }
      Files.delete(pixels);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static DicomElements described(int side) {
    return new DicomElements()
        .text(0x00080060, "CS", "CT")
        .text(0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL")
        .text(0x00100010, "PN", "Doe^Jane")
        .shorts(DicomTag.SAMPLES, "US", 1)
        .text(DicomTag.PHOTOMETRIC, "CS", "MONOCHROME2")
        .shorts(DicomTag.ROWS, "US", side)
        .shorts(DicomTag.COLUMNS, "US", side)
        .shorts(DicomTag.BITS_ALLOCATED, "US", 16)
        .shorts(DicomTag.BITS_STORED, "US", 16)
        .shorts(DicomTag.HIGH_BIT, "US", 15)
        .shorts(DicomTag.SIGNED, "US", 0);
  }

  private static byte[] pixels(int slice, int side) {
    ByteBuffer pixels = ByteBuffer.allocate(2 * side * side).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < side * side; i++) {
      pixels.putShort((short) value(slice, i % side, i / side, side));
    }
    return pixels.array();
  }
}
