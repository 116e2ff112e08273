/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.examples.training.data.Example;
import io.github.flinkdiffusion.examples.training.data.ExampleSet;
import io.github.flinkdiffusion.examples.training.data.TrainingDataException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The examples of one step, as they arrived: a data set of that size, another one each step. */
final class StreamWindow implements ExampleSet {
  private final int size;
  private final boolean pairs;
  private final List<ExampleEvent> events = new ArrayList<>();
  private final List<Example> examples = new ArrayList<>();

  /**
   * @param pairs whether an example needs a second image
   */
  StreamWindow(int size, boolean pairs) {
    this.size = size;
    this.pairs = pairs;
  }

  /**
   * @throws RuntimeException if it is no image, or lacks the second one of a pair; the window is as
   *     it was
   */
  void add(ExampleEvent event) {
    if (pairs && event.other.length == 0) {
      throw new TrainingDataException(
          "The example has no second image; the recipe's task needs pairs.");
    }
    Optional<Raster> other =
        event.other.length == 0
            ? Optional.empty()
            : Optional.of(Images.read(event.other, ReadOptions.DEFAULT));
    examples.add(new Example(Images.read(event.image, ReadOptions.DEFAULT), event.caption, other));
    events.add(event);
  }

  boolean full() {
    return events.size() == size;
  }

  /** Those of a step that is not full. */
  List<ExampleEvent> events() {
    return List.copyOf(events);
  }

  void clear() {
    events.clear();
    examples.clear();
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public Example at(int index) {
    return examples.get(index);
  }
}
