/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.image.Raster;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * A task on a loaded model: pictures from texts, from other pictures, from nothing.
 *
 * <p><b>Threads.</b> {@link #model} may be called from any thread at any time. Everything else is
 * called from one thread, the device's, one call at a time; the pipeline is opened and closed there
 * too.
 *
 * <p><b>Errors.</b> Each device call is all or nothing: when it throws, no trajectory given to it
 * has changed, and the caller may try again with fewer of them.
 *
 * <ul>
 *   <li>{@link InvalidRequestException}: a request cannot be done; {@link Model#prepare} finds
 *       these, and the device calls throw it only for what cannot be known earlier. Tried alone,
 *       the others of the batch succeed.
 *   <li>{@link NotFiniteException}: it names the positions that failed; the others succeed without
 *       them.
 *   <li>{@link DeviceMemoryException}: the batch is too large; a smaller one may succeed.
 *   <li>Anything else is an error of the device or the program: the pipeline is closed and not used
 *       again.
 * </ul>
 */
@Internal
public interface DiffusionPipeline extends AutoCloseable {

  /** What it tells of itself and of requests to it; the same object always, for any thread. */
  Model model();

  /**
   * Begins requests: encodes all their texts and pictures in batches and draws each one's noise
   * from its own seed. They may differ in everything, shapes included.
   *
   * @param requests at least one
   * @return one trajectory a request at step 0, in the same order
   */
  List<Trajectory> start(List<GenerationRequest> requests);

  /**
   * Takes up saved trajectories where they were: as {@link #start}, with sample, history and state
   * of the noise from the snapshot.
   *
   * @param snapshots at least one, none of whose basis differs from this model's
   * @return one trajectory a snapshot, in the same order, at the snapshot's step; at step 0 where a
   *     snapshot does not fit its plan any more
   */
  List<Trajectory> restore(List<TrajectorySnapshot> snapshots);

  /**
   * One network call that moves every trajectory on by one step. They may be at different steps and
   * differ in scheduler, step count and guidance.
   *
   * @param batch at least one, none {@link Trajectory#done}, all of equal {@link
   *     Trajectory#batchKey}
   */
  void step(List<Trajectory> batch);

  /**
   * Decodes finished trajectories in one batch.
   *
   * @param batch at least one, all {@link Trajectory#done}, all of equal {@link
   *     Trajectory#batchKey}
   * @return one picture a trajectory, in the same order
   */
  List<GeneratedImage> finish(List<Trajectory> batch);

  /**
   * Small pictures of what trajectories have come to, in one call that costs less than {@link
   * #finish} and changes none of them. Rough, more so the earlier: what is not finite is black.
   *
   * @param batch at least one, none {@link Trajectory#done}, all of equal {@link
   *     Trajectory#batchKey}
   * @return one a trajectory, in the same order; none at all where the pipeline makes no previews
   */
  default List<Raster> preview(List<Trajectory> batch) {
    return List.of();
  }

  /** Frees the model and everything on the device. Idempotent. */
  @Override
  void close();
}
