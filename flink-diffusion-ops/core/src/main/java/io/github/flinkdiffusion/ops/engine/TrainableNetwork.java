package io.github.flinkdiffusion.ops.engine;

import java.util.List;
import java.util.Optional;

/**
 * A network whose {@code forward} returns a scalar loss, trained by AdamW with an exponential
 * moving average of its weights beside it.
 *
 * <p>One thread at a time; one network in training per process.
 */
public interface TrainableNetwork extends AutoCloseable {
  /**
   * One step of AdamW (Loshchilov & Hutter 2019) on one batch.
   *
   * @return the loss before the step
   */
  float step(AdamW optimizer, double learningRate, double averageDecay, HostTensor... inputs);

  /** The averaged weights, in the order of the graph's parameters. */
  List<NamedWeight> averagedWeights();

  /** Everything that the next step depends on, copied to the heap. */
  TrainingState state();

  /**
   * Takes up a state, so that the next step is the one that followed it.
   *
   * @throws EngineException if the state is not of a network with the same parameters
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
   * @param weights one for each parameter
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
   * One parameter between two steps; all four tensors are of its shape.
   *
   * @param name the parameter, as the graph names it
   * @param value the parameter itself
   * @param mean AdamW's first moment
   * @param variance AdamW's second moment
   * @param average the exponential moving average of the value
   */
  record WeightState(
      String name,
      HostTensor.Floats value,
      HostTensor.Floats mean,
      HostTensor.Floats variance,
      HostTensor.Floats average) {}

  /**
   * AdamW's constants.
   *
   * @param beta1 decay of the first moment
   * @param beta2 decay of the second moment
   * @param epsilon added to the root of the second moment
   * @param weightDecay decoupled weight decay
   */
  record AdamW(double beta1, double beta2, double epsilon, double weightDecay) {
    public static final AdamW DEFAULT = new AdamW(0.9, 0.999, 1e-8, 0.0);
  }
}
