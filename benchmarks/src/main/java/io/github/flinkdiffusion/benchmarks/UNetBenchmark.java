/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** P2: one call of a denoising network, by both engines, beside what else runs it. */
@Command(
    name = "unet",
    mixinStandardHelpOptions = true,
    description =
        "A step of a full-size Stable Diffusion 1.5 UNet, or of another one, by both engines,"
            + " beside diffusers, torch.compile, ONNX Runtime and OpenVINO called from Python.")
class UNetBenchmark extends BenchmarkCommand {
  private static final String WEIGHTS = "diffusion_pytorch_model.safetensors";

  @Option(
      names = "--folder",
      paramLabel = "PATH",
      split = ",",
      description =
          "Folders of a UNet2DConditionModel or UNet2DModel with its weights in one file, such as"
              + " examples/models/mini-emoji/unet (default: Stable Diffusion 1.5's UNet with random"
              + " weights, 3.4 GB).")
  private List<Path> folders = List.of();

  @Option(
      names = "--device",
      paramLabel = "NAME",
      description = "auto, cpu or gpu:N, for all sides (default: ${DEFAULT-VALUE}).")
  private String deviceName = "auto";

  @Option(
      names = "--pixels",
      paramLabel = "N",
      description =
          "Side of the image, eight times the sample's (default: 256 on the CPU, 512 on a GPU; with"
              + " --folder the config's sample_size counts).")
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

  @Option(
      names = "--engines",
      paramLabel = "NAME",
      split = ",",
      description = "Engines of ours (default: ${DEFAULT-VALUE}).")
  private List<String> engines = List.of(Engines.ONNX_RUNTIME, Engines.PYTORCH);

  @Option(
      names = "--peers",
      paramLabel = "NAME",
      split = ",",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private List<UNetPeer> peers = List.of(UNetPeer.EAGER);

  @Option(
      names = "--cache",
      paramLabel = "FOLDER",
      description =
          "Where the random weights (3.4 GB), and what is converted of them, are kept (default:"
              + " benchmarks/target/models).")
  private Path cache = RunOptions.home().resolve("benchmarks/target/models");

  @Option(
      names = "--compile-minutes",
      paramLabel = "N",
      description =
          "How long the first call of torch.compile, which compiles, may take for each number of"
              + " rows; then it is left out (default: ${DEFAULT-VALUE}).")
  private int compileMinutes = 20;

  private final Map<String, List<Double>> bars = new LinkedHashMap<>();
  private final List<String> scenarios = new ArrayList<>();

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    DeviceSpec device = Engines.standard().device(deviceName);
    if (options().python().isEmpty()) {
      BenchmarkResult.Builder result = result(device);
      result.note("Nothing from Python was measured: no --python was given.");
      measure(result, device, null);
      return result;
    }
    try (PythonPeer peer = startPeer()) {
      peer.versions().forEach(this::version);
      if (device.isGpu()) {
        version("GPU", peer.gpu());
      }
      BenchmarkResult.Builder result = result(device);
      measure(result, device, peer);
      return result;
    }
  }

  private PythonPeer startPeer() throws IOException {
    return PythonPeer.start(options().python().get(), RunInfo.configuredThreads());
  }

  private BenchmarkResult.Builder result(DeviceSpec device) {
    boolean gpu = device.isGpu();
    if (pixels == 0) {
      pixels = gpu ? 512 : 256;
    }
    if (folders.isEmpty()) {
      folders = networks();
    }
    if (batches.isEmpty()) {
      batches = options().smoke() ? List.of(1) : gpu ? List.of(1, 2, 4, 8, 16) : List.of(1, 2);
    }
    if (precisions.isEmpty()) {
      precisions =
          gpu ? List.of(Precision.FLOAT16) : List.of(Precision.FLOAT32, Precision.BFLOAT16);
    }
    return new BenchmarkResult.Builder(
        title(),
"""
        One call of a denoising network: the same weights' file, inputs and precision on all sides, on %s. A guided
        image takes two rows of a call. Our side includes copying a call's inputs from the Java heap and its result back;
        the peers' inputs are tensors already. A round of short calls begins with as many that do not count, until the
        other sides' threads no longer wait busily. ONNX Runtime in Python runs the very model that our engine runs,
        OpenVINO what it converts from diffusers' network. %s
"""
            .formatted(
                gpu ? "a GPU" : "the CPU",
                folders.isEmpty() && !options().smoke()
                    ? "The network has 860 million random weights; the image is %d x %d pixels."
                        .formatted(pixels, pixels)
                    : ""));
  }

