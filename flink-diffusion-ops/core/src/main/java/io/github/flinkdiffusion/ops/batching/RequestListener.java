/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import java.time.Duration;
import org.apache.flink.annotation.Internal;

/**
 * What becomes of one request. Called on the device's thread between two calls, so implementations
 * hand over and return; they neither call the batcher nor throw.
 *
 * <p>Exactly one of {@link #onFinished} and {@link #onFailed} is called, last, unless the session
 * is closed or the device fails before ({@link SessionListener#onDeviceFailed}).
 */
@Internal
public interface RequestListener {

  /**
   * The request has left the queue.
   *
   * @param queued time since it was submitted
   */
  default void onStarted(Duration queued) {}

  /**
   * This attempt has failed, and the request waits to be begun anew, from its seed.
   *
   * @param cause of a kind that is worth a retry
   */
  default void onRetry(RequestFailure cause) {}

  /**
   * One more network step is done.
   *
   * @param step steps done, 1 .. totalSteps
   * @param totalSteps steps in all
   */
  default void onStep(int step, int totalSteps) {}

  /**
   * A look at what it has come to; see {@link Submission#previewEverySteps}.
   *
   * @param preview a small picture
   */
  default void onPreview(int step, int totalSteps, Raster preview) {}

  /**
   * A device call in which it took part is over, whatever came of it. Called before what the call
   * led to.
   *
   * @param share the request's part of the call's time, by rows
   */
  default void onDeviceTime(Duration share) {}

  /** The picture is there. */
  void onFinished(GeneratedImage image);

  /**
   * The call that ended the device's work had this request in it; {@link
   * SessionListener#onDeviceFailed} follows.
   *
   * @param callSize how many requests the call had
   */
  default void onSuspected(int callSize) {}

  /** This request cannot be done; others are not affected. */
  void onFailed(RequestFailure failure);
}
