package io.github.flinkdiffusion.ops.engine;

import ai.djl.MalformedModelException;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.nn.Block;
import ai.djl.nn.Parameter;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.training.GradientCollector;
import ai.djl.training.ParameterStore;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A network whose archive's {@code forward} returns a scalar loss, trained by AdamW with an
 * exponential moving average of its weights beside it.
 *
 * <p>One thread at a time; one network in training per process, as DJL's gradient collector
 * demands.
 */
public final class TrainableNetwork implements AutoCloseable {
  /**
   * DJL clips gradients to +-limit whenever the limit is not negative: zero would stop all
   * learning.
   */
  private static final float NO_CLIPPING = -1;

  private final Model model;
  private final Block block;
  private final NDManager manager;
  private final ParameterStore store;
  private final List<Weight> weights = new ArrayList<>();
  private int updates;

  private TrainableNetwork(Model model) {
    this.model = model;
    this.block = model.getBlock();
    this.manager = model.getNDManager();
    this.store = new ParameterStore(manager, false);
    block.freezeParameters(false);
    for (var pair : block.getParameters()) {
      Parameter parameter = pair.getValue();
      NDArray array = parameter.getArray();
      NDArray average = manager.zeros(array.getShape(), array.getDataType());
      average.addi(array);
      weights.add(
          new Weight(
              parameter.getName(),
              array,
              manager.zeros(array.getShape(), array.getDataType()),
              manager.zeros(array.getShape(), array.getDataType()),
              average));
    }
    if (weights.isEmpty()) {
      throw new EngineException("Network " + model.getName() + " has no parameter to train.");
    }
  }

  /** Loads an archive of float32 weights for training. */
  public static TrainableNetwork load(Path archive, DeviceSpec device) {
    Torch.engine();
    Model model = Model.newInstance(archive.getFileName().toString(), device.toDjl(), Torch.ENGINE);
    try {
      model.load(archive, null, Map.of("trainParam", "true", "mapLocation", "true"));
      return new TrainableNetwork(model);
    } catch (IOException | MalformedModelException e) {
      model.close();
      throw new EngineException(
          "Network " + archive + " could not be loaded for training: " + e.getMessage(), e);
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  /**
   * One step of AdamW (Loshchilov & Hutter 2019) on one batch.
   *
   * @return the loss before the step
   */
  public float step(
      AdamW optimizer, double learningRate, double averageDecay, HostTensor... inputs) {
    JniUtils.setGraphExecutorOptimize(false);
    Engine engine = Torch.engine();
    float loss;
    try (NDManager scope = manager.newSubManager();
        GradientCollector collector = engine.newGradientCollector()) {
      NDList arguments = TensorCalls.arguments(scope, "forward", inputs);
      NDArray result = block.forward(store, arguments, true).singletonOrThrow();
      result.attach(scope);
      collector.backward(result);
      loss = result.getFloat();
    } catch (RuntimeException e) {
      throw TensorCalls.translate("A training step of " + model.getName(), e);
    }
    updates++;
    double correction =
        Math.sqrt(1 - Math.pow(optimizer.beta2(), updates))
            / (1 - Math.pow(optimizer.beta1(), updates));
    for (Weight weight : weights) {
      weight.update(optimizer, learningRate, learningRate * correction, averageDecay);
    }
    return loss;
  }

  /** The averaged weights, in the order of the archive's parameters. */
  public List<NamedWeight> averagedWeights() {
    return weights.stream()
        .map(w -> new NamedWeight(w.name, TensorCalls.toHost(w.average)))
        .toList();
  }

  /** Everything that the next step depends on, copied to the heap. */
  public TrainingState state() {
    return new TrainingState(
        updates,
        weights.stream()
            .map(
                w ->
                    new WeightState(
                        w.name,
                        TensorCalls.toHost(w.value),
                        TensorCalls.toHost(w.mean),
                        TensorCalls.toHost(w.variance),
                        TensorCalls.toHost(w.average)))
            .toList());
  }

  /**
   * Takes up a state, so that the next step is the one that followed it.
   *
   * @throws EngineException if the state is not of a network with the same parameters
   */
  public void restore(TrainingState state) {
    Map<String, WeightState> byName = new HashMap<>();
    state.weights().forEach(weight -> byName.put(weight.identifier(), weight));
    for (Weight weight : weights) {
      WeightState saved = byName.get(weight.name);
      if (saved == null
          || !Arrays.equals(saved.value().shape(), weight.value.getShape().getShape())) {
        throw new EngineException(
            "The training state has no parameter %s of shape %s; it was saved from another network."
                .formatted(weight.name, weight.value.getShape()));
      }
    }
    for (Weight weight : weights) {
      weight.set(byName.get(weight.name));
    }
    updates = state.updates();
  }

  @Override
  public void close() {
    weights.forEach(Weight::close);
    model.close();
  }

  /**
   * A weight's value on the heap.
   *
   * @param identifier the archive's attribute
   * @param value its elements
   */
  public record NamedWeight(String identifier, HostTensor.Floats value) {}

  /**
   * A training between two steps.
   *
   * @param updates steps made
   * @param weights one for each parameter
   */
  public record TrainingState(int updates, List<WeightState> weights) {
    public TrainingState {
      weights = List.copyOf(weights);
    }
  }

  /**
   * One parameter between two steps; all four tensors are of its shape.
   *
   * @param identifier the archive's attribute
   * @param value the parameter itself
   * @param mean AdamW's first moment
   * @param variance AdamW's second moment
   * @param average the exponential moving average of the value
   */
  public record WeightState(
      String identifier,
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
  public record AdamW(double beta1, double beta2, double epsilon, double weightDecay) {
    public static final AdamW DEFAULT = new AdamW(0.9, 0.999, 1e-8, 0.0);
  }

  private record Weight(
      String name, NDArray value, NDArray mean, NDArray variance, NDArray average) {
    void update(AdamW optimizer, double learningRate, double correctedRate, double averageDecay) {
      try (NDArray gradient = value.getGradient()) {
        value
            .getNDArrayInternal()
            .adamUpdate(
                new NDList(value, gradient, mean, variance),
                new NDList(value),
                (float) learningRate,
                (float) correctedRate,
                (float) optimizer.weightDecay(),
                1f,
                NO_CLIPPING,
                (float) optimizer.beta1(),
                (float) optimizer.beta2(),
                (float) optimizer.epsilon(),
                false,
                true);
      }
      try (NDArray difference = value.sub(average)) {
        average.addi(difference.muli(1 - averageDecay));
      }
    }

    void set(WeightState state) {
      value.set(FloatBuffer.wrap(state.value().data()));
      mean.set(FloatBuffer.wrap(state.mean().data()));
      variance.set(FloatBuffer.wrap(state.variance().data()));
      average.set(FloatBuffer.wrap(state.average().data()));
    }

    void close() {
      mean.close();
      variance.close();
      average.close();
    }
  }
}
