/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.ops.training.Training;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;

/** A training's progress as a bar: the loss of the last hundred steps, and the time left. */
public final class TrainingBar implements Training.Listener, AutoCloseable {
  private static final int UPDATE_MILLIS = 5000;

  /** Share of a step's loss in what is shown. */
  private static final double FRESH = 0.01;

  /** Writes what a training has learned so far. */
  @FunctionalInterface
  public interface Save {
    void save(int step) throws IOException;
  }

  private final ProgressBar bar;
  private final int samples;
  private final int first;
  private final long start = System.nanoTime();
  private double sum;
  private double weight;

  /**
   * @param first steps that were made before
   * @param steps in all
   * @param samples in a step
   */
  public TrainingBar(String name, int first, int steps, int samples) {
    this.first = first;
    this.samples = samples;
    bar =
        new ProgressBarBuilder()
            .setTaskName(name)
            .setInitialMax(steps)
            .startsFrom(first, Duration.ZERO)
            .setUpdateIntervalMillis(UPDATE_MILLIS)
            .build();
  }

  @Override
  public void stepped(Training.Step step) {
    sum = (1 - FRESH) * sum + FRESH * step.loss();
    weight = (1 - FRESH) * weight + FRESH;
    double seconds = (System.nanoTime() - start) / 1e9;
    bar.setExtraMessage(
        "loss %.4f, rate %.2g, %.1f samples/s"
            .formatted(loss(), step.rate(), (step.number() - first) * samples / seconds));
    bar.stepTo(step.number());
  }

  /** A listener that also writes weights whenever the training is saved. */
  public Training.Listener saving(Save save) {
    return new Training.Listener() {
      @Override
      public void stepped(Training.Step step) {
        TrainingBar.this.stepped(step);
      }

      @Override
      public void saved(int step) {
        try {
          save.save(step);
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      }

      @Override
      public void returned(int from, int to, String reason) {
        TrainingBar.this.returned(from, to, reason);
      }
    };
  }

  @Override
  public void returned(int from, int to, String reason) {
    System.out.printf("step %,d: %s; back to step %,d%n", from, reason, to);
    bar.stepTo(to);
  }

  /** The smoothed loss; NaN before the first step. */
  public double loss() {
    return sum / weight;
  }

  @Override
  public void close() {
    bar.close();
  }
}
