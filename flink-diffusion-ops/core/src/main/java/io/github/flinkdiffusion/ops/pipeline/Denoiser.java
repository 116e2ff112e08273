/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.StackedTensor;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.network.CachingNetwork;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/** Calls a denoising network with rows of many trajectories at once. */
final class Denoiser {

  /**
   * One of the network's inputs after sample and timestep. A row whose values are none gives zeros.
   *
   * @param wholeNumbers whether it is int64; float32 otherwise
   * @param pixels of an image along a side of one pixel of the sample; 0 for what is no image
   * @param shrunk how much smaller the image's sides are then
   * @param shape of one row, of an image its channels; empty for one number a row. A first size of
   *     {@link #ANY} is each row's own: shorter ones are filled up with zeros
   */
  record Input(boolean wholeNumbers, int pixels, int shrunk, int... shape) {
    static Input floats(int... shape) {
      return new Input(false, 0, 1, shape);
    }

    static Input integers(int... shape) {
      return new Input(true, 0, 1, shape);
    }

    /** Images that are so many times as large as the sample. */
    static Input image(int channels, int factor) {
      return new Input(false, factor, 1, channels);
    }

    /** Images that are so many times smaller than the sample. */
    static Input feature(int channels, int divisor) {
      return new Input(false, 1, divisor, channels);
    }

    /** Size of a dimension that is each row's own, the first. */
    static final int ANY = -1;

    /** Lists of vectors, of each row as many as it has. */
    static Input vectors(int size) {
      return floats(ANY, size);
    }

    private boolean isAny() {
      return shape.length > 0 && shape[0] == ANY;
    }

    /** Of a call: the rows', and of each what is asked for. */
    private long[] batch(List<?> values, SampleShape sample) {
      long[] batch = new long[1 + shape.length + (pixels > 0 ? 2 : 0)];
      batch[0] = values.size();
      for (int i = 0; i < shape.length; i++) {
        batch[i + 1] = shape[i] == ANY ? longest(values) : shape[i];
      }
      if (pixels > 0) {
        batch[shape.length + 1] = (long) pixels * sample.height() / shrunk;
        batch[shape.length + 2] = (long) pixels * sample.width() / shrunk;
      }
      return batch;
    }

    private int longest(List<?> values) {
      int size = 1;
      for (int i = 1; i < shape.length; i++) {
        size *= shape[i];
      }
      int longest = 0;
      for (Object own : values) {
        longest = Math.max(longest, ((float[]) own).length / size);
      }
      return longest;
    }

    /** What a row has; a supplier is asked at each call. */
    private static Object value(Object input) {
      return input instanceof Supplier<?> supplier ? supplier.get() : input;
    }

    /** One input of a call. */
    HostTensor tensor(List<Row> rows, int position, SampleShape sample) {
      List<?> each = rows.stream().map(row -> value(row.inputs().get(position))).toList();
      long[] batch = batch(each, sample);
      long elements = 1;
      for (int i = 1; i < batch.length; i++) {
        elements = Math.multiplyExact(elements, batch[i]);
      }
      int size = Math.toIntExact(elements);
      int all = Math.multiplyExact(rows.size(), size);
      if (wholeNumbers) {
        long[] values = new long[all];
        for (int i = 0; i < rows.size(); i++) {
          long[] own = (long[]) each.get(i);
          System.arraycopy(own, 0, values, i * size, checked(own.length, size));
        }
        return new HostTensor.Longs(values, batch);
      }
      float[] values = new float[all];
      for (int i = 0; i < rows.size(); i++) {
        float[] own = (float[]) each.get(i);
        System.arraycopy(own, 0, values, i * size, checked(own.length, size));
      }
      return new HostTensor.Floats(values, batch);
    }

    private int checked(int length, int size) {
      if (length != size && length != 0 && !isAny()) {
        throw new IllegalArgumentException(
            "A row has %d values where %d are asked for.".formatted(length, size));
      }
      return length;
    }
  }

  private final Network network;
  private final CallArguments arguments;
  private final NetworkParts parts;

  /** Of the features that calls leave; null where each one computes the whole network. */
  private final Features.Memory memory;

  private Denoiser(
      Network network, CallArguments arguments, NetworkParts parts, Features.Memory memory) {
    this.network = network;
    this.arguments = arguments;
    this.parts = parts;
    this.memory = memory;
  }

