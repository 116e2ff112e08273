/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is put together in memory and what is, row by row, in files. */
class CompositionTest {
  private static final int WIDTH = 61;
  private static final int HEIGHT = 47;
  private static final int TILE = 16;

  @TempDir private Path folder;

  /** Discs that tiles cut, with a spread behind them if there are samples. */
  private static Raster answer(int samples) {
    int plane = WIDTH * HEIGHT;
    float[] values = new float[(samples > 1 ? 2 : 1) * plane];
    int[][] discs = {{12, 12, 9}, {40, 30, 14}, {58, 3, 2}, {5, 40, 4}};
    for (int y = 0; y < HEIGHT; y++) {
      for (int x = 0; x < WIDTH; x++) {
        for (int[] disc : discs) {
          double distance = Math.hypot(x - disc[0], y - disc[1]) / disc[2];
          int pixel = y * WIDTH + x;
          values[pixel] = Math.max(values[pixel], (float) Math.max(0, 1 - distance / 2));
        }
      }
    }
    for (int i = plane; i < values.length; i++) {
      values[i] = values[i - plane] * (1 - values[i - plane]);
    }
    return new Raster(values.length / plane, HEIGHT, WIDTH, values);
  }

  private Composition.Order order(int samples) {
    return order(samples, new Raster(1, HEIGHT, WIDTH, new float[WIDTH * HEIGHT]));
  }

  private Composition.Order order(int samples, Raster scene) {
    TaskPlan plan = TaskPlan.tiled(WIDTH, HEIGHT, 1, 1, TILE, 4, samples);
    assertThat(plan.isTiled()).isTrue();
    return new Composition.Order(
        plan,
        Scene.of(scene, "image/tiff"),
        ModelBands.fit(Bands.GRAY, 1, 1, List.of()),
        ResultMeaning.classes(ClassMap.binary("background", "disc")),
        tiles(plan, answer(samples)).apply(0),
        ResultFormat.AUTO,
        Map.of("record", "of the request"),
        folder);
  }

  private static IntFunction<Raster> tiles(TaskPlan plan, Raster answer) {
    return tile -> {
      Window window = plan.tiles().tile(tile).window();
      return answer.crop(window);
    };
  }

  private static Raster read(Artifact artifact) throws IOException {
    byte[] file =
        artifact.bytes().isPresent()
            ? artifact.bytes().get()
            : Files.readAllBytes(artifact.file().orElseThrow());
    return Images.read(file, ReadOptions.DEFAULT);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void filesHoldWhatMemoryDoesAndTheSameRegionsAreFound(int samples) throws IOException {
    Composition.Order order = order(samples);
    IntFunction<Raster> tiles = tiles(order.plan(), answer(samples));

    Composition inMemory = CompositionInMemory.compose(order, tiles, UnaryOperator.identity());
    Composition inFiles = CompositionInFiles.compose(order, tiles);

    assertThat(inFiles.picture().file()).isPresent();
    assertThat(inMemory.picture().bytes()).isPresent();
    assertThat(read(inFiles.picture()).data()).isEqualTo(read(inMemory.picture()).data());
    assertThat(read(inFiles.mask().orElseThrow()).data())
        .isEqualTo(read(inMemory.mask().orElseThrow()).data());
    assertThat(inFiles.uncertainty().isPresent()).isEqualTo(samples > 1);
    if (samples > 1) {
      assertThat(read(inFiles.uncertainty().orElseThrow()).data())
          .isEqualTo(read(inMemory.uncertainty().orElseThrow()).data());
    }
    List<Region> expected = inMemory.regions().orElseThrow().items();
    List<Region> found = inFiles.regions().orElseThrow().items();
    assertThat(found).hasSameSizeAs(expected).hasSize(4);
    for (int i = 0; i < found.size(); i++) {
      assertThat(found.get(i).label()).isEqualTo("disc");
      assertThat(found.get(i).areaPixels()).isEqualTo(expected.get(i).areaPixels());
      assertThat(found.get(i).box()).isEqualTo(expected.get(i).box());
      assertThat(found.get(i).geometry()).isEqualTo(expected.get(i).geometry());
      if (samples > 1) {
        // A byte each.
        assertThat(found.get(i).score()).isCloseTo(expected.get(i).score(), within(0.5 / 255));
      } else {
        assertThat(found.get(i).score()).isNull();
      }
    }
  }

  @Test
  void filesLackDataWhereMemoryDoes() throws IOException {
    BitSet missing = new BitSet();
    for (int y = 5; y < HEIGHT - 7; y++) {
      missing.set(y * WIDTH + y % 3, y * WIDTH + WIDTH / 2);
    }
    Raster scene = new Raster(1, HEIGHT, WIDTH, new float[WIDTH * HEIGHT]).withNoData(missing);
    Composition.Order order = order(3, scene);
    IntFunction<Raster> tiles = tiles(order.plan(), answer(3));

    Composition inMemory = CompositionInMemory.compose(order, tiles, UnaryOperator.identity());
    Composition inFiles = CompositionInFiles.compose(order, tiles);

    assertThat(read(inMemory.picture()).noData().orElseThrow().pixels()).isEqualTo(missing);
    assertThat(read(inFiles.picture())).isEqualTo(read(inMemory.picture()));
    assertThat(read(inFiles.mask().orElseThrow())).isEqualTo(read(inMemory.mask().orElseThrow()));
    assertThat(read(inFiles.uncertainty().orElseThrow()))
        .isEqualTo(read(inMemory.uncertainty().orElseThrow()));
    assertThat(inFiles.regions().orElseThrow().items())
        .extracting(Region::areaPixels)
        .isEqualTo(
            inMemory.regions().orElseThrow().items().stream().map(Region::areaPixels).toList());
  }

  @Test
  void aResultThatBreaksOffLeavesNoFile() throws IOException {
    Composition.Order order = order(3);
    IntFunction<Raster> tiles = tiles(order.plan(), answer(3));

    assertThatThrownBy(
            () ->
                CompositionInFiles.compose(
                    order,
                    tile -> {
                      if (tile == order.plan().tiles().size() - 1) {
                        throw new ImageException("the last tile is missing");
                      }
                      return tiles.apply(tile);
                    }))
        .hasMessage("the last tile is missing");
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).isEmpty();
    }
  }
}
