/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import static io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState.AVERAGE;
import static io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState.COLUMN_VARIANCE;
import static io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState.MEAN;
import static io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState.ROW_VARIANCE;
import static io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState.VALUE;
import static io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState.VARIANCE;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Optimizer;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** A parameter in training, its average, and an optimizer's moments of it. */
final class TrainedWeight implements AutoCloseable {
  /**
   * DJL clips gradients to +-limit whenever the limit is not negative: zero would stop all
   * learning.
   */
  private static final float NO_CLIPPING = -1;

  private final String name;
  private final NDArray value;
  private final NDManager manager;
  private final NDArray average;

  /** Whether the network itself computes with the average, and so frees it. */
  private final boolean averageIsParameter;

  /** Made by the first update, since they are the optimizer's. */
  private final Map<String, NDArray> moments = new LinkedHashMap<>();

  /**
   * @param averageParameter a parameter of the network that is to be the average; null if the
   *     network does not compute with it
   */
  TrainedWeight(String name, NDArray value, NDArray averageParameter, NDManager manager) {
    this.name = name;
    this.value = value;
    this.manager = manager;
    this.averageIsParameter = averageParameter != null;
    this.average =
        averageIsParameter
            ? averageParameter
            : manager.zeros(value.getShape(), value.getDataType());
    average.muli(0).addi(value);
  }

  String name() {
    return name;
  }

  NDArray value() {
    return value;
  }

  NDArray average() {
    return average;
  }

  /** Of the caller. Shares memory with the gradient itself. */
  NDArray gradient() {
    return value.getGradient();
  }

  void clearGradient() {
    JniUtils.zeroGrad((PtNDArray) value);
  }

  /**
   * @param step the update's number, from 1
   * @param scope of what is computed meanwhile
   */
  void update(
      Optimizer optimizer,
      double rate,
      double scale,
      double averageDecay,
      int step,
      NDManager scope) {
    try (NDArray gradient = gradient()) {
      if (scale != 1) {
        gradient.muli(scale);
      }
      if (optimizer instanceof Optimizer.AdamW o) {
        adam(gradient, o.beta1(), o.beta2(), o.epsilon(), o.weightDecay(), true, rate, step);
      } else if (optimizer instanceof Optimizer.Adam o) {
        adam(gradient, o.beta1(), o.beta2(), o.epsilon(), o.weightDecay(), false, rate, step);
      } else if (optimizer instanceof Optimizer.Lion o) {
        lion(gradient, o, rate, scope);
      } else {
        adafactor(gradient, (Optimizer.Adafactor) optimizer, rate, step, scope);
      }
    }
    try (NDArray difference = value.sub(average)) {
      average.addi(difference.muli(1 - averageDecay));
    }
  }

  /** DJL clears the gradient, too. */
  private void adam(
      NDArray gradient,
      double beta1,
      double beta2,
      double epsilon,
      double weightDecay,
      boolean decoupled,
      double rate,
      int step) {
    moments(Map.of(MEAN, value.getShape(), VARIANCE, value.getShape()));
    double root = Math.sqrt(1 - Math.pow(beta2, step));
    double corrected = rate * root / (1 - Math.pow(beta1, step));
    value
        .getNDArrayInternal()
        .adamUpdate(
            new NDList(value, gradient, moments.get(MEAN), moments.get(VARIANCE)),
            new NDList(value),
            (float) rate,
            (float) corrected,
            (float) weightDecay,
            1f,
            NO_CLIPPING,
            (float) beta1,
            (float) beta2,
            // torch adds epsilon to the root of the corrected variance, DJL to that of the raw one.
            (float) (epsilon * root),
            false,
            decoupled);
  }

  private void lion(NDArray gradient, Optimizer.Lion lion, double rate, NDManager scope) {
    moments(Map.of(MEAN, value.getShape()));
    NDArray momentum = moments.get(MEAN);
    decay(rate * lion.weightDecay());
    NDArray direction = in(scope, momentum.mul(lion.beta1()));
    direction.addi(in(scope, gradient.mul(1 - lion.beta1())));
    value.subi(in(scope, direction.sign()).muli(rate));
    momentum.muli(lion.beta2()).addi(gradient.muli(1 - lion.beta2()));
    clearGradient();
  }

