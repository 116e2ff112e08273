/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A listener that keeps what it is told, and refuses to be told twice how it ended. */
final class RecordedOutcome implements RequestListener {
  final List<Integer> steps = new ArrayList<>();
  final List<Integer> previews = new ArrayList<>();
  Duration queued;
  int retries;
  Duration deviceTime = Duration.ZERO;
  GeneratedImage image;
  RequestFailure failure;

  @Override
  public void onStarted(Duration queued) {
    this.queued = queued;
  }

  @Override
  public void onRetry(RequestFailure cause) {
    requireOpen();
    retries++;
  }

  @Override
  public void onStep(int step, int totalSteps) {
    steps.add(step);
  }

  @Override
  public void onDeviceTime(Duration share) {
    deviceTime = deviceTime.plus(share);
  }

  @Override
  public void onPreview(int step, int totalSteps, Raster preview) {
    requireOpen();
    previews.add(step);
  }

  @Override
  public void onFinished(GeneratedImage image) {
    requireOpen();
    this.image = image;
  }

  @Override
  public void onFailed(RequestFailure failure) {
    requireOpen();
    this.failure = failure;
  }

  private void requireOpen() {
    if (image != null || failure != null) {
      throw new IllegalStateException("The request had ended before.");
    }
  }
}