  /**
   * @param network takes (sample [N,C,H,W], timestep [N], then {@code inputs})
   * @param inputs shapes of what {@link Row#inputs} holds
   */
  static Denoiser of(Network network, Input... inputs) {
    return new Denoiser(
        network, new CallArguments(List.of(inputs), false, false, false), NetworkParts.NONE, null);
  }

  /** The scheduler's input scale applies to the appended channels, too. */
  Denoiser scalingAppended() {
    return new Denoiser(network, arguments.scalingAppended(), parts, memory);
  }

  /** The network takes the further channels before the sample's. */
  Denoiser appendedFirst() {
    return new Denoiser(network, arguments.withAppendedFirst(), parts, memory);
  }

  /**
   * The network has a part that rows go through whose last input, one number, is not 0; a call
   * without such rows is one of another method, which gives the same and costs less.
   *
   * @param method called then
   * @param count how many of the inputs it takes
   */
  Denoiser gated(String method, int count) {
    return with(NetworkParts.gated(count, arguments.inputs().size(), method));
  }

  /**
   * The network has other methods, which take more inputs: what some rows alone have. A call in
   * which all rows have nothing, or zeros, for the last one is one of those that there were.
   *
   * @param method the name of the one like another, which takes them after all other inputs
   */
  Denoiser andGated(UnaryOperator<String> method, Input... more) {
    int first = arguments.inputs().size();
    CallArguments all = arguments.and(more);
    NetworkParts.Part part = new NetworkParts.Part(first, all.inputs().size());
    return new Denoiser(network, all, parts.and(part, method), memory);
  }

  /** The network has parts that only some rows go through. */
  Denoiser with(NetworkParts other) {
    return new Denoiser(network, arguments, other, memory);
  }

  /** The network's timestep is log(sigma) / 4, whatever the scheduler's is. */
  Denoiser toldLogSigma() {
    return new Denoiser(network, arguments.withLogSigma(), parts, memory);
  }

  /**
   * The network leaves features to later calls and has methods that take them, see {@link
   * CachingNetwork}.
   *
   * @param bytes of the device that they may take
   */
  Denoiser caching(long bytes) {
    return new Denoiser(network, arguments, parts, new Features.Memory(bytes));
  }

  /** Bytes that trajectories' features take on the device. */
  long featureBytes() {
    return memory == null ? 0 : memory.used();
  }

  /** What a trajectory shows to the network: a state, and the rows that see it. */
  record Shown(SamplerState state, List<Row> rows) {}

  /**
   * What a call left to a trajectory.
   *
   * @param whole whether it computed the whole network for it
   * @param features where its next call needs them and there was room; who takes them closes them
   */
  record Left(boolean whole, Optional<Features> features) {
    private static final Left NOTHING = new Left(true, Optional.empty());
    private static final Left REUSED = new Left(false, Optional.empty());
  }

  /**
   * What a call has computed.
   *
   * @param predictions [rows of all trajectories in order, output channels, H, W], or flat rows
   * @param left one for each trajectory
   */
  record Output(HostTensor.Floats predictions, List<Left> left) {
    void close() {
      left.forEach(each -> each.features().ifPresent(Features::close));
    }
  }

  /**
   * One network call, or none where all continue a series. Where features are missing that it
   * needs, one more before it, which makes them again; where it decides that the whole network is
   * to be computed for some trajectories, one more after it, for these.
   *
   * @param batch all of one shape, with the same number of appended channels, and all with the same
   *     kind of call
   */
  Output call(List<DenoisingTrajectory> batch) {
    return switch (batch.get(0).kind()) {
      case WHOLE -> whole(batch);
      case SHALLOW ->
          new Output(
              withFeatures(CachingNetwork.SHALLOW, batch),
              Collections.nCopies(batch.size(), Left.REUSED));
      case DECIDING -> deciding(batch);
      case CONTINUED -> continued(batch);
    };
  }

  private Output whole(List<DenoisingTrajectory> batch) {
    SampleShape shape = batch.get(0).shape();
    List<Shown> shown = batch.stream().map(DenoisingTrajectory::shown).toList();
    if (memory != null && batch.stream().anyMatch(DenoisingTrajectory::leavesFeatures)) {
      Network.Kept kept = network.callKeepingRows(CachingNetwork.FORWARD, arguments(shown, shape));
      return new Output(kept.result(), left(batch, kept.rows()));
    }
    NetworkParts.Choice choice =
        parts.of(shown.stream().flatMap(each -> each.rows().stream()).toList());
    return new Output(
        network.call(choice.method(), arguments.of(shown, shape, parts, choice)),
        Collections.nCopies(batch.size(), Left.NOTHING));
  }

