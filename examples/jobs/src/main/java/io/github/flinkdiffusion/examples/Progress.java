/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.io.PrintStream;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;

/**
 * How far a run has come: a bar on a terminal, otherwise a line for every tenth of the pictures, so
 * that a log file stays readable. Used by one thread.
 */
abstract class Progress implements AutoCloseable {
  private static final int PERCENT = 100;

  /** On standard error, where it does not mix with what the program says. */
  static Progress of(int total) {
    return System.console() == null ? new Lines(total, System.err) : new Bar(total);
  }

  /** The same of a hundred, which are no things of their own. */
  static Progress percent() {
    return System.console() == null
        ? new Lines(PERCENT, System.err, "%1$d %% done")
        : new Bar(PERCENT);
  }

  /**
   * So much is done; never less than before.
   *
   * @param pictures that are finished
   * @param begun of the others, in pictures: 0.5 for one that has gone half of its way
   */
  abstract void at(int pictures, double begun);

  @Override
  public abstract void close();

  private static final class Bar extends Progress {
    private static final int PARTS_OF_A_PICTURE = 100;

    private final ProgressBar bar;
    private final int total;

    Bar(int total) {
      this.total = total;
      bar =
          new ProgressBarBuilder()
              .setInitialMax((long) total * PARTS_OF_A_PICTURE)
              .setUnit(" done", PARTS_OF_A_PICTURE)
              .setUpdateIntervalMillis(200)
              .build();
    }

    @Override
    void at(int pictures, double begun) {
      double done = Math.min(total, pictures + begun);
      bar.stepTo(Math.round(done * PARTS_OF_A_PICTURE));
    }

    @Override
    public void close() {
      bar.close();
    }
  }

  /** Visible for its test. */
  static final class Lines extends Progress {
    private static final int LINES = 10;

    private final int total;
    private final PrintStream out;
    private final String format;
    private int printed;

    Lines(int total, PrintStream out) {
      this(total, out, "%d of %d done");
    }

    private Lines(int total, PrintStream out, String format) {
      this.total = total;
      this.out = out;
      this.format = format;
    }

    @Override
    void at(int pictures, double begun) {
      boolean last = pictures == total;
      if (pictures > printed && (last || (long) (pictures - printed) * LINES >= total)) {
        out.println(format.formatted(pictures, total));
        printed = pictures;
      }
    }

    @Override
    public void close() {}
  }
}
