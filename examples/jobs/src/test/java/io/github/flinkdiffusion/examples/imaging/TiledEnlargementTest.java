/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.TileBlender;
import io.github.flinkdiffusion.ops.image.TilePlan;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Numbers;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.quality.Fidelity;
import io.github.flinkdiffusion.ops.quality.Seams;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * A picture that mini-satellite-x4 can enlarge as a whole, and in tiles, compared: with what
 * another seed would have made of it, and with tiles that share no noise.
 */
class TiledEnlargementTest {
  private static final Path MODEL = Path.of("../models/mini-satellite-x4");
  private static final int SCALE = 4;
  private static final int TILE = 32;
  private static final long STEPS = 8;
  private static final TilePlan OVERLAPPING = plan(8);
  private static final TilePlan SIDE_BY_SIDE = plan(0);

  private static DiffusionPipeline pipeline;
  private static Raster seen;
  private static Raster whole;
  private static Raster otherSeed;
  private static List<Raster> tiles;
  private static Raster tiled;

  @BeforeAll
  static void enlarge() throws IOException {
    pipeline = Pipelines.open(MODEL, PipelineSettings.on(DeviceSpec.CPU));
    seen = PngCodec.decode(Files.readAllBytes(MODEL.resolve("inputs/himalaya.png")));
    List<Raster> wholes = made(List.of(placed(seen, 0, 0, 1), placed(seen, 0, 0, 2)));
    whole = wholes.get(0);
    otherSeed = wholes.get(1);
    tiles = made(parts(OVERLAPPING, true));
    tiled = blended(OVERLAPPING, tiles);
  }

  @AfterAll
  static void close() {
    pipeline.close();
  }

  private static TilePlan plan(int overlap) {
    return TilePlan.of(64, 64).tile(TILE).overlap(overlap).scale(SCALE).plan();
  }

  private static GenerationSpec spec(Raster image, long seed) {
    return GenerationSpec.of("part")
        .with(Parameters.IMAGE, image)
        .with(Parameters.STEPS, STEPS)
        .with(Parameters.SEED, seed);
  }

  private static GenerationSpec placed(Raster image, int left, int top, long seed) {
    return spec(image, seed).with(Parameters.TILE_TOP_LEFT, new Numbers(left, top));
  }

  /**
   * @param shareNoise else each tile has torch's noise from a seed of its own
   */
  private static List<GenerationSpec> parts(TilePlan plan, boolean shareNoise) {
    List<GenerationSpec> specs = new ArrayList<>();
    for (TilePlan.Tile tile : plan.tiles()) {
      Window window = tile.window();
      Raster part = seen.crop(window);
      specs.add(
          shareNoise
              ? placed(part, SCALE * window.x(), SCALE * window.y(), 1)
              : spec(part, tile.index()));
    }
    return specs;
  }

  private static List<Raster> made(List<GenerationSpec> specs) {
    List<GenerationRequest> requests = specs.stream().map(pipeline.model()::prepare).toList();
    List<Trajectory> trajectories = pipeline.start(requests);
    while (!trajectories.get(0).done()) {
      pipeline.step(trajectories);
    }
    return pipeline.finish(trajectories).stream().map(made -> made.image()).toList();
  }

  private static Raster blended(TilePlan plan, List<Raster> results) {
    List<Raster> bands = new ArrayList<>();
    TileBlender blender =
        new TileBlender(plan, seen.format(), seen.metadata(), seen.channels(), bands::add);
    for (TilePlan.Tile tile : plan.tiles()) {
      blender.add(tile, results.get(tile.index()));
    }
    assertThat(blender.complete()).isTrue();
    float[] data = new float[seen.channels() * plan.resultHeight() * plan.resultWidth()];
    int row = 0;
    for (Raster band : bands) {
      for (int c = 0; c < seen.channels(); c++) {
        int size = band.height() * band.width();
        System.arraycopy(
            band.data(),
            c * size,
            data,
            (c * plan.resultHeight() + row) * plan.resultWidth(),
            size);
      }
      row += band.height();
    }
    return new Raster(seen.channels(), plan.resultHeight(), plan.resultWidth(), data);
  }

  @Test
  void tiledAndUntiledDifferByLessThanTwoSeeds() {
    assertThat(Fidelity.meanSquaredError(tiled, whole))
        .isLessThan(0.1 * Fidelity.meanSquaredError(otherSeed, whole));
  }

  /** Without the outer quarters of what they share, which the blend hardly counts either. */
  @Test
  void tilesAgreeWhereTheyOverlap() {
    Window first = OVERLAPPING.tile(0).window();
    Window second = OVERLAPPING.tile(1).window();
    int shared = SCALE * (first.right() - second.x());
    int side = SCALE * TILE;
    int margin = shared / 4;
    Window right = new Window(side - shared + margin, 0, shared - 2 * margin, side);
    Window left = new Window(margin, 0, shared - 2 * margin, side);
    double twoSeeds = Fidelity.meanSquaredError(otherSeed.crop(right), whole.crop(right));
    assertThat(Fidelity.meanSquaredError(tiles.get(0).crop(right), tiles.get(1).crop(left)))
        .isLessThan(0.2 * twoSeeds);
  }

  /**
   * Against the same lines of the whole picture: they lie between the given one's pixels, where an
   * enlarged picture has more edges than elsewhere.
   */
  @Test
  void thereIsNoSeam() {
    assertThat(seams(tiled, 64, 128, 192)).isLessThan(1.12);
    assertThat(seams(tiled, 128)).isLessThan(1.12);
  }

  @Test
  void tilesSideBySideHaveASeam() {
    assertThat(seams(blended(SIDE_BY_SIDE, made(parts(SIDE_BY_SIDE, false))), 128))
        .isGreaterThan(1.3);
  }

  @Test
  void withoutSharedNoiseTilesAreAsFarFromTheWholeAsAnotherSeed() {
    Raster unshared = blended(OVERLAPPING, made(parts(OVERLAPPING, false)));
    assertThat(Fidelity.meanSquaredError(unshared, whole))
        .isGreaterThan(0.5 * Fidelity.meanSquaredError(otherSeed, whole));
  }

  private static double seams(Raster picture, int... lines) {
    return Seams.excess(picture, lines, lines) / Seams.excess(whole, lines, lines);
  }
}
