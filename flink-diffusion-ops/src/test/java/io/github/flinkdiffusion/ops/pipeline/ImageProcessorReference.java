package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.function.Function;

/** Shows the reference page a reader of configs that only its own room sees. */
public final class ImageProcessorReference {
  private ImageProcessorReference() {}

  public static Function<Config, Object> reader() {
    return ClipImageProcessor::from;
  }
}
