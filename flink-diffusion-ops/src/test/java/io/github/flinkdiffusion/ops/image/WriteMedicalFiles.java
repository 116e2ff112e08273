package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * Writes what results become of medical images, for {@code src/test/python/check_dicom_out.py}: of
 * each line of a list, a path, the files {@code N.same.dcm}, {@code N.twice.dcm} (twice as large),
 * {@code N.seg.dcm}, {@code N.shares.dcm} and {@code N.nii}, or {@code N.err}.
 */
public final class WriteMedicalFiles {
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
      } catch (ImageException e) {
        Files.writeString(out.resolve(i + ".err"), e.getMessage());
      }
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
