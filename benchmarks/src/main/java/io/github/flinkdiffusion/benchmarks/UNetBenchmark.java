package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import io.github.flinkdiffusion.ops.torch.TorchEngine;
import io.github.flinkdiffusion.ops.torch.TorchNetwork;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.Sha256;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** P2: one step of Stable Diffusion 1.5's denoising network, full size, beside diffusers. */
@Command(
    name = "unet",
    mixinStandardHelpOptions = true,
    description = "A step of a full-size Stable Diffusion 1.5 UNet beside diffusers.")
final class UNetBenchmark extends BenchmarkCommand {
  private static final String PEER = "diffusers";
  private static final String COMPILED = "diffusers, torch.compile";
  private static final int LATENT_SCALE = 8;
  private static final int TOKENS = 77;
  private static final float TIMESTEP = 500;

  /** Who runs the archive that this project writes. */
  enum Runtime {
    DJL("Flink Diffusion"),
    TORCHSCRIPT_PYTHON("Flink Diffusion's archive in Python's torch.jit.load");

    private final String subject;

    Runtime(String subject) {
      this.subject = subject;
    }
  }

  /**
   * The network's shapes.
   *
   * @param folder with config.json and weights
   * @param channels of the latent
   * @param latent its side
   * @param context size of a token's embedding
   */
  private record Network(Path folder, int channels, int latent, int context) {}

  @Option(
      names = "--runtime",
      paramLabel = "NAME",
      description =
          "djl, this process; or torchscript-python, where DJL has no CUDA library: the archives"
              + " that this project writes run in Python (default: ${DEFAULT-VALUE}).")
  private String runtimeName = "djl";

  @Option(
      names = "--device",
      paramLabel = "NAME",
      description =
          "auto, cpu or gpu:N, for all sides; auto takes a GPU if the runtime sees one (default:"
              + " ${DEFAULT-VALUE}).")
  private String deviceName = "auto";

  @Option(
      names = "--pixels",
      paramLabel = "N",
      description = "Side of the picture (default: 256 on the CPU, 512 on a GPU).")
  private int pixels;

  @Option(
      names = "--batches",
      paramLabel = "N",
      split = ",",
      description = "Rows of a call (default: 1,2 on the CPU, 1,2,4,8,16 on a GPU).")
  private List<Integer> batches = List.of();

  @Option(
      names = "--precisions",
      paramLabel = "NAME",
      split = ",",
      description = "(default: FLOAT32,BFLOAT16 on the CPU, FLOAT16 on a GPU).")
  private List<Precision> precisions = List.of();

  @Option(names = "--compile", description = "Measures the peer under torch.compile, too.")
  private boolean compile;

  @Option(
      names = "--cache",
      paramLabel = "FOLDER",
      description =
          "Where the random weights (3.4 GB) and the archives (as much again) are kept (default:"
              + " benchmarks/target/models).")
  private Path cache = RunOptions.home().resolve("benchmarks/target/models");

