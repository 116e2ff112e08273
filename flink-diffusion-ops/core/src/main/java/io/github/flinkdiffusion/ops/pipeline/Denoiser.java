/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import java.util.List;

/** Calls a denoising network with rows of many trajectories at once. */
final class Denoiser {

  /**
   * One of the network's inputs after sample and timestep.
   *
   * @param wholeNumbers whether it is int64; float32 otherwise
   * @param shape of one row; empty for one number a row. A first size of {@link #ANY} is each row's
   *     own: shorter ones are filled up with zeros
   */
  record Input(boolean wholeNumbers, int... shape) {
    static Input floats(int... shape) {
      return new Input(false, shape);
    }

    static Input integers(int... shape) {
      return new Input(true, shape);
    }

    /** Size of a dimension that is each row's own, the first. */
    static final int ANY = -1;

    /** Lists of vectors, of each row as many as it has. */
    static Input vectors(int size) {
      return floats(ANY, size);
    }

    /** Values of what a first size of {@link #ANY} counts, else of a row. */
    private int size() {
      int size = 1;
      for (int each : shape) {
        size *= each == ANY ? 1 : each;
      }
      return size;
    }

    private boolean isAny() {
      return shape.length > 0 && shape[0] == ANY;
    }

    private long[] batch(int rows, int first) {
      long[] batch = new long[shape.length + 1];
      batch[0] = rows;
      for (int i = 0; i < shape.length; i++) {
        batch[i + 1] = shape[i] == ANY ? first : shape[i];
      }
      return batch;
    }

    private long[] batch(int rows) {
      return batch(rows, 0);
    }

    private HostTensor vectors(List<Row> rows, int position) {
      int size = size();
      int longest = 0;
      for (Row row : rows) {
        longest = Math.max(longest, ((float[]) row.inputs().get(position)).length / size);
      }
      float[] all = new float[rows.size() * longest * size];
      for (int i = 0; i < rows.size(); i++) {
        float[] own = (float[]) rows.get(i).inputs().get(position);
        System.arraycopy(own, 0, all, i * longest * size, own.length);
      }
      return new HostTensor.Floats(all, batch(rows.size(), longest));
    }

    private HostTensor tensor(List<Row> rows, int position) {
      if (isAny()) {
        return vectors(rows, position);
      }
      int size = size();
      if (wholeNumbers) {
        long[] all = new long[rows.size() * size];
        for (int i = 0; i < rows.size(); i++) {
          System.arraycopy((long[]) rows.get(i).inputs().get(position), 0, all, i * size, size);
        }
        return new HostTensor.Longs(all, batch(rows.size()));
      }
      float[] all = new float[rows.size() * size];
      for (int i = 0; i < rows.size(); i++) {
        System.arraycopy((float[]) rows.get(i).inputs().get(position), 0, all, i * size, size);
      }
      return new HostTensor.Floats(all, batch(rows.size()));
    }
  }

  private final Network network;
  private final List<Input> inputs;
  private final boolean scaleAppended;
  private final boolean appendedFirst;

  /** Null where all calls are alike. */
  private final Gate gate;

  /** Whether the network is told a quarter of the noise level's logarithm as its timestep. */
  private final boolean logSigma;

  /** What is called where the last input is 0 in each row, with the first inputs alone. */
  private record Gate(String method, int inputs) {}

  private Denoiser(
      Network network,
      List<Input> inputs,
      boolean scaleAppended,
      boolean appendedFirst,
      Gate gate,
      boolean logSigma) {
    this.network = network;
    this.inputs = List.copyOf(inputs);
    this.scaleAppended = scaleAppended;
    this.appendedFirst = appendedFirst;
    this.gate = gate;
    this.logSigma = logSigma;
  }

  /**
   * @param network takes (sample [N,C,H,W], timestep [N], then {@code inputs})
   * @param inputs shapes of what {@link Row#inputs} holds
   */
  static Denoiser of(Network network, Input... inputs) {
    return new Denoiser(network, List.of(inputs), false, false, null, false);
  }

  /** The scheduler's input scale applies to the appended channels, too. */
  Denoiser scalingAppended() {
    return new Denoiser(network, inputs, true, appendedFirst, gate, logSigma);
  }

  /** The network takes the further channels before the sample's. */
  Denoiser appendedFirst() {
    return new Denoiser(network, inputs, scaleAppended, true, gate, logSigma);
  }

  /**
   * The network has a part that rows go through whose last input, one number, is not 0; a call
   * without such rows is one of another method, which gives the same and costs less.
   *
   * @param method called then
   * @param count how many of the inputs it takes
   */
  Denoiser gated(String method, int count) {
    return new Denoiser(
        network, inputs, scaleAppended, appendedFirst, new Gate(method, count), logSigma);
  }

  /** The network's timestep is log(sigma) / 4, whatever the scheduler's is. */
  Denoiser toldLogSigma() {
    return new Denoiser(network, inputs, scaleAppended, appendedFirst, gate, true);
  }

  /**
   * One network call.
   *
   * @param batch all of one shape, with the same number of appended channels
   * @return [rows of all trajectories in order, output channels, H, W]
   */
  HostTensor.Floats call(List<DenoisingTrajectory> batch) {
    List<Row> rows = batch.stream().flatMap(each -> each.conditions().stream()).toList();
    SampleShape shape = batch.get(0).shape();
    int appended = rows.get(0).channels().length;
    int size = shape.size() + appended;
    float[] samples = new float[rows.size() * size];
    float[] timesteps = new float[rows.size()];
    int row = 0;
    for (DenoisingTrajectory trajectory : batch) {
      int first = row * size + (appendedFirst ? appended : 0);
      trajectory.state().modelInput(samples, first);
      for (Row condition : trajectory.conditions()) {
        int start = row * size + (appendedFirst ? appended : 0);
        if (start != first) {
          System.arraycopy(samples, first, samples, start, shape.size());
        }
        append(
            trajectory,
            condition.channels(),
            samples,
            appendedFirst ? row * size : start + shape.size());
        timesteps[row] = logSigma ? logSigma(trajectory) : (float) trajectory.timestep();
        row++;
      }
    }
    boolean open = gate == null || rows.stream().anyMatch(this::opens);
    int given = open ? inputs.size() : gate.inputs();
    HostTensor[] arguments = new HostTensor[2 + given];
    arguments[0] =
        new HostTensor.Floats(
            samples,
            rows.size(),
            shape.channels() + appended / shape.plane(),
            shape.height(),
            shape.width());
    arguments[1] = new HostTensor.Floats(timesteps, rows.size());
    for (int i = 0; i < given; i++) {
      arguments[2 + i] = inputs.get(i).tensor(rows, i);
    }
    return network.call(open ? "forward" : gate.method(), arguments);
  }

  private static float logSigma(DenoisingTrajectory trajectory) {
    SamplingPlan plan = trajectory.state().plan();
    int call = trajectory.state().call();
    return (float) (0.25 * Math.log(plan.noiseLevel(call) / plan.signalLevel(call)));
  }

  private boolean opens(Row row) {
    return ((float[]) row.inputs().get(inputs.size() - 1))[0] != 0;
  }

  private void append(
      DenoisingTrajectory trajectory, float[] channels, float[] target, int offset) {
    if (!scaleAppended) {
      System.arraycopy(channels, 0, target, offset, channels.length);
      return;
    }
    double scale = trajectory.state().plan().inputScale(trajectory.state().call());
    for (int i = 0; i < channels.length; i++) {
      target[offset + i] = (float) (scale * channels[i]);
    }
  }
}
