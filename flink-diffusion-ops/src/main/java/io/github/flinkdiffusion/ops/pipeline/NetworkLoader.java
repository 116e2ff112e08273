package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.LoadedNetwork;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.ParameterSource;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Brings a graph and its weights together on a device. */
final class NetworkLoader {
  private final DeviceSpec device;
  private final StorageType storage;

  /**
   * @param device where networks go
   * @param storage precision of their weights there
   */
  NetworkLoader(DeviceSpec device, StorageType storage) {
    this.device = device;
    this.storage = storage;
  }

  /**
   * Writes the archive to a temporary file, loads it and deletes the file.
   *
   * @throws WeightsException for a parameter that is missing or has another shape than the config
   *     asks for
   */
  LoadedNetwork load(String name, Graph graph, TensorStore weights) {
    Path folder = null;
    try {
      folder = Files.createTempDirectory("flink-diffusion");
      Path archive = folder.resolve(name + ".pt");
      new ArchiveWriter(graph, storage).write(archive, new StoredWeights(weights, dtype(storage)));
      return LoadedNetwork.load(archive, device);
    } catch (IOException e) {
      throw new UncheckedIOException(
          "The archive of "
              + name
              + " ("
              + weights.source()
              + ") could not be written: "
              + e.getMessage(),
          e);
    } finally {
      delete(folder, name);
    }
  }

  private static void delete(Path folder, String name) {
    if (folder == null) {
      return;
    }
    try {
      Files.deleteIfExists(folder.resolve(name + ".pt"));
      Files.deleteIfExists(folder);
    } catch (IOException e) {
      throw new UncheckedIOException(
          "The temporary folder " + folder + " could not be deleted.", e);
    }
  }

  private static DType dtype(StorageType storage) {
    return switch (storage) {
      case FLOAT32 -> DType.F32;
      case FLOAT16 -> DType.F16;
      case BFLOAT16 -> DType.BF16;
    };
  }

  /** A model folder's tensors, checked against the shapes that the config implies. */
  private record StoredWeights(TensorStore store, DType dtype) implements ParameterSource {
    @Override
    public void write(String name, long[] shape, java.io.OutputStream out) throws IOException {
      TensorInfo info = store.info(name);
      if (!Arrays.equals(info.shape(), shape)) {
        throw new WeightsException(
            "Weights %s: tensor %s has shape %s where the config asks for %s"
                .formatted(
                    store.source(), name, Arrays.toString(info.shape()), Arrays.toString(shape)));
      }
      store.writeTo(name, dtype, out);
    }
  }
}
