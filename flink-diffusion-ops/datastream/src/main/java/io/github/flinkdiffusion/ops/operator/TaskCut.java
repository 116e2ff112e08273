/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.imaging.Scene;
import io.github.flinkdiffusion.ops.imaging.TaskPlan;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.ResultKind;
import io.github.flinkdiffusion.ops.pipeline.Tiling;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.util.Optional;

/** Decides whether an image task is done at once or in tiles. */
final class TaskCut {
  private TaskCut() {}

  /**
   * What is found in a picture, such as classes or boxes, is looked for in tiles only when somebody
   * says so: what a tile shows alone means less than the whole.
   */
  static TaskPlan plan(
      Scene scene, StepBatcher batcher, DiffusionSettings settings, int samples, Arguments wanted) {
    ImageSettings how = settings.image();
    int width = scene.width();
    int height = scene.height();
    Optional<Tiling> tiling = batcher.model().tiling();
    if (tiling.isEmpty()) {
      if (how.tileSize().isPresent() && Math.max(width, height) > how.tileSize().getAsInt()) {
        throw new InvalidRequestException(
            "The image is %d x %d pixels and %s is %d, but the model does not work on tiles; leave the option out."
                .formatted(
                    width, height, ImageTaskOptions.TILE_SIZE.key(), how.tileSize().getAsInt()));
      }
      return TaskPlan.whole(width, height, 1, 1, samples);
    }
    int scale = tiling.get().scale();
    int alignment = tiling.get().alignment();
    int tile = how.tileSize().orElse(tiling.get().tile());
    int most =
        how.tileSize()
            .orElse(
                batcher.model().result(wanted).kind() == ResultKind.PICTURE
                    ? 2 * tiling.get().tile()
                    : Integer.MAX_VALUE);
    // Without a tile's size to go by, what would be too large at once is cut.
    boolean cut =
        how.tileSize().isEmpty()
            && most < Integer.MAX_VALUE
            && !settings.limits().allows((long) width * scale * height * scale);
    if (Math.max(width, height) <= most && !cut) {
      return TaskPlan.whole(width, height, scale, alignment, samples);
    }
    // A tile of one step of the grid leaves no room to overlap.
    int overlap = how.tileOverlap().orElse(tile > alignment ? tile / 4 : 0);
    return TaskPlan.tiled(width, height, scale, alignment, tile, overlap, samples);
  }
}
