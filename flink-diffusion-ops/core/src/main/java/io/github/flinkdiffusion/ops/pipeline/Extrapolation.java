/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Optional;

/**
 * Calls of a request that compute nothing: what the network would give continues a Taylor series of
 * what its whole calls gave (TaylorSeer, Liu et al. 2025), as diffusers' TaylorSeerCacheConfig has
 * it with {@code use_lite_mode} and factors in float32. Calls are counted from the first with the
 * same conditions.
 *
 * @param order of the series ({@code max_order}); 0 repeats the last whole call's result
 * @param start the first call that may compute nothing ({@code disable_cache_before_step})
 * @param interval from a whole call to the next ({@code cache_interval})
 */
record Extrapolation(int order, int start, int interval) {
  static final int HIGHEST_ORDER = 3;

  /** A series has nothing to begin with. */
  static final float[][] NONE = {};

  /** Of a request; empty where it asks for none. */
  static Optional<Extrapolation> of(GenerationRequest request) {
    Long order = request.get(Parameters.TAYLOR_ORDER);
    return order == null
        ? Optional.empty()
        : Optional.of(
            new Extrapolation(
                Math.toIntExact(order),
                Math.toIntExact(request.get(Parameters.TAYLOR_START)),
                Math.toIntExact(request.get(Parameters.CACHE_INTERVAL))));
  }

  /** Whether a call computes the whole network. */
  boolean whole(int call) {
    return call < start || Math.floorMod(call - start - 1, interval) == 0;
  }

  /** The last whole call before one that is not the first. */
  private int lastWhole(int call) {
    int last = call - 1;
    while (!whole(last)) {
      last--;
    }
    return last;
  }

  /** How many factors there are before a call. */
  int factors(int call) {
    int wholeCalls = 0;
    for (int i = 0; i < call && wholeCalls <= order; i++) {
      wholeCalls += whole(i) ? 1 : 0;
    }
    return wholeCalls;
  }

  /**
   * The series after a whole call.
   *
   * @param factors the series before it, of derivatives by the number of the call, lowest first
   * @param result of the call; kept
   */
  float[][] updated(int call, float[][] factors, float[] result) {
    int known = call == 0 ? 0 : Math.min(factors.length, order);
    float[][] updated = new float[known + 1][];
    updated[0] = result;
    for (int i = 0; i < known; i++) {
      float passed = call - lastWhole(call);
      float[] slope = new float[result.length];
      for (int j = 0; j < slope.length; j++) {
        slope[j] = (updated[i][j] - factors[i][j]) / passed;
      }
      updated[i + 1] = slope;
    }
    return updated;
  }

  /** What the network would give, into {@code target} from an offset on. */
  void predict(int call, float[][] factors, float[] target, int offset) {
    int passed = call - lastWhole(call);
    double power = 1;
    for (int i = 0; i < factors.length; i++) {
      float weight = (float) power;
      for (int j = 0; j < factors[i].length; j++) {
        target[offset + j] += factors[i][j] * weight;
      }
      power *= passed / (i + 1.0);
    }
  }
}
