package io.github.flinkdiffusion.ops.torch;

import ai.djl.MalformedModelException;
import ai.djl.Model;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.nn.Block;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.training.ParameterStore;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.NativeMemory;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;

/** A TorchScript archive on a device. */
public final class TorchNetwork implements Network {
  private final String name;
  private final Model model;
  private final Block block;
  private final NDManager manager;
  private final ParameterStore parameters;
  private final AtomicBoolean closed = new AtomicBoolean();

  private TorchNetwork(String name, Model model) {
    this.name = name;
    this.model = model;
    this.block = model.getBlock();
    this.manager = model.getNDManager();
    this.parameters = new ParameterStore(manager, false);
  }

  /**
   * Loads an archive.
   *
   * @param archive a TorchScript archive
   * @param device where its weights go and its calls run
   */
  public static TorchNetwork load(Path archive, DeviceSpec device) {
    Torch.engine();
    if (!device.isGpu()) {
      AllocatorAdvice.give();
    }
    String name = archive.getFileName() + " on " + device;
    if (!device.isGpu()) {
      requireMemory(name, archive);
    }
    Model model =
        Model.newInstance(archive.getFileName().toString(), Torch.device(device), Torch.ENGINE);
    try {
      // By path: a load from a stream holds the file in memory twice.
      model.load(archive, null, Map.of("mapLocation", "true"));
      return new TorchNetwork(name, model);
    } catch (IOException | MalformedModelException e) {
      model.close();
      throw new EngineException("Network " + name + " could not be loaded: " + e.getMessage(), e);
    } catch (RuntimeException e) {
      model.close();
      throw TensorCalls.translate("Loading network " + name, e);
    }
  }

  /** The library copies the weights, and ends the process when it gets no memory for them. */
  private static void requireMemory(String name, Path archive) {
    long bytes;
    try {
      bytes = Files.size(archive);
    } catch (IOException e) {
      return; // loading says so
    }
    NativeMemory memory = NativeMemory.ofProcess();
    if (memory.available().orElse(Long.MAX_VALUE) < bytes) {
      memory.giveBackFree();
      long left = memory.available().orElse(Long.MAX_VALUE);
      if (left < bytes) {
        throw new EngineException(
            "Network %s takes %d MiB of native memory; the process may take %d MiB more. Give it more memory beside the Java heap (taskmanager.memory.task.off-heap.size, the container's limit), or run the model on another device."
                .formatted(name, bytes >> 20, left >> 20));
      }
    }
  }

  @Override
  public HostTensor.Floats call(String method, Tensor... inputs) {
    // The switch is per thread: networks are called with few shapes for a long time by a thread
    // that may be young, and the
    // profiling executor's first calls take seconds for what it gains.
    JniUtils.setGraphExecutorOptimize(false);
    try (NDManager scope = manager.newSubManager()) {
      NDList arguments = TensorCalls.arguments(scope, method, inputs);
      NDArray result = block.forward(parameters, arguments, false).singletonOrThrow();
      result.attach(scope);
      return TensorCalls.toHost(result);
    } catch (RuntimeException e) {
      throw TensorCalls.translate("Calling " + method + " of " + name, e);
    }
  }

  @Override
  public List<DeviceTensor> callOnDevice(String method, Tensor... inputs) {
    JniUtils.setGraphExecutorOptimize(false);
    List<DeviceTensor> results = new ArrayList<>();
    try (NDManager scope = manager.newSubManager()) {
      NDList arguments = TensorCalls.arguments(scope, method, inputs);
      for (NDArray result : block.forward(parameters, arguments, false)) {
        result.attach(manager);
        results.add(new TorchTensor(result));
      }
      return results;
    } catch (RuntimeException e) {
      results.forEach(DeviceTensor::close);
      throw TensorCalls.translate("Calling " + method + " of " + name, e);
    }
  }

  /**
   * Native tensors that the network's own scope holds; it stays the same from call to call, or
   * something leaks.
   */
  public int nativeTensors() {
    return manager.getManagedArrays().size();
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      model.close();
    }
  }
}
