/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

/**
 * The ways to choose n of T training timesteps ({@code timestep_spacing}), noisiest first. The
 * arithmetic, roundings to even included, is NumPy's, since a timestep that is off by one is
 * another picture.
 */
final class Timesteps {

  static final String[] SPACINGS = {"linspace", "leading", "trailing"};

  private Timesteps() {}

  /** Refuses a spacing that the reference refuses even where sigmas are placed otherwise. */
  static void check(Fields fields) {
    if (fields.choice("timestep_spacing", "linspace", SPACINGS).equals("leading")) {
      fields.integer("steps_offset", 0);
    }
  }

  /** Whole timesteps that include both ends (linspace). The schedulers of the DDPM family. */
  static double[] whole(Fields fields, String defaultSpacing, int n, int trainSteps) {
    String spacing = fields.choice("timestep_spacing", defaultSpacing, SPACINGS);
    return spacing.equals("linspace")
        ? rounded(linspaceDown(trainSteps - 1, n))
        : spaced(fields, spacing, n, trainSteps);
  }

  /**
   * As {@link #whole}, but linspace is not rounded, and a caller may list others. The schedulers
   * that work with sigma.
   */
  static double[] fractional(Fields fields, int n, int trainSteps, SamplingOptions options) {
    if (!options.timesteps().isEmpty()) {
      fields.requireNoPlacement("timesteps", Sigmas.FLAGS);
      return fields.listed(options.timesteps(), n, false, trainSteps - 1);
    }
    double[] timesteps = exact(fields, n, trainSteps);
    for (int i = 0; i < n; i++) {
      timesteps[i] = (float) timesteps[i];
    }
    return timesteps;
  }

  /** As {@link #whole}, but linspace is not rounded at all. */
  static double[] exact(Fields fields, int n, int trainSteps) {
    String spacing = fields.choice("timestep_spacing", "linspace", SPACINGS);
    return spacing.equals("linspace")
        ? linspaceDown(trainSteps - 1, n)
        : spaced(fields, spacing, n, trainSteps);
  }

  /**
   * Whole timesteps that stop one step short of 0. The solvers of the DPM family, which end at a
   * sigma of their own.
   *
   * @param usable how many training timesteps, from 0 on, may be used; fewer than T when the config
   *     clips the noisiest
   */
  static double[] solver(Fields fields, int n, int trainSteps, int usable) {
    String spacing = fields.choice("timestep_spacing", "linspace", SPACINGS);
    return switch (spacing) {
      case "linspace" -> solverLinspace(n, usable - 1);
      case "leading" -> {
        int stride = usable / (n + 1);
        int offset = fields.integer("steps_offset", 0);
        double[] timesteps = new double[n];
        for (int i = 0; i < n; i++) {
          timesteps[i] = (double) (n - i) * stride + offset;
        }
        yield timesteps;
      }
      default -> trailing(n, trainSteps, usable);
    };
  }

  /** {@code last} down to, and without, 0 in n even steps, rounded. */
  static double[] solverLinspace(int n, int last) {
    double[] all = rounded(linspaceDown(last, n + 1));
    double[] timesteps = new double[n];
    System.arraycopy(all, 0, timesteps, 0, n);
    return timesteps;
  }

  private static double[] spaced(Fields fields, String spacing, int n, int trainSteps) {
    if (spacing.equals("trailing")) {
      return trailing(n, trainSteps, trainSteps);
    }
    int stride = trainSteps / n;
    int offset = fields.integer("steps_offset", 0);
    double[] timesteps = new double[n];
    for (int i = 0; i < n; i++) {
      timesteps[i] = (double) (n - 1 - i) * stride + offset;
    }
    return timesteps;
  }

  /**
   * From the noisiest down, T/n apart. (For some n the reference's floating-point range has one
   * element more, a timestep of -1; here n steps are n steps.)
   */
  private static double[] trailing(int n, int trainSteps, int from) {
    double step = (from - (double) trainSteps / n) - from;
    // Fewer than n where the config clips the noisiest.
    int count = Math.min(n, length(n, trainSteps, from));
    while (count > 1 && Math.rint(from + (count - 1) * step) < 1) {
      count--;
    }
    double[] timesteps = new double[count];
    for (int i = 0; i < count; i++) {
      timesteps[i] = Math.rint(from + i * step) - 1;
    }
    return timesteps;
  }

  /** Of NumPy's {@code arange} from a timestep down to, and without, 0, T/n apart. */
  private static int length(int n, int trainSteps, int from) {
    return (int) Math.ceil(from / ((double) trainSteps / n));
  }

  /**
   * Whether the reference's range, which is taken in floating point, goes on to a timestep of -1.
   */
  static boolean trailingRangeIsTooLong(Fields fields, int n, int trainSteps) {
    return fields.word("timestep_spacing").equals("trailing")
        && length(n, trainSteps, trainSteps) > n;
  }

  /** n even values from {@code from} to {@code to}, rounded as NumPy's. */
  static double[] linspace(double from, double to, int n) {
    double[] values = new double[n];
    double step = n == 1 ? 0 : (to - from) / (n - 1);
    for (int i = 0; i < n; i++) {
      values[i] = i * step + from;
    }
    if (n > 1) {
      values[n - 1] = to;
    }
    return values;
  }

  private static double[] linspaceDown(int last, int n) {
    double[] timesteps = new double[n];
    double step = n == 1 ? 0 : (double) last / (n - 1);
    for (int i = 0; i < n; i++) {
      timesteps[n - 1 - i] = i * step;
    }
    if (n > 1) {
      timesteps[0] = last;
    }
    return timesteps;
  }

  private static double[] rounded(double[] values) {
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.rint(values[i]);
    }
    return values;
  }
}