  private List<Left> left(List<DenoisingTrajectory> batch, List<DeviceTensor> rows) {
    List<Left> left = new ArrayList<>();
    int row = 0;
    for (DenoisingTrajectory trajectory : batch) {
      List<DeviceTensor> own = rows.subList(row, row + trajectory.rows());
      row += trajectory.rows();
      if (trajectory.leavesFeatures()) {
        left.add(new Left(true, memory.keep(own)));
      } else {
        own.forEach(DeviceTensor::close);
        left.add(Left.NOTHING);
      }
    }
    return left;
  }

  /** The call that takes features, for all; then a whole one for those whose have changed. */
  private Output deciding(List<DenoisingTrajectory> batch) {
    HostTensor.Floats decided = withFeatures(CachingNetwork.DECIDING, batch);
    int rows = (int) decided.shape()[0];
    int stride = decided.data().length / rows;
    int size = stride - 2;
    float[] predictions = new float[rows * size];
    for (int row = 0; row < rows; row++) {
      System.arraycopy(decided.data(), row * stride + 2, predictions, row * size, size);
    }
    List<DenoisingTrajectory> changed = new ArrayList<>();
    int row = 0;
    for (DenoisingTrajectory trajectory : batch) {
      if (trajectory.hasChanged(decided.data(), row * stride, stride)) {
        changed.add(trajectory);
      }
      row += trajectory.rows();
    }
    if (changed.isEmpty()) {
      return new Output(
          new HostTensor.Floats(predictions, rows, size),
          Collections.nCopies(batch.size(), Left.REUSED));
    }
    Output whole = whole(changed);
    List<Left> left = new ArrayList<>();
    row = 0;
    int from = 0;
    for (DenoisingTrajectory trajectory : batch) {
      int own = trajectory.rows();
      int next = (int) left.stream().filter(Left::whole).count();
      if (next < changed.size() && changed.get(next) == trajectory) {
        System.arraycopy(
            whole.predictions().data(), from * size, predictions, row * size, own * size);
        from += own;
        left.add(whole.left().get(next));
      } else {
        left.add(Left.REUSED);
      }
      row += own;
    }
    return new Output(new HostTensor.Floats(predictions, rows, size), left);
  }

  private static Output continued(List<DenoisingTrajectory> batch) {
    int rows = batch.stream().mapToInt(DenoisingTrajectory::rows).sum();
    int size = batch.get(0).continuedSize() / batch.get(0).rows();
    float[] predictions = new float[rows * size];
    int row = 0;
    for (DenoisingTrajectory trajectory : batch) {
      trajectory.continueSeries(predictions, row * size);
      row += trajectory.rows();
    }
    return new Output(
        new HostTensor.Floats(predictions, rows, size),
        Collections.nCopies(batch.size(), Left.REUSED));
  }

  /** A call of a method that takes features after all other inputs. */
  private HostTensor.Floats withFeatures(String method, List<DenoisingTrajectory> batch) {
    SampleShape shape = batch.get(0).shape();
    List<DenoisingTrajectory> without =
        batch.stream().filter(each -> each.features().isEmpty()).toList();
    List<DeviceTensor> again =
        without.isEmpty()
            ? List.of()
            : network
                .callKeepingRows(
                    CachingNetwork.FORWARD,
                    arguments(
                        without.stream().map(DenoisingTrajectory::shownWhole).toList(), shape))
                .rows();
    try {
      Iterator<DeviceTensor> made = again.iterator();
      List<DeviceTensor> rows = new ArrayList<>();
      for (DenoisingTrajectory trajectory : batch) {
        if (trajectory.features().isPresent()) {
          rows.addAll(trajectory.features().get().rows());
        } else {
          trajectory.shown().rows().forEach(row -> rows.add(made.next()));
        }
      }
      Tensor[] arguments =
          arguments(batch.stream().map(DenoisingTrajectory::shown).toList(), shape);
      Tensor[] all = Arrays.copyOf(arguments, arguments.length + 1);
      all[arguments.length] = new StackedTensor(rows);
      return network.call(method, all);
    } finally {
      again.forEach(DeviceTensor::close);
    }
  }

  /** Of a call of the whole network. */
  private Tensor[] arguments(List<Shown> batch, SampleShape shape) {
    return arguments.of(batch, shape, parts, NetworkParts.WHOLE);
  }
}