  /** What the result is called. */
  String title() {
    return "Engine: a step of Stable Diffusion 1.5's UNet";
  }

  /** Folders that are measured when none are named; empty for Stable Diffusion 1.5's UNet. */
  List<Path> networks() {
    return List.of();
  }

  private void measure(BenchmarkResult.Builder result, DeviceSpec device, PythonPeer peer)
      throws Exception {
    if (folders.isEmpty()) {
      measure(result, standard(), device, peer);
    }
    for (Path folder : folders) {
      String name = folder.toAbsolutePath().normalize().getParent().getFileName().toString();
      measure(result, MeasuredNetwork.at(name, folder, Optional.empty()), device, peer);
    }
  }

  private void measure(
      BenchmarkResult.Builder result, MeasuredNetwork subject, DeviceSpec device, PythonPeer peer)
      throws Exception {
    for (Precision precision : precisions) {
      Map<String, Network> ours = new LinkedHashMap<>();
      try (TensorStore weights = Safetensors.open(subject.folder().resolve(WEIGHTS))) {
        Program program = program(subject, precision, weights);
        for (String engine : engines) {
          if (engine.equals(Engines.PYTORCH) || device.isGpu() || precision == Precision.FLOAT32) {
            ours.put(engine, Engines.standard().named(engine).load(program, device));
          }
        }
        Map<UNetPeer, PythonPeer> asked = new EnumMap<>(UNetPeer.class);
        for (UNetPeer each : peer == null ? List.<UNetPeer>of() : peersOf(precision, device)) {
          asked.put(each, peer);
        }
        // In a process of its own, which can be ended.
        try (PythonPeer compiling = asked.containsKey(UNetPeer.COMPILE) ? startPeer() : null) {
          asked.computeIfPresent(UNetPeer.COMPILE, (compile, shared) -> compiling);
          for (Map.Entry<UNetPeer, PythonPeer> each : asked.entrySet()) {
            each.getKey().open(subject, program, device, each.getValue());
          }
          bars.clear();
          scenarios.clear();
          measure(result, subject, precision, ours, asked);
          plot(result, subject, precision);
          for (Map.Entry<UNetPeer, PythonPeer> each : asked.entrySet()) {
            each.getValue().ask("close", Map.of("name", each.getKey().subject()));
          }
        }
      } finally {
        ours.values().forEach(Network::close);
      }
    }
  }

  private void plot(BenchmarkResult.Builder result, MeasuredNetwork subject, Precision precision) {
    result.add(
        Plot.bars(
            "A step of %s in %s".formatted(subject.name(), precision),
            "",
            "seconds a call, less is better",
            scenarios,
            bars.entrySet().stream()
                .map(each -> new Plot.Series(each.getKey(), List.of(), each.getValue()))
                .toList()));
  }

  private List<UNetPeer> peersOf(Precision precision, DeviceSpec device) {
    return peers.stream().filter(each -> each.takes(precision, device)).toList();
  }

  private Program program(MeasuredNetwork subject, Precision precision, TensorStore weights) {
    ParameterSource source =
        new ParameterSource() {
          @Override
          public void write(String name, long[] shape, OutputStream out) throws IOException {
            weights.writeTo(name, precision.type(), out);
          }

          @Override
          public Optional<TensorPlace> place(String name) {
            return weights.place(name).filter(place -> place.dtype() == precision.type());
          }
        };
    return new Program(
        "unet", subject.graph(), precision, source, weights::digest, Optional.of(cache));
  }

