/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import ai.djl.MalformedModelException;
import ai.djl.Model;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
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
import io.github.flinkdiffusion.ops.engine.Optimizer;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Predicate;

/** An archive in training. One network per process, as DJL's gradient collector demands. */
final class TorchTraining implements TrainableNetwork {
  private final Model model;
  private final Block block;
  private final NDManager manager;
  private final ParameterStore store;
  private final List<TrainedWeight> weights = new ArrayList<>();
  private int updates;

  private TorchTraining(Model model, Map<String, String> names, Predicate<String> trained) {
    this.model = model;
    this.block = model.getBlock();
    this.manager = model.getNDManager();
    this.store = new ParameterStore(manager, false);
    Map<String, NDArray> averages = new HashMap<>();
    for (var pair : block.getParameters()) {
      String name = names.get(pair.getValue().getName());
      if (name.startsWith(AVERAGE_PREFIX)) {
        averages.put(name.substring(AVERAGE_PREFIX.length()), pair.getValue().getArray());
      }
    }
    for (var pair : block.getParameters()) {
      Parameter parameter = pair.getValue();
      String name = names.get(parameter.getName());
      boolean changes = !name.startsWith(AVERAGE_PREFIX) && trained.test(name);
      parameter.freeze(!changes);
      if (changes) {
        weights.add(new TrainedWeight(name, parameter.getArray(), averages.get(name), manager));
      }
    }
    if (weights.isEmpty()) {
      throw new EngineException(
          "Network %s has no parameter to train; it has %s."
              .formatted(model.getName(), names.values()));
    }
  }

  /**
   * Loads an archive of float32 weights for training.
   *
   * @param names the graph's name of each of the archive's parameters
   * @param trained which of them change
   */
  static TorchTraining load(
      Path archive, Map<String, String> names, Predicate<String> trained, DeviceSpec device) {
    Torch.engine();
    Model model =
        Model.newInstance(archive.getFileName().toString(), Torch.device(device), Torch.ENGINE);
    try {
      model.load(archive, null, Map.of("trainParam", "true", "mapLocation", "true"));
      return new TorchTraining(model, names, trained);
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
  public float accumulate(double share, HostTensor... inputs) {
    JniUtils.setGraphExecutorOptimize(false);
    try (NDManager scope = manager.newSubManager();
        GradientCollector collector = Torch.engine().newGradientCollector()) {
      NDList arguments = TensorCalls.arguments(scope, "forward", inputs);
      NDArray result = block.forward(store, arguments, true).singletonOrThrow();
      result.attach(scope);
      NDArray part = share == 1 ? result : result.mul(share);
      part.attach(scope);
      collector.backward(part);
      return result.getFloat();
    } catch (RuntimeException e) {
      throw TensorCalls.translate("A training step of " + model.getName(), e);
    }
  }

  @Override
  public double gradientNorm() {
    try (NDManager scope = manager.newSubManager()) {
      NDList norms = new NDList(weights.size());
      for (TrainedWeight weight : weights) {
        NDArray gradient = weight.gradient();
        gradient.attach(scope);
        NDArray norm = gradient.norm();
        norm.attach(scope);
        norms.add(norm);
      }
      NDArray all = NDArrays.stack(norms);
      all.attach(scope);
      NDArray norm = all.norm();
      norm.attach(scope);
      return norm.getFloat();
    }
  }

  @Override
  public void update(
      Optimizer optimizer, double learningRate, double gradientScale, double averageDecay) {
    updates++;
    for (TrainedWeight weight : weights) {
      // A scope a weight, since Adafactor's memory is to be one weight's at a time.
      try (NDManager scope = manager.newSubManager()) {
        weight.update(optimizer, learningRate, gradientScale, averageDecay, updates, scope);
      }
    }
  }

  @Override
  public void discard() {
    weights.forEach(TrainedWeight::clearGradient);
  }

  @Override
  public void seed(long seed) {
    JniUtils.setSeed(seed);
  }

  @Override
  public List<NamedWeight> weights() {
    return named(TrainedWeight::value);
  }

  @Override
  public List<NamedWeight> averagedWeights() {
    return named(TrainedWeight::average);
  }

  @Override
  public List<NamedWeight> gradients() {
    return weights.stream()
        .map(
            weight -> {
              try (NDArray gradient = weight.gradient()) {
                return new NamedWeight(weight.name(), TensorCalls.toHost(gradient));
              }
            })
        .toList();
  }

  private List<NamedWeight> named(Function<TrainedWeight, NDArray> part) {
    return weights.stream()
        .map(weight -> new NamedWeight(weight.name(), TensorCalls.toHost(part.apply(weight))))
        .toList();
  }

  @Override
  public TrainingState state() {
    return new TrainingState(updates, weights.stream().map(TrainedWeight::state).toList());
  }

  @Override
  public void restore(TrainingState state) {
    for (TrainedWeight weight : weights) {
      WeightState saved = state.weight(weight.name()).orElse(null);
      if (saved == null || !weight.fits(saved)) {
        throw new EngineException(
            "The training state has no parameter %s of shape %s; it was saved from another network."
                .formatted(weight.name(), weight.value().getShape()));
      }
    }
    for (TrainedWeight weight : weights) {
      weight.restore(state.weight(weight.name()).orElseThrow());
    }
    updates = state.updates();
  }

  @Override
  public void close() {
    weights.forEach(TrainedWeight::close);
    model.close();
  }
}
