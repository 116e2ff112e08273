/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.scheduler.SchedulerException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The pipeline around a {@link Task}: trajectories, shared network calls, finite numbers. */
final class TaskPipeline implements DiffusionPipeline {
  private static final Logger LOG = LoggerFactory.getLogger(TaskPipeline.class);

  private final Model model;
  private final Basis basis;
  private final Task task;
  private final Finishing finishing;
  private final ModelCheck check;

  /**
   * @param check of all weights, closed with this
   */
  TaskPipeline(ModelInfo info, Task task, Finishing finishing, ModelCheck check) {
    this.check = check;
    this.model = new TaskModel(info, task);
    this.basis = info.basis();
    this.task = task;
    this.finishing = finishing;
  }

  @Override
  public Model model() {
    return model;
  }

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    List<TrajectoryNoise> noises = noises(requests);
    List<Beginning> beginnings = task.begin(requests, noises);
    List<Trajectory> trajectories = new ArrayList<>(requests.size());
    for (int i = 0; i < requests.size(); i++) {
      trajectories.add(
          fresh(requests.get(i), of(requests.get(i), beginnings.get(i)), noises.get(i)));
    }
    return trajectories;
  }

  /**
   * Conditions follow from the request, so they are made again, with the noise that went into them;
   * only the sample, its history and the state of the noise are taken from the snapshot.
   */
  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    List<GenerationRequest> requests = snapshots.stream().map(TrajectorySnapshot::request).toList();
    List<TrajectoryNoise> noises = noises(requests);
    List<Beginning> beginnings = task.begin(requests, noises);
    List<Trajectory> trajectories = new ArrayList<>(snapshots.size());
    for (int i = 0; i < snapshots.size(); i++) {
      Beginning beginning = of(requests.get(i), beginnings.get(i));
      trajectories.add(resume(snapshots.get(i), beginning, noises.get(i)));
    }
    return trajectories;
  }

  private static Beginning of(GenerationRequest request, Beginning beginning) {
    return beginning.guidedWithin(request.get(Parameters.GUIDANCE_INTERVAL));
  }

  private static List<TrajectoryNoise> noises(List<GenerationRequest> requests) {
    return requests.stream().map(TrajectoryNoise::of).toList();
  }

  private DenoisingTrajectory fresh(
      GenerationRequest request, Beginning beginning, TrajectoryNoise noise) {
    return new DenoisingTrajectory(
        request, basis, beginning, beginning.state(), noise, Extrapolation.NONE);
  }

  /**
   * A snapshot that no longer fits its plan (a newer version may solve the same schedule otherwise)
   * begins anew: failing would fail the job at every restart, and the seed gives the same picture.
   */
  private DenoisingTrajectory resume(
      TrajectorySnapshot snapshot, Beginning beginning, TrajectoryNoise atStart) {
    GenerationRequest request = snapshot.request();
    try {
      SamplingPlan plan = beginning.state().plan();
      // What the solver remembers, then what the calls continue.
      float[][] all = snapshot.history();
      int remembered =
          snapshot.step() > plan.calls()
              ? all.length
              : Math.min(all.length, plan.historyLength(snapshot.step()));
      SamplerState state =
          SamplerState.restore(
              plan, snapshot.step(), snapshot.sample(), Arrays.copyOf(all, remembered));
      if (state.size() != beginning.shape().size()) {
        throw new SchedulerException(
            "the sample has %d values, %s has %d"
                .formatted(state.size(), beginning.shape(), beginning.shape().size()));
      }
      return new DenoisingTrajectory(
          request,
          basis,
          beginning,
          state,
          atStart.restored(snapshot.generator()),
          Arrays.copyOfRange(all, remembered, all.length));
    } catch (SchedulerException e) {
      LOG.warn(
          "Request '{}', saved at step {}, does not fit this model and starts again: {}",
          request.id(),
          snapshot.step(),
          e.getMessage());
      return fresh(request, beginning, atStart);
    }
  }

  @Override
  public void step(List<Trajectory> batch) {
    List<DenoisingTrajectory> trajectories = own(batch);
    Denoiser.Output output = task.denoiser().call(trajectories);
    List<DenoisingTrajectory.Next> next;
    try {
      next = next(trajectories, output);
    } catch (RuntimeException e) {
      output.close();
      throw e;
    }
    for (int i = 0; i < trajectories.size(); i++) {
      trajectories.get(i).become(next.get(i));
    }
  }

  /** Where trajectories are after a call; changes none of them. */
  private List<DenoisingTrajectory.Next> next(
      List<DenoisingTrajectory> batch, Denoiser.Output called) {
    HostTensor.Floats output = called.predictions();
    int size = output.data().length / (int) output.shape()[0];
    List<float[]> predictions = new ArrayList<>(batch.size());
    List<Integer> notFinite = new ArrayList<>();
    int row = 0;
    for (int i = 0; i < batch.size(); i++) {
      float[] prediction = batch.get(i).prediction(output.data(), row * size, size);
      if (prediction == null) {
        notFinite.add(i);
      }
      predictions.add(prediction);
      row += batch.get(i).rows();
    }
    if (!notFinite.isEmpty()) {
      // It may be the weights and not the request.
      check.digest();
      Trajectory first = batch.get(notFinite.get(0));
      throw new NotFiniteException(
          ("The network's output at step %d of %d of request '%s' is not finite. A model can"
                  + " overflow in half precision; use float32.")
              .formatted(first.step(), first.totalSteps(), first.request().id()),
          notFinite);
    }
    List<DenoisingTrajectory.Next> next = new ArrayList<>(batch.size());
    row = 0;
    for (int i = 0; i < batch.size(); i++) {
      next.add(
          batch
              .get(i)
              .next(predictions.get(i), output.data(), row * size, size, called.left().get(i)));
      row += batch.get(i).rows();
    }
    return next;
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    List<DenoisingTrajectory> done = own(batch);
    // No image of weights that have not been checked, or have been changed where they are mapped.
    check.digest();
    check.requireNotWritten();
    HostTensor.Floats decoded =
        task.decode(done.stream().map(DenoisingTrajectory::sample).toList());
    int channels = (int) decoded.shape()[1];
    int height = (int) decoded.shape()[2];
    int width = (int) decoded.shape()[3];
    int size = channels * height * width;
    List<Raster> pictures = new ArrayList<>(done.size());
    List<Integer> notFinite = new ArrayList<>();
    for (int i = 0; i < done.size(); i++) {
      float[] picture = new float[size];
      boolean finite = true;
      for (int j = 0; j < size; j++) {
        float value = decoded.data()[i * size + j];
        finite &= Float.isFinite(value);
        picture[j] = value;
      }
      if (!finite) {
        notFinite.add(i);
      }
      pictures.add(new Raster(channels, height, width, picture));
    }
    if (!notFinite.isEmpty()) {
      throw new NotFiniteException(
          ("The decoded image of request '%s' is not finite. An autoencoder can overflow in half"
                  + " precision; use float32.")
              .formatted(done.get(notFinite.get(0)).request().id()),
          notFinite);
    }
    List<Finishing.Finished> finished = finishing.finish(pictures);
    List<GeneratedImage> images = new ArrayList<>(done.size());
    for (int i = 0; i < done.size(); i++) {
      images.add(
          new GeneratedImage(
              done.get(i).request(),
              finished.get(i).picture(),
              done.get(i).truncated(),
              finished.get(i).flagged()));
    }
    return images;
  }

  @Override
  public List<Raster> preview(List<Trajectory> batch) {
    HostTensor.Floats decoded = task.decodePreview(own(batch).stream().map(Preview::of).toList());
    int channels = (int) decoded.shape()[1];
    int height = (int) decoded.shape()[2];
    int width = (int) decoded.shape()[3];
    int size = channels * height * width;
    List<Raster> previews = new ArrayList<>(batch.size());
    for (int i = 0; i < batch.size(); i++) {
      float[] picture = new float[size];
      for (int j = 0; j < size; j++) {
        float value = decoded.data()[i * size + j];
        picture[j] = Float.isFinite(value) ? Math.min(1, Math.max(0, value)) : 0;
      }
      previews.add(new Raster(channels, height, width, picture));
    }
    return previews;
  }

  private static List<DenoisingTrajectory> own(List<Trajectory> batch) {
    return batch.stream().map(DenoisingTrajectory.class::cast).toList();
  }

  @Override
  public void close() {
    check.close();
    task.close();
    finishing.close();
  }
}
