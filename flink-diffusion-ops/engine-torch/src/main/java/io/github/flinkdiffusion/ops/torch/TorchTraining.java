package io.github.flinkdiffusion.ops.torch;

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
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** An archive in training. One network per process, as DJL's gradient collector demands. */
final class TorchTraining implements TrainableNetwork {
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

  private TorchTraining(Model model, Map<String, String> names) {
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
              names.get(parameter.getName()),
              array,
              manager.zeros(array.getShape(), array.getDataType()),
              manager.zeros(array.getShape(), array.getDataType()),
              average));
    }
    if (weights.isEmpty()) {
      throw new EngineException("Network " + model.getName() + " has no parameter to train.");
    }
  }

  /**
   * Loads an archive of float32 weights for training.
   *
   * @param names the graph's name of each of the archive's parameters
   */
  static TorchTraining load(Path archive, Map<String, String> names, DeviceSpec device) {
    Torch.engine();
    Model model =
        Model.newInstance(archive.getFileName().toString(), Torch.device(device), Torch.ENGINE);
    try {
      model.load(archive, null, Map.of("trainParam", "true", "mapLocation", "true"));
      return new TorchTraining(model, names);
    } catch (IOException | MalformedModelException e) {
      model.close();
      throw new EngineException(
          "Network " + archive + " could not be loaded for training: " + e.getMessage(), e);
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  @Override
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

  @Override
  public List<NamedWeight> averagedWeights() {
    return weights.stream()
        .map(w -> new NamedWeight(w.name, TensorCalls.toHost(w.average)))
        .toList();
  }

  @Override
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

  @Override
  public void restore(TrainingState state) {
    for (Weight weight : weights) {
      WeightState saved = state.weight(weight.name).orElse(null);
      if (saved == null
          || !Arrays.equals(saved.value().shape(), weight.value.getShape().getShape())) {
        throw new EngineException(
            "The training state has no parameter %s of shape %s; it was saved from another network."
                .formatted(weight.name, weight.value.getShape()));
      }
    }
    for (Weight weight : weights) {
      weight.set(state.weight(weight.name).orElseThrow());
    }
    updates = state.updates();
  }

  @Override
  public void close() {
    weights.forEach(Weight::close);
    model.close();
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
