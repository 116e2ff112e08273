/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import ai.djl.MalformedModelException;
import ai.djl.Model;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.nn.Block;
import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.IValue;
import ai.djl.pytorch.jni.IValueUtils;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.training.ParameterStore;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;

/** A TorchScript archive on a device. */
final class TorchNetwork implements Network {
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
   * Loads an archive that holds its weights.
   *
   * @param archive a TorchScript archive
   * @param device where its weights go and its calls run
   */
  public static TorchNetwork load(Path archive, DeviceSpec device) {
    return load(archive, device, List.of());
  }

  /**
   * Loads an archive.
   *
   * @param archive a TorchScript archive
   * @param device where its weights go and its calls run
   * @param mapped the files that hold its weights ({@link ArchiveWriter#mappedFiles}), each mapped
   *     until the network is closed, or copied to a GPU; empty for an archive that holds them
   *     itself
   */
  public static TorchNetwork load(Path archive, DeviceSpec device, List<Path> mapped) {
    Torch.engine();
    if (!device.isGpu()) {
      AllocatorAdvice.give();
    }
    String name = archive.getFileName() + " on " + device;
    Model model =
        Model.newInstance(archive.getFileName().toString(), Torch.device(device), Torch.ENGINE);
    try {
      // By path: a load from a stream holds the file in memory twice.
      model.load(archive, null, Map.of("mapLocation", "true"));
      TorchNetwork network = new TorchNetwork(name, model);
      if (!mapped.isEmpty()) {
        network.map(mapped);
      }
      return network;
    } catch (IOException | MalformedModelException e) {
      model.close();
      throw new EngineException("Network " + name + " could not be loaded: " + e.getMessage(), e);
    } catch (EngineException e) {
      model.close();
      throw e;
    } catch (RuntimeException e) {
      model.close();
      throw TensorCalls.translate("Loading network " + name, e);
    }
  }

  private void map(List<Path> files) {
    JniUtils.setGraphExecutorOptimize(false);
    IValue[] paths =
        files.stream().map(file -> IValue.from(file.toString())).toArray(IValue[]::new);
    try {
      IValueUtils.runMethod((PtSymbolBlock) block, ArchiveWriter.MAPPING_METHOD, paths).close();
    } catch (RuntimeException e) {
      String what = TensorCalls.line(e, "unable to ");
      if (what.contains("mmap")) {
        throw new EngineException(
            "Network %s: the system does not map a file of its weights: %s. Give the process more address space or the machine more memory, set vm.overcommit_memory to 1, or save the model in shards, which are mapped one by one."
                .formatted(name, what),
            e);
      }
      if (!what.isEmpty()) {
        throw new EngineException(
            "Network %s: a file of its weights cannot be mapped: %s".formatted(name, what), e);
      }
      throw e;
    } finally {
      for (IValue path : paths) {
        path.close();
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
      NDList results = block.forward(parameters, arguments, false);
      results.attach(scope);
      return TensorCalls.toHost(results.get(0));
    } catch (RuntimeException e) {
      throw TensorCalls.translate("Calling " + method + " of " + name, e);
    }
  }

  @Override
  public Kept callKeepingRows(String method, Tensor... inputs) {
    JniUtils.setGraphExecutorOptimize(false);
    List<DeviceTensor> rows = new ArrayList<>();
    try (NDManager scope = manager.newSubManager()) {
      NDList arguments = TensorCalls.arguments(scope, method, inputs);
      NDList results = block.forward(parameters, arguments, false);
      results.attach(scope);
      if (results.size() < 2) {
        throw new IllegalStateException("it has no second result to keep");
      }
      HostTensor.Floats result = TensorCalls.toHost(results.get(0));
      NDArray kept = results.get(1);
      for (NDArray view : kept.split(kept.getShape().get(0), 0)) {
        view.attach(scope);
        // In memory of its own, which is free when this row is.
        NDArray row = view.duplicate();
        row.attach(manager);
        rows.add(new TorchTensor(row));
      }
      return new Kept(result, rows);
    } catch (RuntimeException e) {
      rows.forEach(DeviceTensor::close);
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
