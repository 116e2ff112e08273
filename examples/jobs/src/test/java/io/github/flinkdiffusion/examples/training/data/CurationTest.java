/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CurationTest {
  @TempDir private Path folder;

  /** Blobs of a seed's own, so that two seeds look different. */
  private static Raster image(long seed, int side) {
    SplittableRandom random = new SplittableRandom(seed);
    float[] coarse = new float[3 * 16 * 16];
    for (int i = 0; i < coarse.length; i++) {
      coarse[i] = (float) random.nextDouble();
    }
    return PilResize.resize(new Raster(3, 16, 16, coarse), side, side, PilResize.Filter.BICUBIC);
  }

  private void write(String name, Raster image, String type) throws IOException {
    Path file = folder.resolve("images").resolve(name);
    Files.createDirectories(file.getParent());
    Files.write(file, Images.write(image, type));
  }

  @Test
  void hashesOfScaledAndBrightenedCopiesAreNearAndOthersFar() {
    for (int seed = 0; seed < 20; seed++) {
      Raster large = image(seed, 160);
      float[] brighter = large.data().clone();
      for (int i = 0; i < brighter.length; i++) {
        brighter[i] = 0.1f + 0.8f * brighter[i];
      }
      PerceptualHash hash = PerceptualHash.of(large);
      assertThat(hash.distance(PerceptualHash.of(new Raster(3, 160, 160, brighter))))
          .isLessThanOrEqualTo(3);
      Raster small = PilResize.resize(large, 70, 70, PilResize.Filter.LANCZOS);
      assertThat(hash.distance(PerceptualHash.of(small))).isLessThanOrEqualTo(6);
      assertThat(hash.distance(PerceptualHash.of(image(seed + 100, 160)))).isGreaterThan(12);
    }
  }

  @Test
  void keepsReadableImagesOfAllowedLicensesOnce() throws Exception {
    write("a/first.png", image(1, 96), "image/png");
    write("b/copy.jpg", PilResize.resize(image(1, 96), 64, 64, PilResize.Filter.BOX), "image/jpeg");
    write("b/other.png", image(2, 80), "image/png");
    write("c/unknown.png", image(3, 96), "image/png");
    write("d/closed.png", image(4, 96), "image/png");
    Files.writeString(folder.resolve("images/a/broken.png"), "no image");
    Path list = Files.writeString(folder.resolve("licenses.csv"), "a,CC0-1.0\nb,MIT\nd,Closed\n");
    Map<String, String> licenses = Curation.licenses(list);
    Curation curation =
        new Curation(folder.resolve("images"), 6, Optional.of(licenses), Set.of("CC0-1.0", "MIT"));
    Curation.Result result = curation.run();
    assertThat(result.kept()).containsExactly("a/first.png", "b/other.png");
    assertThat(result.dropped())
        .extracting(Curation.Dropped::image, Curation.Dropped::reason)
        .containsExactly(
            tuple("a/broken.png", Curation.Reason.UNREADABLE),
            tuple("b/copy.jpg", Curation.Reason.NEAR_DUPLICATE),
            tuple("c/unknown.png", Curation.Reason.NO_LICENSE),
            tuple("d/closed.png", Curation.Reason.LICENSE_NOT_ALLOWED));
    Path out = folder.resolve("report");
    curation.write(out, result);
    assertThat(Files.readString(out.resolve("DATASHEET.md")))
        .contains("Images: 2 of 6", "Sides: 80 to 96", "CC0-1.0: 1 images", "near duplicate: 1");
    assertThat(Files.readAllLines(out.resolve("dropped.csv")))
        .contains("b/copy.jpg,near_duplicate,a/first.png");
    // What the report keeps is what a recipe trains on.
    FolderExamples examples =
        FolderExamples.plain(folder.resolve("images"))
            .only(folder.resolve("images"), out.resolve("kept.txt"));
    assertThat(examples.size()).isEqualTo(2);
  }

  @Test
  void findsEveryNearDuplicateThatComparingAllFinds() {
    SplittableRandom random = new SplittableRandom(5);
    long[] hashes = new long[300];
    for (int i = 0; i < hashes.length; i++) {
      hashes[i] = random.nextLong();
      if (i % 3 == 2) {
        hashes[i] = hashes[i - 1];
        int changes = random.nextInt(12);
        for (int j = 0; j < changes; j++) {
          hashes[i] ^= 1L << random.nextInt(64);
        }
      }
    }
    for (int distance : new int[] {0, 1, 6, 10}) {
      Curation.Neighbors neighbors = new Curation.Neighbors(distance);
      boolean[] kept = new boolean[hashes.length];
      for (int i = 0; i < hashes.length; i++) {
        boolean near = false;
        for (int j = 0; j < i; j++) {
          near |= kept[j] && Long.bitCount(hashes[i] ^ hashes[j]) <= distance;
        }
        kept[i] = neighbors.add("" + i, new PerceptualHash(hashes[i])).isEmpty();
        assertThat(!kept[i]).as("image %d at distance %d", i, distance).isEqualTo(near);
      }
    }
  }

  @Test
  void refusesLicensesItCannotRead() throws Exception {
    Path list = Files.writeString(folder.resolve("licenses.csv"), "a CC0\n");
    assertThatThrownBy(() -> Curation.licenses(list))
        .hasMessageContaining("the line 'a CC0'; expected a path, a comma and a license");
  }
}
