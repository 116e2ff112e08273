/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * Writes what results become of medical images, for {@code src/test/python/check_dicom_out.py}: of
 * each line of a list, a path, the files {@code N.same.dcm}, {@code N.twice.dcm} (twice as large),
 * {@code N.seg.dcm}, {@code N.shares.dcm} and {@code N.nii}, or {@code N.err}; of several frames
 * also {@code N.volume.dcm} and {@code N.volume.nii}, or {@code N.volume.err}.
 */
public final class WriteMedicalFiles {
  private static final int MOST_FRAMES = 24;

  private WriteMedicalFiles() {}

  /**
   * @param arguments the list, the folder to write to, and {@code patient} to keep who it is
   */
  public static void main(String[] arguments) throws IOException {
    List<String> lines = Files.readAllLines(Path.of(arguments[0]));
    Path out = Path.of(arguments[1]);
    ReadOptions options =
        arguments.length > 2 ? ReadOptions.DEFAULT.withPatientData() : ReadOptions.DEFAULT;
    for (int i = 0; i < lines.size(); i++) {
      try {
        Raster source = Images.read(Path.of(lines.get(i)), options);
        source =
            source.withMetadata(
                source.metadata().withTexts(Map.of("diffusion-audit", "{\"model\":\"test\"}")));
        Files.write(out.resolve(i + ".same.dcm"), Images.write(source, "application/dicom"));
        Files.write(
            out.resolve(i + ".twice.dcm"), Images.write(twice(source), "application/dicom"));
        Files.write(out.resolve(i + ".nii"), Images.write(source, "application/x-nifti"));
        float[] shares = shares(source);
        List<DicomSegmentation.Segment> segments =
            List.of(
                new DicomSegmentation.Segment("Bright (10200004, SCT)", shares),
                new DicomSegmentation.Segment("something else", new float[shares.length]));
        Files.write(
            out.resolve(i + ".seg.dcm"),
            DicomSegmentation.binary(source.width(), source.height(), segments, source.metadata()));
        Files.write(
            out.resolve(i + ".shares.dcm"),
            DicomSegmentation.fractional(
                source.width(), source.height(), segments.subList(0, 1), source.metadata()));
        writeVolume(Path.of(lines.get(i)), options, out, i);
      } catch (ImageException e) {
        Files.writeString(out.resolve(i + ".err"), e.getMessage());
      }
    }
  }

  /** Of a file of several frames: one segmentation of the first ones, and the same as labels. */
  private static void writeVolume(Path file, ReadOptions options, Path out, int number)
      throws IOException {
    FileSlices slices = FileSlices.of(file, options);
    int count = (int) Math.min(MOST_FRAMES, slices.count());
    if (count < 2) {
      return;
    }
    Raster first = Images.read(file, options);
    List<String> labels = List.of("Bright (10200004, SCT)", "something else");
    try (DicomSegmentationFile bits =
            new DicomSegmentationFile(
                out.resolve(number + ".volume.dcm"), first.width(), first.height(), labels, false);
        NiftiVolumeFile volume = new NiftiVolumeFile(out.resolve(number + ".volume.nii"), count)) {
      for (int frame = 0; frame < count; frame++) {
        Raster source = Images.read(file, options.withPage(frame));
        float[] shares = shares(source);
        bits.append(List.of(shares, new float[shares.length]), source.metadata());
        float[] inside = new float[shares.length];
        for (int pixel = 0; pixel < inside.length; pixel++) {
          inside[pixel] = shares[pixel] >= 0.5f ? 1 : 0;
        }
        volume.append(
            new Raster(1, source.height(), source.width(), inside).withMetadata(source.metadata()));
      }
      bits.finish();
      volume.finish();
    } catch (ImageException e) {
      Files.writeString(out.resolve(number + ".volume.err"), e.getMessage());
    }
  }

  static Raster twice(Raster source) {
    int width = 2 * source.width();
    int height = 2 * source.height();
    float[] data = new float[source.channels() * width * height];
    for (int c = 0; c < source.channels(); c++) {
      for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
          data[(c * height + y) * width + x] = source.at(c, y / 2, x / 2);
        }
      }
    }
    return new Raster(source.channels(), height, width, data).like(source);
  }

  static float[] shares(Raster source) {
    float[] shares = new float[source.width() * source.height()];
    for (int i = 0; i < shares.length; i++) {
      shares[i] = Math.max(0, Math.min(1, source.data()[i]));
    }
    return shares;
  }
}
