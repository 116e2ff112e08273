/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Each layout of training data, on files that the test makes. */
class LayoutsTest {
  @TempDir private Path folder;

  private static byte[] png(float value) {
    return Images.write(Raster.filled(3, 4, 6, value), "image/png");
  }

  private Path image(String name, float value) throws IOException {
    return file(name, png(value));
  }

  private Path file(String name, byte[] bytes) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.write(file, bytes);
  }

  private static void shows(Example example, float value, String caption) {
    assertThat(example.image().at(0, 1, 2)).isCloseTo(value, within(0.003f));
    assertThat(example.caption()).isEqualTo(caption);
  }

  @Test
  void aFolderForEachClass() throws Exception {
    image("b_fish/1.png", 0.25f);
    image("a_cat/deep/9.png", 0.5f);
    image("a_cat/.hidden.png", 1);
    FolderExamples examples = FolderExamples.classes(folder, "a photo of {class}");
    assertThat(examples.size()).isEqualTo(2);
    shows(examples.at(0), 0.5f, "a photo of a cat");
    shows(examples.at(1), 0.25f, "a photo of b fish");
    image("stray.png", 0);
    assertThatThrownBy(() -> FolderExamples.classes(folder, "{class}"))
        .isInstanceOf(TrainingDataException.class)
        .hasMessageContaining("stray.png")
        .hasMessageContaining("<class>/<image>");
  }

  @Test
  void captionsBesideImages() throws Exception {
    image("x.png", 0.75f);
    file("x.txt", "a red x\n".getBytes(StandardCharsets.UTF_8));
    FolderExamples examples = FolderExamples.captions(folder);
    assertThat(examples.size()).isEqualTo(1);
    shows(examples.at(0), 0.75f, "a red x");
    image("y.png", 0);
    assertThatThrownBy(() -> FolderExamples.captions(folder))
        .hasMessageContaining("y.png has no caption")
        .hasMessageContaining("y.txt");
  }

  @Test
  void pairsOfImagesAndMasks() throws Exception {
    image("images/p/1.png", 0.25f);
    file("masks/p/1.tif", Images.write(Raster.filled(1, 4, 6, 1), "image/tiff"));
    FolderExamples examples =
        FolderExamples.pairs(folder.resolve("images"), folder.resolve("masks"));
    shows(examples.at(0), 0.25f, "");
    assertThat(examples.at(0).other().orElseThrow().at(0, 0, 0)).isEqualTo(1);
    file("images/p/1.txt", "a small cat\n".getBytes(StandardCharsets.UTF_8));
    shows(
        FolderExamples.pairs(folder.resolve("images"), folder.resolve("masks")).at(0),
        0.25f,
        "a small cat");
    image("images/p/2.png", 0.25f);
    assertThatThrownBy(
            () -> FolderExamples.pairs(folder.resolve("images"), folder.resolve("masks")))
        .hasMessageContaining("2.png has no counterpart");
  }

  private static byte[] idx(int type, byte[] data, int... sizes) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    out.writeShort(0);
    out.writeByte(type);
    out.writeByte(sizes.length);
    for (int size : sizes) {
      out.writeInt(size);
    }
    out.write(data);
    return bytes.toByteArray();
  }

  private static byte[] packed(byte[] bytes) throws IOException {
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (OutputStream out = new GZIPOutputStream(packed)) {
      out.write(bytes);
    }
    return packed.toByteArray();
  }

  @Test
  void idxArraysPackedOrNot() throws Exception {
    byte[] pixels = new byte[2 * 2 * 3];
    pixels[6 + 3] = (byte) 255;
    byte[] images = idx(8, pixels, 2, 2, 3);
    Path labels = file("labels", idx(8, new byte[] {7, 3}, 2));
    for (Path file : new Path[] {file("images", images), file("images.gz", packed(images))}) {
      IdxExamples examples = IdxExamples.open(file, Optional.of(labels), "the digit {class}");
      assertThat(examples.size()).isEqualTo(2);
      Example second = examples.at(1);
      assertThat(second.caption()).isEqualTo("the digit 3");
      assertThat(second.image().height()).isEqualTo(2);
      assertThat(second.image().width()).isEqualTo(3);
      assertThat(second.image().at(0, 1, 0)).isEqualTo(1);
      assertThat(examples.at(0).image().at(0, 1, 0)).isZero();
    }
  }

  @Test
  void damagedIdxArraysAreRefusedByName() throws Exception {
    Path floats = file("floats", idx(13, new byte[4], 1, 1, 1));
    assertThatThrownBy(() -> IdxExamples.open(floats, Optional.empty(), ""))
        .hasMessageContaining("floats begins with 0000 0d 03");
    Path huge =
        file("huge", idx(8, new byte[4], Integer.MAX_VALUE, Integer.MAX_VALUE, Integer.MAX_VALUE));
    assertThatThrownBy(() -> IdxExamples.open(huge, Optional.empty(), ""))
        .hasMessageContaining("less than 2 GiB");
    Path cut = file("cut", idx(8, new byte[5], 2, 1, 3));
    assertThatThrownBy(() -> IdxExamples.open(cut, Optional.empty(), ""))
        .hasMessageContaining("only 5 bytes after its header; expected 6");
    Path good = file("good", idx(8, new byte[6], 2, 1, 3));
    Path one = file("one", idx(8, new byte[1], 1));
    assertThatThrownBy(() -> IdxExamples.open(good, Optional.of(one), ""))
        .hasMessageContaining("2 images")
        .hasMessageContaining("1 labels");
  }

  @Test
  void cocosCaptions() throws Exception {
    image("train/0001.png", 0.5f);
    Path captions =
        file(
            "captions.json",
            """
            {"images": [{"id": 4, "file_name": "0001.png"}],
             "annotations": [{"id": 1, "image_id": 4, "caption": "one"}, {"id": 2, "image_id": 4, "caption": "two "}]}
            """
                .getBytes(StandardCharsets.UTF_8));
    CocoExamples examples = CocoExamples.captions(folder.resolve("train"), captions);
    assertThat(examples.size()).isEqualTo(2);
    shows(examples.at(0), 0.5f, "one");
    shows(examples.at(1), 0.5f, "two");
    Path elsewhere =
        file(
            "elsewhere.json",
            "{\"images\": [{\"id\": 4, \"file_name\": \"../x.png\"}], \"annotations\": [{\"image_id\": 4, \"caption\": \"c\"}]}"
                .getBytes(StandardCharsets.UTF_8));
    assertThatThrownBy(() -> CocoExamples.captions(folder.resolve("train"), elsewhere))
        .hasMessageContaining("../x.png");
    Path unknown =
        file(
            "unknown.json",
            "{\"images\": [], \"annotations\": [{\"id\": 9, \"image_id\": 4, \"caption\": \"c\"}]}"
                .getBytes(StandardCharsets.UTF_8));
    assertThatThrownBy(() -> CocoExamples.captions(folder.resolve("train"), unknown))
        .hasMessageContaining("annotation 9 names image 4");
  }

  /**
   * The same ring of 4 x 6 pixels in the three forms; the packed one as pycocotools' rleToString
   * has it.
   */
  @Test
  void cocosInstancesAsMasksAndBoxes() throws Exception {
    image("train/0001.png", 0.5f);
    image("train/0002.png", 0.25f);
    String form =
        """
        {"images": [{"id": 4, "file_name": "0001.png"}, {"id": 5, "file_name": "0002.png"}],
         "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
         "annotations": [
           {"id": 1, "image_id": 4, "category_id": 1, "bbox": [1, 1, 3, 2], "segmentation": %s},
           {"id": 2, "image_id": 4, "category_id": 2, "bbox": [5, 0, 1, 1], "segmentation": [[5, 0, 6, 0, 6, 1, 5, 1]]}]}
        """;
    float[] cat = new float[4 * 6];
    for (int at : new int[] {7, 8, 9, 13, 14, 15}) {
      cat[at] = 1;
    }
    for (String segmentation :
        List.of(
            "[[1, 1, 4, 1, 4, 3, 1, 3]]",
            "{\"size\": [4, 6], \"counts\": [5, 2, 2, 2, 2, 2, 9]}",
            "{\"size\": [4, 6], \"counts\": \"" + PACKED + "\"}")) {
      Path file =
          file("instances.json", form.formatted(segmentation).getBytes(StandardCharsets.UTF_8));
      CocoExamples cats = instances(file, "cat", CocoExamples.Shape.SEGMENTATION);
      assertThat(cats.size()).isEqualTo(2);
      shows(cats.at(0), 0.5f, "cat");
      assertThat(cats.at(0).other().orElseThrow().data()).isEqualTo(cat);
      shows(cats.at(1), 0.25f, "");
      assertThat(cats.at(1).other().orElseThrow().data()).containsOnly(0);
      CocoExamples boxes = instances(file, "cat", CocoExamples.Shape.BOX);
      assertThat(boxes.at(0).other().orElseThrow().data()).isEqualTo(cat);
    }
    Path file = folder.resolve("instances.json");
    CocoExamples all =
        CocoExamples.instances(
            folder.resolve("train"), file, Optional.empty(), CocoExamples.Shape.SEGMENTATION);
    cat[5] = 1;
    assertThat(all.at(0).other().orElseThrow().data()).isEqualTo(cat);
    assertThat(all.at(0).caption()).isEqualTo("cat, dog");
    assertThatThrownBy(() -> instances(file, "bird", CocoExamples.Shape.BOX))
        .hasMessageContaining("no category 'bird'; it has [cat, dog]");
  }

  @Test
  void cocosInstancesAsAMaskOfAChannelForEachClass() throws Exception {
    image("train/0001.png", 0.5f);
    Path file =
        file(
            "instances.json",
            """
            {"images": [{"id": 4, "file_name": "0001.png"}],
             "categories": [{"id": 7, "name": "cat"}, {"id": 2, "name": "dog"}],
             "annotations": [
               {"id": 1, "image_id": 4, "category_id": 7, "bbox": [0, 0, 4, 1]},
               {"id": 2, "image_id": 4, "category_id": 2, "bbox": [3, 0, 2, 2]}]}
            """
                .getBytes(StandardCharsets.UTF_8));
    Path images = folder.resolve("train");
    CocoExamples.Classes classes =
        new CocoExamples.Classes(List.of("dog", "ground", "cat"), OptionalInt.of(1));
    Raster mask =
        CocoExamples.classes(images, file, classes, CocoExamples.Shape.BOX)
            .at(0)
            .other()
            .orElseThrow();
    String seen = "";
    for (int y = 0; y < 2; y++) {
      for (int x = 0; x < 6; x++) {
        for (int c = 0; c < 3; c++) {
          seen += mask.at(c, y, x) == 1 ? "d.c".charAt(c) : "";
        }
      }
    }
    assertThat(seen).isEqualTo("cccdd." + "...dd.");
    float[] all = mask.data();
    assertThat(all).hasSize(3 * 4 * 6);
    double sum = 0;
    for (float value : all) {
      sum += value;
    }
    assertThat(sum).isEqualTo(4 * 6);
    for (List<String> labels : List.of(List.of("dog", "ground"), List.of("dog", "cat"))) {
      assertThatThrownBy(
              () ->
                  CocoExamples.classes(
                      images,
                      file,
                      new CocoExamples.Classes(labels, OptionalInt.of(1)),
                      CocoExamples.Shape.BOX))
          .isInstanceOf(TrainingDataException.class)
          .hasMessageContaining("has the category 'cat'; expected a class of the model, of [dog, ");
    }
  }

  private static final String PACKED = "5220007";

  private CocoExamples instances(Path file, String category, CocoExamples.Shape shape) {
    return CocoExamples.instances(folder.resolve("train"), file, Optional.of(category), shape);
  }

  @Test
  void damagedInstancesAreRefusedByTheirNumbers() throws Exception {
    image("train/0001.png", 0.5f);
    for (String segmentation :
        List.of(
            "[[1, 1, 4, 1]]",
            "7",
            "{\"size\": [4, 5], \"counts\": [20]}",
            "{\"size\": [4, 6], \"counts\": [25]}",
            "{\"size\": [4, 6], \"counts\": [3, -1, 22]}",
            "{\"size\": [4, 6], \"counts\": \"o\"}",
            "{\"size\": [4, 6], \"counts\": \"!\"}")) {
      Path file =
          file(
              "bad.json",
              """
              {"images": [{"id": 4, "file_name": "0001.png"}], "categories": [{"id": 1, "name": "cat"}],
               "annotations": [{"id": 31, "image_id": 4, "category_id": 1, "segmentation": %s}]}
              """
                  .formatted(segmentation)
                  .getBytes(StandardCharsets.UTF_8));
      CocoExamples examples = instances(file, "cat", CocoExamples.Shape.SEGMENTATION);
      assertThatThrownBy(() -> examples.at(0))
          .as(segmentation)
          .isInstanceOf(TrainingDataException.class)
          .hasMessageContaining("annotation 31 has");
    }
  }

  @Test
  void webDatasetsMasks() throws Exception {
    try (TarArchiveOutputStream tar =
        new TarArchiveOutputStream(Files.newOutputStream(folder.resolve("00000.tar")))) {
      add(tar, "7.mask.png", png(1));
      add(tar, "7.png", png(0.25f));
      add(tar, "8.jpg.png", png(0.5f));
    }
    try (WebDatasetExamples examples = WebDatasetExamples.open(folder)) {
      assertThat(examples.size()).isEqualTo(2);
      Example masked = examples.at(0).other().isPresent() ? examples.at(0) : examples.at(1);
      shows(masked, 0.25f, "");
      assertThat(masked.other().orElseThrow().at(0, 1, 1)).isEqualTo(1);
    }
  }

  @Test
  void onlyTheImagesThatAListNames() throws Exception {
    image("a/1.png", 0.25f);
    image("a/2.png", 0.5f);
    Path list = file("kept.txt", "a/2.png\n".getBytes(StandardCharsets.UTF_8));
    FolderExamples examples = FolderExamples.plain(folder).only(folder, list);
    assertThat(examples.size()).isEqualTo(1);
    shows(examples.at(0), 0.5f, "");
    Path wrong = file("wrong.txt", "a/3.png\n".getBytes(StandardCharsets.UTF_8));
    assertThatThrownBy(() -> FolderExamples.plain(folder).only(folder, wrong))
        .hasMessageContaining("wrong.txt names 'a/3.png'");
  }

  @Test
  void webDatasetsArchives() throws Exception {
    try (TarArchiveOutputStream tar =
        new TarArchiveOutputStream(Files.newOutputStream(folder.resolve("00000.tar")))) {
      add(tar, "s/000.png", png(0.25f));
      add(tar, "s/000.txt", "first".getBytes(StandardCharsets.UTF_8));
      add(tar, "s/000.json", "{}".getBytes(StandardCharsets.UTF_8));
    }
    try (TarArchiveOutputStream tar =
        new TarArchiveOutputStream(Files.newOutputStream(folder.resolve("00001.tar")))) {
      add(tar, "001.seg.png", png(0.5f));
    }
    try (WebDatasetExamples examples = WebDatasetExamples.open(folder)) {
      assertThat(examples.size()).isEqualTo(2);
      shows(examples.at(1), 0.5f, "");
      shows(examples.at(0), 0.25f, "first");
    }
  }

  private static void add(TarArchiveOutputStream tar, String name, byte[] bytes)
      throws IOException {
    TarArchiveEntry entry = new TarArchiveEntry(name);
    entry.setSize(bytes.length);
    tar.putArchiveEntry(entry);
    tar.write(bytes);
    tar.closeArchiveEntry();
  }

  private static final Path LMDB = Path.of("src/test/resources/lmdb");

  /** Made by py-lmdb: a tree of several levels, and one value on pages of its own. */
  @Test
  void lsunsDatabases() {
    try (LmdbExamples examples = LmdbExamples.open(LMDB)) {
      assertThat(examples.size()).isEqualTo(80);
      for (int i = 0; i < 80; i++) {
        Raster image = examples.at(i).image();
        if (i == 40) {
          assertThat(image.width()).isEqualTo(64);
        } else {
          assertThat(image.at(0, 3, 3)).as("value %d", i).isCloseTo(i / 255f, within(1e-6f));
        }
      }
    }
  }

  /** A tree's damage is an error of this kind, or is not seen; never a loop or another error. */
  @Test
  void damagedDatabasesAreRefusedOrRead() throws Exception {
    byte[] good = Files.readAllBytes(LMDB.resolve("data.mdb"));
    assertThatThrownBy(() -> LmdbExamples.open(file("short.mdb", Arrays.copyOf(good, 9000))))
        .isInstanceOf(TrainingDataException.class)
        .hasMessageContaining("short.mdb");
    assertThatThrownBy(() -> LmdbExamples.open(file("zeros.mdb", new byte[9000])))
        .hasMessageContaining("no header of version 1");
    SplittableRandom random = new SplittableRandom(8);
    int refused = 0;
    for (int i = 0; i < 400; i++) {
      byte[] bad = good.clone();
      // Headers of pages and what stands first in them: there a change is seen.
      int at = random.nextInt(good.length / 4096) * 4096 + random.nextInt(200);
      bad[at] ^= (byte) (1 << random.nextInt(8));
      try (LmdbExamples examples = LmdbExamples.open(file("bad.mdb", bad))) {
        for (int j = 0; j < examples.size(); j++) {
          examples.at(j);
        }
      } catch (TrainingDataException e) {
        refused++;
      }
    }
    assertThat(refused).isBetween(50, 399);
  }

  @Test
  void anEpochHasEveryIndexOnceAndFollowsFromItsPosition() {
    Shuffled order = new Shuffled(7, 5);
    for (int epoch = 0; epoch < 3; epoch++) {
      TreeSet<Integer> seen = new TreeSet<>();
      for (int i = 0; i < 7; i++) {
        seen.add(order.at(epoch * 7 + i));
      }
      assertThat(seen).hasSize(7);
    }
    assertThat(new Shuffled(7, 5).at(16)).isEqualTo(order.at(16));
    assertThat(order.at(3)).isEqualTo(new Shuffled(7, 5).at(3));
  }

  /** A mark in the image must be where the mark of its mask is, whatever the cut. */
  @Test
  void aPairIsCutAndMirroredAlike() {
    float[] pixels = new float[3 * 16 * 32];
    float[] mask = new float[16 * 32];
    for (int y = 0; y < 16; y++) {
      for (int x = 0; x < 32; x++) {
        float value = x / 31f;
        mask[y * 32 + x] = value;
        for (int c = 0; c < 3; c++) {
          pixels[(c * 16 + y) * 32 + x] = value;
        }
      }
    }
    Example example =
        new Example(new Raster(3, 16, 32, pixels), "", Optional.of(new Raster(1, 16, 32, mask)));
    SplittableRandom random = new SplittableRandom(1);
    TreeSet<Float> corners = new TreeSet<>();
    for (int i = 0; i < 20; i++) {
      View.Square square =
          new View(16, 1, new Augmentation(true, true, true, true, 0.5, 0, 0))
              .of(example, random, 16, 1, PilResize.Filter.LANCZOS);
      float[] other = square.other().orElseThrow();
      for (int j = 0; j < other.length; j++) {
        assertThat(square.image()[j]).isCloseTo(other[j], within(1e-5f));
      }
      corners.add(other[0]);
    }
    assertThat(corners).hasSizeGreaterThan(5);
  }
}
