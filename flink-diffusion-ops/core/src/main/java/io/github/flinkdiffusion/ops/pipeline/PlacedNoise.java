/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.noise.NoiseField;
import java.nio.ByteBuffer;

/**
 * The noise of a part of a larger picture: at each draw a layer of the seed's {@link NoiseField},
 * at the part's place on the grid that the draw's shape makes of it. A latent whose pixels stand
 * for 8 x 8 of the result lies at an eighth of the result's coordinates, a small picture that is
 * enlarged four times at a quarter. So parts that overlap draw the same values there.
 *
 * <p>Only how many draws were made has to be saved; all else follows from the request.
 */
final class PlacedNoise implements TrajectoryNoise {
  /** "PN" and the version of the layout. */
  private static final int STATE_MAGIC = 0x504e0001;

  private static final int STATE_BYTES = 2 * Integer.BYTES;

  private final GenerationRequest request;
  private final NoiseField field;
  private int draw;

  PlacedNoise(GenerationRequest request) {
    this(request, 0);
  }

  private PlacedNoise(GenerationRequest request, int draw) {
    this.request = request;
    this.field = new NoiseField(request.seed());
    this.draw = draw;
  }

  @Override
  public float[] gaussian(SampleShape shape) {
    Numbers leftTop = request.get(Parameters.TILE_TOP_LEFT);
    return field.draw(
        draw++,
        shape.channels(),
        onGrid(leftTop.at(0), shape.width(), request.width()),
        onGrid(leftTop.at(1), shape.height(), request.height()),
        shape.width(),
        shape.height());
  }

  /**
   * @param pixels a coordinate in the result
   * @param side the draw's
   * @param resultSide of the same part, in the result
   */
  private static int onGrid(double pixels, int side, int resultSide) {
    long scaled = (long) pixels * side;
    if (scaled % resultSide != 0) {
      throw new IllegalStateException(
          "Noise of %d values a side for a part of %d pixels at %d of the result, which is between two of them; tiles must be aligned"
              .formatted(side, resultSide, (long) pixels));
    }
    return Math.toIntExact(scaled / resultSide);
  }

  @Override
  public TrajectoryNoise copy() {
    return new PlacedNoise(request, draw);
  }

  @Override
  public byte[] saveState() {
    return ByteBuffer.allocate(STATE_BYTES).putInt(STATE_MAGIC).putInt(draw).array();
  }

  @Override
  public TrajectoryNoise restored(byte[] saved) {
    ByteBuffer buffer = ByteBuffer.wrap(saved);
    if (saved.length != STATE_BYTES || buffer.getInt() != STATE_MAGIC) {
      throw new IllegalArgumentException(
          ("Restoring the noise of a part of an image: %d bytes that are no state of this version,"
                  + " which has %d")
              .formatted(saved.length, STATE_BYTES));
    }
    int drawn = buffer.getInt();
    if (drawn < 0) {
      throw new IllegalArgumentException(
          "Restoring the noise of a part of an image: %d draws were made".formatted(drawn));
    }
    return new PlacedNoise(request, drawn);
  }
}
