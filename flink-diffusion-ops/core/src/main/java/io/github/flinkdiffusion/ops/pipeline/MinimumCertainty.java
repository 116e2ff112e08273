/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * How sure an answer must be of one pixel at least, so that it counts as having found something:
 * the key {@code minimum_certainty} of {@code model_index.json}. A network that was trained on
 * pictures of one thing sees it faintly in others, too. Where the thing is, its middle is certain;
 * where nothing is, no pixel is. The limit belongs to the weights, so it stands beside them and not
 * in a job's configuration.
 *
 * <p>It is a number, or a list of pairs: from which share of the pixels that the answer marks on,
 * and the number. The middle of a small mask is near its edge, where nothing is certain, so small
 * ones may need a lower limit.
 *
 * <p>An answer whose surest pixel is below the limit is 0 everywhere. Of an ensemble it is the mean
 * of the samples: one that is less sure than the others does not count for nothing. Previews are
 * not answers.
 *
 * @param steps by ascending share, the first from 0; without any, all answers are kept
 */
@Internal
public record MinimumCertainty(List<Step> steps) {
  /** Keeps all answers. */
  public static final MinimumCertainty NONE = new MinimumCertainty(List.of());

  private static final String KEY = "minimum_certainty";

  /** A pixel is marked from here on. */
  private static final float INSIDE = 0.5f;

  /** More is a mistake. */
  private static final int MOST_STEPS = 16;

  /**
   * @param share of the pixels, marked, from which on it holds
   * @param limit of the surest pixel
   */
  public record Step(double share, double limit) {}

  public MinimumCertainty {
    steps = List.copyOf(steps);
  }

  /**
   * What the model declares; by default all answers are kept.
   *
   * @throws IllegalConfigException for a limit that is not above 0.5 and at most 1: pixels below a
   *     half are outside anyway; and for classes other than a mask's two, whose samples do not say
   *     how sure they are
   */
  static MinimumCertainty of(Config index, ClassMap.Encoding encoding) {
    if (!index.has(KEY)) {
      return NONE;
    }
    JsonNode declared = index.node().get(KEY);
    if (encoding != ClassMap.Encoding.BINARY) {
      throw index.unsupported(KEY, declared, "no such key unless sample_target is mask");
    }
    List<Step> steps = new ArrayList<>();
    if (declared.isNumber()) {
      steps.add(new Step(0, declared.asDouble()));
    } else if (declared.isArray() && declared.size() <= MOST_STEPS) {
      declared.forEach(pair -> steps.add(step(index, pair)));
    }
    if (!valid(steps)) {
      throw unsupported(index, declared);
    }
    return new MinimumCertainty(steps);
  }

  private static Step step(Config index, JsonNode pair) {
    if (pair.size() != 2 || !pair.path(0).isNumber() || !pair.path(1).isNumber()) {
      throw unsupported(index, pair);
    }
    return new Step(pair.get(0).asDouble(), pair.get(1).asDouble());
  }

  private static boolean valid(List<Step> steps) {
    boolean valid = !steps.isEmpty() && steps.get(0).share() == 0;
    for (int i = 0; i < steps.size(); i++) {
      Step step = steps.get(i);
      valid &= step.limit() > INSIDE && step.limit() <= 1;
      valid &= i == 0 || step.share() > steps.get(i - 1).share() && step.share() <= 1;
    }
    return valid;
  }

  private static IllegalConfigException unsupported(Config index, JsonNode value) {
    return index.unsupported(
        KEY,
        value,
        "a number above 0.5 and at most 1, or a list of up to %d pairs of a share of the pixels, ascending from 0, and such a number"
            .formatted(MOST_STEPS));
  }

  /**
   * Whether an answer is too unsure to have found anything.
   *
   * @param shares one channel: how likely each pixel is inside, about 0..1
   */
  public boolean empties(Raster shares) {
    if (steps.isEmpty()) {
      return false;
    }
    float surest = 0;
    int marked = 0;
    for (float value : shares.data()) {
      surest = Math.max(surest, value);
      marked += value >= INSIDE ? 1 : 0;
    }
    return surest < limit((double) marked / shares.data().length);
  }

  private double limit(double share) {
    double limit = 0;
    for (Step step : steps) {
      limit = share >= step.share() ? step.limit() : limit;
    }
    return limit;
  }
}