  /** Of one precision. */
  private void measure(
      BenchmarkResult.Builder result,
      MeasuredNetwork subject,
      Precision precision,
      Map<String, Network> ours,
      Map<UNetPeer, PythonPeer> asked)
      throws Exception {
    for (int batch : batches) {
      String scenario =
          "%s%s, %d %s"
              .formatted(
                  folders.isEmpty() ? "" : subject.name() + ", ",
                  precision,
                  batch,
                  batch == 1 ? "row" : "rows");
      compile(result, subject, scenario, batch, asked);
      HostTensor[] inputs = subject.inputs(batch);
      Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
      int calls = callsInARound(ours.values().iterator().next(), inputs);
      int uncounted = calls > 1 ? calls : 0;
      ours.forEach(
          (name, network) ->
              subjects.put(
                  name,
                  () -> {
                    call(network, inputs, uncounted);
                    return Rounds.seconds(() -> call(network, inputs, calls)) / calls;
                  }));
      asked.forEach(
          (each, python) -> {
            Map<String, Object> command = each.call(subject, batch, "");
            command.put("calls", calls);
            command.put("uncounted", uncounted);
            subjects.put(each.subject(), () -> python.seconds("call_unet", command));
          });
      Map<String, Measurement> measured =
          options().rounds().alternate(scenario, "s/call", subjects);
      scenarios.add(scenario);
      measured.forEach(
          (name, each) -> {
            result.add(each);
            bars.computeIfAbsent(name, key -> new ArrayList<>()).add(each.summary().median());
          });
      for (String name : ours.keySet()) {
        for (UNetPeer each : asked.keySet()) {
          result.add(
              Finding.ratio(
                  "speed of %s over %s".formatted(name, each.subject()),
                  measured.get(each.subject()),
                  measured.get(name),
                  each.goal()));
        }
      }
      for (UNetPeer each : asked.keySet()) {
        float[] theirs = each.output(subject, batch, asked.get(each));
        for (Map.Entry<String, Network> our : ours.entrySet()) {
          result.note(
              difference(
                  scenario + ", " + our.getKey() + " and " + each.subject(),
                  our.getValue().call("forward", inputs).data(),
                  theirs));
        }
      }
    }
  }

  /** The first call of torch.compile, which compiles: it is left out if that takes too long. */
  private void compile(
      BenchmarkResult.Builder result,
      MeasuredNetwork subject,
      String scenario,
      int batch,
      Map<UNetPeer, PythonPeer> asked) {
    PythonPeer python = asked.get(UNetPeer.COMPILE);
    if (python == null) {
      return;
    }
    Optional<JsonNode> seconds =
        python.askWithin(
            Duration.ofMinutes(compileMinutes),
            "call_unet",
            UNetPeer.COMPILE.call(subject, batch, ""));
    result.note(
        seconds
            .map(each -> "its first call, which compiles, takes %.0f s.".formatted(each.asDouble()))
            .orElse("not compiled within %d minutes, left out.".formatted(compileMinutes))
            .transform(what -> "%s, %s: %s".formatted(scenario, UNetPeer.COMPILE.subject(), what)));
    if (seconds.isEmpty()) {
      asked.remove(UNetPeer.COMPILE);
    }
  }

  private static void call(Network network, HostTensor[] inputs, int times) {
    for (int i = 0; i < times; i++) {
      network.call("forward", inputs);
    }
  }

  /**
   * As many as take a fifth of a second, so that what begins and ends a round does not count. As
   * many go before: the other sides' threads wait busily for a while after their last call.
   */
  private static int callsInARound(Network network, HostTensor[] inputs) throws Exception {
    call(network, inputs, 1);
    double once = Rounds.seconds(() -> call(network, inputs, 1));
    return (int) Math.max(1, Math.min(100, 0.2 / once));
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

  /** Stable Diffusion 1.5's UNet, or a tiny one that shows that all sides run. */
  private MeasuredNetwork standard() throws IOException {
    String name = "Stable Diffusion 1.5's UNet";
    return options().smoke()
        ? MeasuredNetwork.at(
            name,
            RunOptions.home()
                .resolve("flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1/unet"),
            Optional.empty())
        : MeasuredNetwork.at(name, RandomStableDiffusion.unet(cache), Optional.of(pixels));
  }
}
