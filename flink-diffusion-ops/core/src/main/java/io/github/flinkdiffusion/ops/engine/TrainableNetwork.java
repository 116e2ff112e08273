/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * A network whose {@code forward} returns a scalar loss, with the gradients of its trained
 * parameters, an optimizer's moments and an exponential moving average beside it.
 *
 * <p>A step is {@link #accumulate} for one or more batches, then {@link #update} or {@link
 * #discard}. One thread at a time; one network in training per process.
 */
@Internal
public interface TrainableNetwork extends AutoCloseable {
  /**
   * A parameter of this prefix and a trained parameter's name is never trained: it is that
   * parameter's moving average, whatever its first value, so a loss can call the averaged network.
   */
  String AVERAGE_PREFIX = "average.";

  /**
   * Computes the loss of a batch and adds its gradients to those that are there.
   *
   * @param share of the batch in the step: gradients are multiplied by it
   * @return the loss, not multiplied
   */
  float accumulate(double share, HostTensor... inputs);

  /** The L2 norm of all accumulated gradients together. Not finite if one of them is not. */
  double gradientNorm();

  /**
   * Changes the trained parameters and their averages by the accumulated gradients, and clears
   * these.
   *
   * @param optimizer the same in every update
   * @param gradientScale what gradients are multiplied by first, as clipping does
   * @param averageDecay share of the average that stays
   * @throws EngineException if a restored state is of another optimizer
   */
  void update(Optimizer optimizer, double learningRate, double gradientScale, double averageDecay);

  /** Clears the accumulated gradients. */
  void discard();

  /**
   * Seeds what operations draw at random, such as dropout. The next calls' draws follow from the
   * seed alone.
   */
  void seed(long seed);

  /**
   * One step on one batch.
   *
   * @return the loss before the step
   */
  default float step(
      Optimizer optimizer, double learningRate, double averageDecay, HostTensor... inputs) {
    float loss = accumulate(1, inputs);
    update(optimizer, learningRate, 1, averageDecay);
    return loss;
  }

  /** The trained weights, in the order of the graph's parameters. */
  List<NamedWeight> weights();

  /** The averaged weights, in the order of the graph's parameters. */
  List<NamedWeight> averagedWeights();

  /** The accumulated gradients, in the order of the graph's parameters. */
  List<NamedWeight> gradients();

  /** Everything that the next step depends on, copied to the heap. Gradients are no part of it. */
  TrainingState state();

  /**
   * Takes up a state, so that the next step is the one that followed it. Accumulated gradients are
   * cleared.
   *
   * @throws EngineException if the state is not of a network with the same trained parameters
   */
  void restore(TrainingState state);

  /** Frees the network's native memory. */
  @Override
  void close();

  /**
   * A weight's value on the heap.
   *
   * @param name the parameter, as the graph names it
   * @param value its elements
   */
  record NamedWeight(String name, HostTensor.Floats value) {}

  /**
   * A training between two steps.
   *
   * @param updates steps made
   * @param weights one for each trained parameter
   */
  record TrainingState(int updates, List<WeightState> weights) {
    public TrainingState {
      weights = List.copyOf(weights);
    }

    /**
     * A parameter's part.
     *
     * <p>States that were saved by earlier versions have names without dots: {@code w_} and the
     * parameter's name with {@code _} for each {@code .} and {@code -}.
     *
     * @param parameter as the graph names it
     */
    public Optional<WeightState> weight(String parameter) {
      String earlier = "w_" + parameter.replace('.', '_').replace('-', '_');
      return named(parameter).or(() -> named(earlier));
    }

    private Optional<WeightState> named(String name) {
      return weights.stream().filter(weight -> weight.name().equals(name)).findFirst();
    }
  }

  /**
   * One parameter between two steps.
   *
   * @param name the parameter, as the graph names it
   * @param tensors {@link #VALUE}, {@link #AVERAGE} and the optimizer's moments
   */
  record WeightState(String name, Map<String, HostTensor.Floats> tensors) {
    /** The parameter itself. */
    public static final String VALUE = "value";

    /** The exponential moving average of the value, of its shape. */
    public static final String AVERAGE = "average";

    /** First moment of Adam, AdamW and Lion, of the value's shape. */
    public static final String MEAN = "mean";

    /** Second moment of Adam and AdamW, and Adafactor's of a vector, of the value's shape. */
    public static final String VARIANCE = "variance";

    /** Adafactor's means of squares along the last dimension, which has size one. */
    public static final String ROW_VARIANCE = "row_variance";

    /** Adafactor's means of squares along the last dimension but one, which has size one. */
    public static final String COLUMN_VARIANCE = "column_variance";

    public static final List<String> PARTS =
        List.of(VALUE, AVERAGE, MEAN, VARIANCE, ROW_VARIANCE, COLUMN_VARIANCE);

    public WeightState {
      tensors = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
    }

    public HostTensor.Floats value() {
      return part(VALUE);
    }

    /**
     * @throws EngineException if the state has no such part
     */
    public HostTensor.Floats part(String part) {
      HostTensor.Floats tensor = tensors.get(part);
      if (tensor == null) {
        throw new EngineException(
            "The training state of parameter %s has no %s, only %s."
                .formatted(name, part, tensors.keySet()));
      }
      return tensor;
    }
  }
}