  private void adafactor(
      NDArray gradient, Optimizer.Adafactor adafactor, double rate, int step, NDManager scope) {
    double fresh = Math.pow(step, adafactor.beta2Decay());
    double relative = Math.min(rate, 1 / Math.sqrt(step));
    long elements = value.size();
    double size =
        Math.max(adafactor.epsilon2(), norm(value, scope) / Math.sqrt(elements)) * relative;
    decay(rate * adafactor.weightDecay());
    Shape shape = value.getShape();
    int rank = shape.dimension();
    NDArray squares = in(scope, gradient.square());
    NDArray estimate;
    if (rank > 1) {
      moments(
          Map.of(
              ROW_VARIANCE, with(shape, rank - 1, 1), COLUMN_VARIANCE, with(shape, rank - 2, 1)));
      NDArray rows = moments.get(ROW_VARIANCE);
      NDArray columns = moments.get(COLUMN_VARIANCE);
      interpolate(rows, in(scope, squares.mean(new int[] {rank - 1}, true)), fresh, scope);
      interpolate(columns, in(scope, squares.mean(new int[] {rank - 2}, true)), fresh, scope);
      NDArray mean =
          in(
              scope,
              in(scope, rows.mean(new int[] {rank - 2}, true))
                  .maximum((float) adafactor.epsilon1()));
      estimate = in(scope, in(scope, rows.mul(columns)).div(mean));
    } else {
      moments(Map.of(VARIANCE, shape));
      estimate = moments.get(VARIANCE);
      interpolate(estimate, squares, fresh, scope);
    }
    double least = adafactor.epsilon1() * adafactor.epsilon1();
    NDArray root = in(scope, in(scope, estimate.maximum((float) least)).sqrt());
    NDArray change = in(scope, gradient.div(root));
    double large = norm(change, scope) / (Math.sqrt(elements) * adafactor.updateLimit());
    value.subi(change.muli(size / Math.max(1, large)));
    clearGradient();
  }

  private static void interpolate(NDArray from, NDArray to, double share, NDManager scope) {
    from.addi(in(scope, to.sub(from)).muli(share));
  }

  private void decay(double share) {
    if (share != 0) {
      value.muli(1 - share);
    }
  }

  private static double norm(NDArray array, NDManager scope) {
    return in(scope, array.norm()).getFloat();
  }

  private static NDArray in(NDManager scope, NDArray array) {
    array.attach(scope);
    return array;
  }

  private static Shape with(Shape shape, int dimension, long size) {
    long[] sizes = shape.getShape().clone();
    sizes[dimension] = size;
    return new Shape(sizes);
  }

  /** Makes the moments that an optimizer has, and refuses those of another. */
  private void moments(Map<String, Shape> wanted) {
    if (moments.isEmpty()) {
      wanted.forEach((part, shape) -> moments.put(part, manager.zeros(shape, DataType.FLOAT32)));
    } else if (!moments.keySet().equals(wanted.keySet())) {
      throw new EngineException(
          ("The training state of parameter %s has the moments %s, the optimizer has %s: continue"
                  + " with the optimizer that the training began with.")
              .formatted(name, moments.keySet(), wanted.keySet()));
    }
  }

  WeightState state() {
    Map<String, HostTensor.Floats> parts = new LinkedHashMap<>();
    parts.put(VALUE, TensorCalls.toHost(value));
    parts.put(AVERAGE, TensorCalls.toHost(average));
    moments.forEach((part, array) -> parts.put(part, TensorCalls.toHost(array)));
    return new WeightState(name, parts);
  }

  boolean fits(WeightState state) {
    return Arrays.equals(state.value().shape(), value.getShape().getShape());
  }

  void restore(WeightState state) {
    closeMoments();
    Set<String> own = Set.of(VALUE, AVERAGE);
    set(value, state.value());
    set(average, state.part(AVERAGE));
    state
        .tensors()
        .forEach(
            (part, tensor) -> {
              if (!own.contains(part)) {
                NDArray moment = manager.zeros(new Shape(tensor.shape()), DataType.FLOAT32);
                set(moment, tensor);
                moments.put(part, moment);
              }
            });
    clearGradient();
  }

  private static void set(NDArray array, HostTensor.Floats tensor) {
    array.set(FloatBuffer.wrap(tensor.data()));
  }

  private void closeMoments() {
    moments.values().forEach(NDArray::close);
    moments.clear();
  }

  @Override
  public void close() {
    closeMoments();
    if (!averageIsParameter) {
      average.close();
    }
  }
}
