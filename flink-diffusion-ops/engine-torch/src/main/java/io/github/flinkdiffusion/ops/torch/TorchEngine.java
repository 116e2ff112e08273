package io.github.flinkdiffusion.ops.torch;

import ai.djl.ndarray.NDManager;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.torchscript.Convolutions;
import java.util.HashMap;
import java.util.Map;

/** libtorch, by DJL: programs become TorchScript archives, which it loads. */
public final class TorchEngine implements Engine {
  @Override
  public String name() {
    return "torch";
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
    ArchiveWriter writer =
        new ArchiveWriter(
            program.graph(),
            program.precision(),
            Arithmetic.AS_STORED,
            convolutions(device, program.precision()));
    return program
        .kept()
        .map(ArchiveCache::in)
        .orElseGet(ArchiveCache::none)
        .with(
            program.name(),
            writer,
            program.digest(),
            program.weights(),
            archive -> TorchNetwork.load(archive, device));
  }

  @Override
  public TrainableNetwork train(Program program, DeviceSpec device, Arithmetic arithmetic) {
    ArchiveWriter writer = new ArchiveWriter(program.graph(), program.precision(), arithmetic);
    Map<String, String> names = new HashMap<>();
    for (String parameter : program.graph().parameterShapes().keySet()) {
      names.put(writer.identifier(parameter), parameter);
    }
    // Its weights are used once, so an archive of them is never worth keeping.
    return ArchiveCache.none()
        .with(
            program.name(),
            writer,
            program.digest(),
            program.weights(),
            archive -> TorchTraining.load(archive, names, device));
  }

  /** How archives that run on a device in a precision best compute convolutions. */
  public static Convolutions convolutions(DeviceSpec device, Precision precision) {
    boolean x86 = System.getProperty("os.arch").matches("amd64|x86_64");
    return !device.isGpu() && x86 && precision == Precision.FLOAT32
        ? Convolutions.FOR_X86_FLOAT32
        : Convolutions.LIBRARY;
  }
}
