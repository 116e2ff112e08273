/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * Writes what was found in the slices of a volume as one DICOM segmentation, slice by slice, so
 * that memory is that of a slice: its frames are those of the first slice's segments, then those of
 * the next slice's. The pixels wait in a file beside it.
 */
@Internal
public final class DicomSegmentationFile implements AutoCloseable {
  private final Path file;
  private final Path pixelFile;
  private final int width;
  private final int height;
  private final List<String> labels;
  private final boolean fractional;
  private final SegmentPixels pixels;
  private final List<ImageMetadata> slices = new ArrayList<>();

  /**
   * @param file to write, in a folder that holds the pixels until then, too
   * @param labels of the segments, see {@link DicomSegmentation}
   * @param fractional whether pixels are shares; else they are bits, set from a half
   */
  public DicomSegmentationFile(
      Path file, int width, int height, List<String> labels, boolean fractional) {
    this.file = file;
    this.width = width;
    this.height = height;
    this.labels = List.copyOf(labels);
    this.fractional = fractional;
    try {
      this.pixelFile = Files.createTempFile(file.toAbsolutePath().getParent(), "pixels-", ".raw");
      this.pixels =
          new SegmentPixels(
              new BufferedOutputStream(Files.newOutputStream(pixelFile), 1 << 16),
              Math.multiplyExact(width, height),
              fractional);
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  /**
   * The next slice.
   *
   * @param shares of each label's segment, how much of each pixel is in it
   * @param metadata of an image of the slice
   * @throws ImageException if the image came from no medical file, or the file system fails
   */
  public void append(List<float[]> shares, ImageMetadata metadata) {
    if (metadata.medical().isEmpty()) {
      throw new ImageException(
          "A DICOM file is made of DICOM or NIfTI images; slice %d is neither"
              .formatted(slices.size()));
    }
    try {
      for (int i = 0; i < labels.size(); i++) {
        pixels.append(new DicomSegmentation.Segment(labels.get(i), shares.get(i)));
      }
    } catch (IOException e) {
      throw unwritable(e);
    }
    slices.add(metadata);
  }

  /**
   * Writes the file.
   *
   * @throws ImageException if slices differ in what a segmentation has but once: the pixels'
   *     spacing, the orientation, the frame of reference, the study
   */
  public void finish() {
    try {
      pixels.close();
      DicomElements elements =
          DicomSegmentation.elements(width, height, labels, slices, fractional);
      elements.file(DicomTag.PIXELS, "OB", pixelFile, pixels.length());
      try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file), 1 << 16)) {
        DicomSegmentation.write(elements, out);
      }
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  private ImageException unwritable(IOException e) {
    return new ImageException("Cannot write the DICOM file " + file + ": " + e, e);
  }

  /** Deletes the pixels' own file, whether it was finished or not. */
  @Override
  public void close() {
    try {
      pixels.close();
      Files.deleteIfExists(pixelFile);
    } catch (IOException e) {
      pixelFile.toFile().deleteOnExit();
    }
  }
}
