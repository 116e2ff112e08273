/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Optional;

/**
 * Few large images from which many small squares are cut: each is read once, shrunk, and kept in
 * memory, since reading a photograph takes longer than a training step of a small network.
 *
 * @see #MOST_BYTES
 */
public final class ShrunkExamples implements ExampleSet, AutoCloseable {
  /** What all images may take together. */
  public static final long MOST_BYTES = 1L << 30;

  private final ExampleSet all;
  private final int shorterSide;
  private final Example[] read;
  private long bytes;

  /**
   * @param shorterSide of an image, in pixels; one that is smaller stays as it is
   */
  public ShrunkExamples(ExampleSet all, int shorterSide) {
    this.all = all;
    this.shorterSide = shorterSide;
    this.read = new Example[all.size()];
  }

  @Override
  public int size() {
    return read.length;
  }

  /**
   * @throws TrainingDataException also if the images take more memory than {@link #MOST_BYTES}
   */
  @Override
  public Example at(int index) {
    if (read[index] == null) {
      Example example = all.at(index);
      Raster image = shrunk(example.image(), PilResize.Filter.LANCZOS);
      // As a pair's other image is cut for a mask: by the mean of what a pixel covers.
      Optional<Raster> other = example.other().map(each -> shrunk(each, PilResize.Filter.BOX));
      bytes += 4L * image.data().length + other.map(each -> 4L * each.data().length).orElse(0L);
      if (bytes > MOST_BYTES) {
        throw new TrainingDataException(
            "The images shrunk to %d pixels take more than %,d bytes of memory: lower data.shrink, or leave it out to read images whenever they are needed."
                .formatted(shorterSide, MOST_BYTES));
      }
      read[index] = new Example(image, example.caption(), other);
    }
    return read[index];
  }

  private Raster shrunk(Raster image, PilResize.Filter filter) {
    double scale = (double) shorterSide / Math.min(image.width(), image.height());
    return scale >= 1
        ? image
        : PilResize.resize(
            image,
            (int) Math.round(image.height() * scale),
            (int) Math.round(image.width() * scale),
            filter);
  }

  @Override
  public void close() throws Exception {
    if (all instanceof AutoCloseable open) {
      open.close();
    }
  }
}
