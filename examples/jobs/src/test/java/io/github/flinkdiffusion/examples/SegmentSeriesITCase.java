/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.ops.image.FileSlices;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code examples/segment --series}: folders of DICOM files. */
class SegmentSeriesITCase {
  private static final String WHOLE = "1.2.3.4";
  private static final String WITH_A_GAP = "1.2.3.5";

  @TempDir private Path folder;

  private Path slice(Path in, String name, String series, int z) throws Exception {
    return Files.write(Files.createDirectories(in).resolve(name), CtFile.of(series, z));
  }

  @Test
  void aFoldersFilesAreTheirSeriesInTheOrderOfTheirPlaces() throws Exception {
    Path scan = folder.resolve("scan");
    Path last = slice(scan, "a", WHOLE, 2);
    Path first = slice(scan, "b.dcm", WHOLE, 0);
    Path middle = slice(scan.resolve("more"), "c.dcm", WHOLE, 1);
    Path other = slice(scan, "d.dcm", WITH_A_GAP, 0);
    Files.writeString(scan.resolve("DICOMDIR"), "index");
    Files.writeString(scan.resolve(".hidden"), "hidden");
    Path notes = Files.writeString(scan.resolve("notes.txt"), "hello");

    List<Path> files = SeriesFolder.files(List.of(scan));
    assertThat(files).containsExactly(last, first, other, middle, notes);
    List<SeriesFolder.Member> series = SeriesFolder.series(files);
    assertThat(series)
        .extracting(SeriesFolder.Member::name, SeriesFolder.Member::slices)
        .containsExactly(
            tuple("scan-1", List.of(first, middle, last)), tuple("scan-2", List.of(other)));
    assertThat(series.get(0).middle()).isEqualTo(middle);
  }

  @Test
  @Tag("nightly")
  void eachSeriesHasOneSegmentationAndOneWithAGapFails() throws Exception {
    Path scan = folder.resolve("scan");
    for (int z = 0; z < 3; z++) {
      slice(scan, "head-%d.dcm".formatted(z), WHOLE, z);
    }
    for (int z : new int[] {0, 1, 3}) {
      slice(scan, "gap-%d.dcm".formatted(z), WITH_A_GAP, z);
    }
    Files.writeString(scan.resolve("notes.txt"), "hello");
    Path out = folder.resolve("out");

    int exitCode =
        SegmentDemo.run(
            "--series",
            "--model",
            "../models/mini-brain-mask",
            "--steps",
            "1",
            "--samples",
            "1",
            "--device",
            "cpu",
            "--out",
            out.toString(),
            "-Ddiffusion.image.format=DICOM",
            "-Ddiffusion.series.timeout=500ms",
            scan.toString());

    assertThat(exitCode).as("a series failed").isEqualTo(1);
    assertThat(Files.readString(out.resolve("summary.txt")))
        .contains("scan-2 (3 slices of series 1.2.3.4): pictures/scan-2-mask.dcm")
        .contains("scan-1 (3 slices of series 1.2.3.5): INVALID_REQUEST: ")
        .contains("gap-1.dcm' and slice '", "gap-3.dcm' are 2 mm apart, others 1 mm")
        .contains("notes.txt: INVALID_REQUEST: The request's image: Not a DICOM file");
    Path mask = out.resolve("pictures/scan-2-mask.dcm");
    assertThat(FileSlices.of(mask, ReadOptions.DEFAULT).count()).isEqualTo(3);
  }
}
