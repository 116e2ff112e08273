package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.TrainingState;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A training's state as a safetensors file: {@code value.*}, {@code mean.*}, {@code variance.*} and
 * {@code average.*} for each parameter, and {@code updates}. The file is replaced atomically, so a
 * process that is killed while it writes leaves the state before.
 */
public final class TrainingCheckpoint {
  private static final String UPDATES = "updates";
  private static final String VALUE = "value.";
  private static final String MEAN = "mean.";
  private static final String VARIANCE = "variance.";
  private static final String AVERAGE = "average.";

  private TrainingCheckpoint() {}

  /**
   * Writes a state, replacing the file if it exists.
   *
   * @throws WeightsException if the file cannot be written
   */
  public static void write(Path file, TrainingState state) {
    HeapTensors.Builder tensors = HeapTensors.builder();
    tensors.add(UPDATES, new long[] {state.updates()}, 1);
    for (WeightState weight : state.weights()) {
      add(tensors, VALUE + weight.name(), weight.value());
      add(tensors, MEAN + weight.name(), weight.mean());
      add(tensors, VARIANCE + weight.name(), weight.variance());
      add(tensors, AVERAGE + weight.name(), weight.average());
    }
    SafetensorsWriter.write(file, tensors.build());
  }

  private static void add(HeapTensors.Builder tensors, String name, HostTensor.Floats tensor) {
    tensors.add(name, tensor.data(), tensor.shape());
  }

  /**
   * Reads a state that {@link #write} wrote.
   *
   * @throws WeightsException if the file cannot be read, or lacks a tensor
   */
  public static TrainingState read(Path file) {
    try (TensorStore tensors = Safetensors.open(file)) {
      List<WeightState> weights = new ArrayList<>();
      for (String name : tensors.names()) {
        if (name.startsWith(VALUE)) {
          String identifier = name.substring(VALUE.length());
          weights.add(
              new WeightState(
                  identifier,
                  tensor(tensors, name),
                  tensor(tensors, MEAN + identifier),
                  tensor(tensors, VARIANCE + identifier),
                  tensor(tensors, AVERAGE + identifier)));
        }
      }
      long updates = tensors.data(UPDATES).get(0).getLong(0);
      return new TrainingState(Math.toIntExact(updates), weights);
    }
  }

  private static HostTensor.Floats tensor(TensorStore tensors, String name) {
    return new HostTensor.Floats(tensors.floats(name), tensors.info(name).shape());
  }
}
