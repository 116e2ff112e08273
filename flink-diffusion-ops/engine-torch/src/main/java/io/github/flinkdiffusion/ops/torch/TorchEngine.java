/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import ai.djl.ndarray.NDManager;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.NativeMemory;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.PlacedWeights;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.torchscript.Convolutions;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Predicate;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * libtorch, by DJL: programs become TorchScript archives, which it loads; weights are mapped, but
 * in training.
 */
@Internal
public final class TorchEngine implements Engine {
  /** Where DJL looks for a libtorch that is in no jar. */
  private static final String LIBRARY_PATH = "PYTORCH_LIBRARY_PATH";

  private static final Logger LOG = LoggerFactory.getLogger(TorchEngine.class);

  @Override
  public String name() {
    return "pytorch";
  }

  @Override
  public String library() {
    return "ai.djl.pytorch:pytorch-engine, pytorch-jni and a pytorch-native-* jar of the platform (or PYTORCH_LIBRARY_PATH)";
  }

  @Override
  public boolean isUsable() {
    ClassLoader loader = TorchEngine.class.getClassLoader();
    return loader.getResource("ai/djl/pytorch/engine/PtEngine.class") != null
        && (loader.getResource("native/lib/pytorch.properties") != null
            || System.getenv(LIBRARY_PATH) != null
            || System.getProperty(LIBRARY_PATH) != null);
  }

  @Override
  public String version() {
    return "libtorch " + Torch.engine().getVersion();
  }

  @Override
  public int gpuCount() {
    return Torch.engine().getGpuCount();
  }

  @Override
  public int nativeTensors() {
    try (NDManager scope = Torch.engine().newBaseManager()) {
      return scope.getParentManager().getManagedArrays().size();
    }
  }

  @Override
  public Network load(Program program, DeviceSpec device) {
    try (PlacedWeights placed = PlacedWeights.of(program)) {
      if (!device.isGpu()) {
        compareWithMemory(program.name(), placed.bytes());
      }
      ArchiveWriter writer =
          ArchiveWriter.mapping(
              program.graph(),
              program.precision(),
              convolutions(device, program.precision()),
              placed::place,
              Torch.name(device));
      return TemporaryArchive.with(
          program.name(),
          writer::write,
          archive -> TorchNetwork.load(archive, device, writer.mappedFiles()));
    }
  }

  /** Mapped files take no memory that the system could not take back, so none are refused. */
  private static void compareWithMemory(String name, long bytes) {
    long left = NativeMemory.ofProcess().available().orElse(Long.MAX_VALUE);
    if (left < bytes) {
      LOG.warn(
          "Network {} has {} MiB of weights, and {} MiB of memory are available: what does not fit is read from disk at every call.",
          name,
          bytes >> 20,
          left >> 20);
    }
  }

  @Override
  public TrainableNetwork train(
      Program program, DeviceSpec device, Arithmetic arithmetic, Predicate<String> trained) {
    ArchiveWriter writer = new ArchiveWriter(program.graph(), program.precision(), arithmetic);
    Map<String, String> names = new HashMap<>();
    for (String parameter : program.graph().parameterShapes().keySet()) {
      names.put(writer.identifier(parameter), parameter);
    }
    return TemporaryArchive.with(
        program.name(),
        archive -> writer.write(archive, program.weights()),
        archive -> TorchTraining.load(archive, names, trained, device));
  }

  /** How archives that run on a device in a precision best compute convolutions. */
  public static Convolutions convolutions(DeviceSpec device, Precision precision) {
    boolean x86 = System.getProperty("os.arch").matches("amd64|x86_64");
    return !device.isGpu() && x86 && precision == Precision.FLOAT32
        ? Convolutions.FOR_X86_FLOAT32
        : Convolutions.LIBRARY;
  }
}
