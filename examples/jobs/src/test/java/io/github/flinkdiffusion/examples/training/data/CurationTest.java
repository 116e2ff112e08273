/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.examples.training.TrainCommand;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class CurationTest {
  private static final Path SAFETY =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/safety");
  private static final Path NEW_CHECKER = SAFETY.resolve("new");

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
        new Curation(
            folder.resolve("images"),
            6,
            Optional.of(licenses),
            Set.of("CC0-1.0", "MIT"),
            Optional.empty());
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
        .contains("Images: 2 of 6", "Sides: 80 to 96", "CC0-1.0: 1 images", "near duplicate: 1")
        .contains("## Safety\nNot checked: no safety checker was given.");
    assertThat(Files.readAllLines(out.resolve("dropped.csv")))
        .contains("b/copy.jpg,near_duplicate,a/first.png");
    // What the report keeps is what a recipe trains on.
    FolderExamples examples =
        FolderExamples.plain(folder.resolve("images"))
            .only(folder.resolve("images"), out.resolve("kept.txt"));
    assertThat(examples.size()).isEqualTo(2);
  }

  /** The pictures and the flags that diffusers gives them: make_safety_fixtures.py. */
  @Test
  void leavesOutAndListsWhatTheSafetyCheckerFlags() throws Exception {
    List<String> flagged = new ArrayList<>();
    List<String> harmless = new ArrayList<>();
    try (TensorStore pictures = Safetensors.open(SAFETY.resolve("pictures.safetensors"));
        TensorStore golden = Safetensors.open(SAFETY.resolve("new-golden.safetensors"))) {
      long[] flags = golden.longs("flags");
      for (int i = 0; i < flags.length; i++) {
        long[] shape = pictures.info("" + i).shape();
        long[] levels = pictures.longs("" + i);
        float[] data = new float[levels.length];
        for (int k = 0; k < data.length; k++) {
          data[k] = levels[k] / 255f;
        }
        write(i + ".png", new Raster(3, (int) shape[1], (int) shape[2], data), "image/png");
        (flags[i] == 1 ? flagged : harmless).add(i + ".png");
      }
    }
    Path images = folder.resolve("images");
    Path out = folder.resolve("report");
    write("bands.tif", Raster.filled(5, 40, 40, 0.5f), "image/tiff");
    assertThat(
            curate("--images", images, "--out", out, "--near", 0, "--safety-checker", NEW_CHECKER))
        .isZero();
    assertThat(flagged).hasSize(3);
    assertThat(Files.readAllLines(out.resolve("kept.txt"))).isEqualTo(harmless);
    assertThat(Files.readAllLines(out.resolve("dropped.csv")))
        .containsExactlyInAnyOrderElementsOf(
            Stream.concat(
                    flagged.stream().map(image -> image + ",flagged,new"),
                    Stream.of(
                        "image,reason,detail",
                        "bands.tif,not_checked,The safety checker new cannot look at an image of 5"
                            + " channels; supported: 1 to 4"))
                .toList());
    assertThat(Files.readString(out.resolve("DATASHEET.md")))
        .contains("Images: 7 of 11", "Checked by the safety checker new, SHA-256 ")
        .contains("- Flagged and left out: 3.\n- Could not be checked and left out: 1.\n");
  }

  @Test
  void aFolderWithoutASafetyCheckerIsRefused() {
    assertThat(
            curate("--images", folder, "--out", folder, "--safety-checker", SAFETY.resolve("none")))
        .isEqualTo(1);
    assertThat(folder).isEmptyDirectory();
  }

  private static int curate(Object... arguments) {
    return new CommandLine(new TrainCommand())
        .execute(
            Stream.concat(Stream.of("curate"), Stream.of(arguments).map(Object::toString))
                .toArray(String[]::new));
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