  private final Map<String, List<Double>> bars = new LinkedHashMap<>();
  private final List<String> scenarios = new ArrayList<>();

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    Runtime runtime = runtime();
    if (runtime == Runtime.TORCHSCRIPT_PYTHON && options().python().isEmpty()) {
      throw new BenchmarkException("--runtime torchscript-python needs --python.");
    }
    if (options().python().isEmpty()) {
      BenchmarkResult.Builder result =
          result(runtime, Engines.standard().device(deviceName).isGpu());
      result.note("diffusers was not measured: no --python was given.");
      measure(result, runtime, Engines.standard().device(deviceName), null);
      return result;
    }
    try (PythonPeer peer =
        PythonPeer.start(options().python().get(), RunInfo.configuredThreads())) {
      peer.versions().forEach(this::version);
      DeviceSpec device = device(runtime, peer);
      if (device.isGpu()) {
        version("GPU", peer.gpu());
      }
      BenchmarkResult.Builder result = result(runtime, device.isGpu());
      measure(result, runtime, device, peer);
      return result;
    }
  }

  private Runtime runtime() {
    return switch (runtimeName) {
      case "djl" -> Runtime.DJL;
      case "torchscript-python" -> Runtime.TORCHSCRIPT_PYTHON;
      default ->
          throw new BenchmarkException(
              "There is no runtime '%s'; use djl or torchscript-python.".formatted(runtimeName));
    };
  }

  /** In Python's runtime it is Python that sees the GPUs. */
  private DeviceSpec device(Runtime runtime, PythonPeer peer) {
    if (runtime == Runtime.DJL || deviceName.equals("cpu")) {
      return Engines.standard().device(deviceName);
    }
    if (deviceName.equals("auto")) {
      return peer.gpu().isEmpty() ? DeviceSpec.CPU : new DeviceSpec(0);
    }
    return new DeviceSpec(Integer.parseInt(deviceName.substring(deviceName.indexOf(':') + 1)));
  }

  private BenchmarkResult.Builder result(Runtime runtime, boolean gpu) {
    if (pixels == 0) {
      pixels = gpu ? 512 : 256;
    }
    if (batches.isEmpty()) {
      batches = options().smoke() ? List.of(1) : gpu ? List.of(1, 2, 4, 8, 16) : List.of(1, 2);
    }
    if (precisions.isEmpty()) {
      precisions =
          gpu ? List.of(Precision.FLOAT16) : List.of(Precision.FLOAT32, Precision.BFLOAT16);
    }
    return new BenchmarkResult.Builder(
        "Engine: a step of Stable Diffusion 1.5's UNet",
        """
        One call of the denoising network in its full size (860 million weights, random), for pictures of %d x %d pixels:
        the same weights' file, inputs and precision on all sides, on %s. A guided picture takes two rows of a call. Our
        side is run by %s. It includes copying a call's inputs from the Java heap and its result back; the peer's inputs
        are tensors already.
        """
            .formatted(
                pixels,
                pixels,
                gpu ? "a GPU" : "the CPU",
                runtime == Runtime.DJL ? "DJL in this process" : "Python's torch.jit.load"));
  }

  private void measure(
      BenchmarkResult.Builder result, Runtime runtime, DeviceSpec device, PythonPeer peer)
      throws Exception {
    Network network = network();
    for (Precision precision : precisions) {
      ArchiveWriter writer =
          new ArchiveWriter(
              RandomStableDiffusion.unetGraph(Config.read(network.folder().resolve("config.json"))),
              precision,
              Arithmetic.AS_STORED,
              TorchEngine.convolutions(device, precision));
      Path archive = archive(network.folder(), precision, writer);
      Map<String, Object> peerNetwork =
          Map.of(
              "folder", network.folder().toString(),
              "dtype", precision.name(),
              "device", torchDevice(device));
      List<String> inPeer = new ArrayList<>();
      if (peer != null) {
        inPeer.add(PEER);
        peer.ask("open_unet", with(peerNetwork, Map.of("name", PEER, "compiled", false)));
        if (compile) {
          inPeer.add(COMPILED);
          peer.ask("open_unet", with(peerNetwork, Map.of("name", COMPILED, "compiled", true)));
        }
      }
      if (runtime == Runtime.TORCHSCRIPT_PYTHON) {
        peer.ask(
            "open_archive",
            Map.of(
                "name",
                runtime.subject,
                "path",
                archive.toString(),
                "device",
                torchDevice(device)));
        inPeer.add(0, runtime.subject);
        measure(result, runtime, network, precision, null, inPeer, peer);
      } else {
        try (TorchNetwork loaded = TorchNetwork.load(archive, device)) {
          measure(result, runtime, network, precision, loaded, inPeer, peer);
        }
      }
      for (String name : inPeer) {
        peer.ask("close", Map.of("name", name));
      }
    }
    result.add(
        Plot.bars(
            "A step of Stable Diffusion 1.5's UNet, %d x %d pixels".formatted(pixels, pixels),
            "",
            "seconds a call, less is better",
            scenarios,
            bars.entrySet().stream()
                .map(each -> new Plot.Series(each.getKey(), List.of(), each.getValue()))
                .toList()));
  }

  /** Of one precision. */
  private void measure(
      BenchmarkResult.Builder result,
      Runtime runtime,
      Network network,
      Precision precision,
      TorchNetwork loaded,
      List<String> inPeer,
      PythonPeer peer)
      throws Exception {
    for (int batch : batches) {
      String scenario = "%s, %d %s".formatted(precision, batch, batch == 1 ? "row" : "rows");
      HostTensor[] inputs = inputs(network, batch);
      Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
      if (loaded != null) {
        subjects.put(runtime.subject, () -> Rounds.seconds(() -> loaded.call("forward", inputs)));
      }
      for (String name : inPeer) {
        subjects.put(name, () -> peer.seconds("call_unet", call(network, name, batch, "")));
      }
      Map<String, Measurement> measured =
          options().rounds().alternate(scenario, "s/call", subjects);
      scenarios.add(scenario);
      measured.forEach(
          (name, each) -> {
            result.add(each);
            bars.computeIfAbsent(name, key -> new ArrayList<>()).add(each.summary().median());
            if (name.equals(PEER) || name.equals(COMPILED)) {
              result.add(
                  Finding.speed(
                      measured.get(runtime.subject),
                      each,
                      name.equals(PEER) ? Goal.atLeast(1.0) : null));
            }
          });
      if (peer != null) {
        float[] ours =
            loaded != null
                ? loaded.call("forward", inputs).data()
                : output(network, runtime.subject, batch, peer);
        result.note(difference(scenario, ours, output(network, PEER, batch, peer)));
      }
    }
  }

  private Network network() throws IOException {
    Path folder =
        options().smoke()
            ? RunOptions.home()
                .resolve("flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1/unet")
            : RandomStableDiffusion.unet(cache);
    Config config = Config.read(folder.resolve("config.json"));
    return new Network(
        folder,
        config.integer("in_channels"),
        options().smoke() ? config.integer("sample_size") : pixels / LATENT_SCALE,
        config.integer("cross_attention_dim"));
  }

  /** Kept beside the weights, by all that decides what is in it but the weights themselves. */
  private Path archive(Path folder, Precision precision, ArchiveWriter writer) throws IOException {
    Path archive =
        (options().smoke() ? Files.createTempDirectory("unet") : cache)
            .resolve(
                "unet-%s-%s.pt"
                    .formatted(
                        precision, new Sha256().add(writer.source()).hex().substring(0, 16)));
    if (!Files.exists(archive)) {
      DType dtype =
          switch (precision) {
            case FLOAT32 -> DType.F32;
            case FLOAT16 -> DType.F16;
            case BFLOAT16 -> DType.BF16;
          };
      try (TensorStore weights =
          Safetensors.open(folder.resolve("diffusion_pytorch_model.safetensors"))) {
        writer.write(archive, (name, shape, out) -> weights.writeTo(name, dtype, out));
      }
    }
    return archive;
  }

  /** The very numbers that the peer draws. */
  private static HostTensor[] inputs(Network network, int batch) {
    TorchGenerator generator = new TorchGenerator(1);
    int sample = batch * network.channels() * network.latent() * network.latent();
    float[] timesteps = new float[batch];
    Arrays.fill(timesteps, TIMESTEP);
    return new HostTensor[] {
      new HostTensor.Floats(
          generator.gaussian(sample),
          batch,
          network.channels(),
          network.latent(),
          network.latent()),
      new HostTensor.Floats(timesteps, batch),
      new HostTensor.Floats(
          generator.gaussian(batch * TOKENS * network.context()), batch, TOKENS, network.context())
    };
  }

  private static Map<String, Object> call(Network network, String name, int batch, String output) {
    return Map.of(
        "name", name,
        "batch", batch,
        "channels", network.channels(),
        "latent", network.latent(),
        "tokens", TOKENS,
        "context", network.context(),
        "timestep", TIMESTEP,
        "output", output);
  }

  private static float[] output(Network network, String name, int batch, PythonPeer peer)
      throws IOException {
    Path file = Files.createTempFile("prediction", ".f32");
    try {
      peer.seconds("call_unet", call(network, name, batch, file.toString()));
      FloatBuffer values =
          ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
      float[] output = new float[values.remaining()];
      values.get(output);
      return output;
    } finally {
      Files.delete(file);
    }
  }

  /** Fast is worth something only if both compute the same. */
  private static String difference(String scenario, float[] ours, float[] theirs) {
    double squares = 0;
    double differences = 0;
    for (int i = 0; i < ours.length; i++) {
      squares += (double) theirs[i] * theirs[i];
      differences += (ours[i] - (double) theirs[i]) * (ours[i] - (double) theirs[i]);
    }
    return "%s: the two sides' results differ by %s of their root mean square."
        .formatted(scenario, Tables.number(Math.sqrt(differences / squares)));
  }

  private static String torchDevice(DeviceSpec device) {
    return device.isGpu() ? "cuda:" + device.gpu() : "cpu";
  }

  private static Map<String, Object> with(Map<String, Object> some, Map<String, Object> more) {
    Map<String, Object> all = new LinkedHashMap<>(some);
    all.putAll(more);
    return all;
  }
}
