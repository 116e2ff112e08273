/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.DType;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** P7: how long a 2 GB model takes to load, and how much memory, beside from_pretrained. */
@Command(
    name = "load",
    mixinStandardHelpOptions = true,
    description = "Loading a model of 2 GB: time and memory, beside from_pretrained.")
final class LoadBenchmark extends BenchmarkCommand {
  private static final String FIRST = "Flink Diffusion, first opening";
  private static final String OURS = "Flink Diffusion";
  private static final String PEER = "from_pretrained";
  private static final String TOUCHED = "from_pretrained, weights read";
  private static final String TWO = "Flink Diffusion, two processes";
  private static final int HEAP_MIB = 256;
  private static final String METHOD =
      """
      Folders of Stable Diffusion 1.5 (text encoder, UNet, autoencoder; 2.1 GB, random weights), opened on the CPU by a
      new process each round: `Pipelines.open` in a Java process with a heap of %d MiB, by PyTorch unless ONNX Runtime is
      named, and diffusers' `from_pretrained`.
      The files are in the system's cache. A float16 folder is computed in float32: the first opening converts the weights
      and keeps them, later ones map what was kept, and `from_pretrained` converts them each time. A bfloat16 folder is
      computed as it is, and both map its files. `from_pretrained` leaves reading mapped files to the first call, so it is
      measured with every page of them read, too. The first step has two rows of 64 x 64 pixels, and encodes two texts.
      Our memory is read after the thread that checks every weight has ended. Weights as computed are %s. Two processes
      that hold the same model count a shared page by halves (`Pss`). A task that is restarted in a process finds its model
      where it was (`diffusion.device.keep-model`); opening it again there is measured for comparison.
      """;
  private static final double MEBI = 1 << 20;

  @Option(
      names = "--cache",
      paramLabel = "FOLDER",
      description =
          "Where the models of random weights (2.1 GB each) and the converted weights (4.3 GB) are"
              + " (default: benchmarks/target/models).")
  private Path cache = RunOptions.home().resolve("benchmarks/target/models");

  /**
   * A model and what it is computed in.
   *
   * @param name of the scenario
   * @param engine that opens it
   * @param weights bytes of all weights in the computed type
   * @param kept where converted weights go; null where none are converted
   */
  private record Case(
      String name, Path folder, String engine, Precision precision, double weights, Path kept) {}

  /**
   * One process.
   *
   * @param ready seconds from its start until the pipeline is open
   * @param stepped seconds from its start to the end of its first step
   * @param heap peak in MiB
   * @param resident peak in MiB
   * @param own resident memory that is no file's, in MiB
   * @param again seconds until a step of the same model, opened again
   * @param kept seconds until an image of a restarted task, whose model has stayed
   */
  private record Loaded(
      double ready,
      double stepped,
      double heap,
      double resident,
      double own,
      double again,
      double kept) {}

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    List<Case> cases = cases();
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Loading a 2 GB model",
            METHOD.formatted(
                HEAP_MIB,
                String.join(
                    " and ",
                    cases.stream()
                        .map(
                            each ->
                                "%,.0f MiB in %s".formatted(each.weights / MEBI, each.precision))
                        .distinct()
                        .toList())));
    if (options().python().isPresent()) {
      try (PythonPeer peer =
          PythonPeer.start(options().python().get(), RunInfo.configuredThreads())) {
        peer.versions().forEach(this::version);
      }
    } else {
      result.note("from_pretrained was not measured: no --python was given.");
    }
    for (Case each : cases) {
      measure(result, each);
    }
    return result;
  }

  private List<Case> cases() throws IOException {
    if (options().smoke()) {
      Path tiny =
          RunOptions.home()
              .resolve("flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1");
      double bytes = weights(tiny);
      return List.of(
          new Case(
              "tiny, float32 as bfloat16",
              tiny,
              Engines.PYTORCH,
              Precision.BFLOAT16,
              bytes / 2,
              Files.createTempDirectory("kept")),
          new Case("tiny, float32", tiny, Engines.PYTORCH, Precision.FLOAT32, bytes, null),
          new Case(
              "tiny, float32 by ONNX Runtime",
              tiny,
              Engines.ONNX_RUNTIME,
              Precision.FLOAT32,
              bytes,
              null));
    }
    Path half = RandomStableDiffusion.pipeline(cache, DType.F16);
    Path bfloat = RandomStableDiffusion.pipeline(cache, DType.BF16);
    return List.of(
        new Case(
            "float16 computed in float32",
            half,
            Engines.PYTORCH,
            Precision.FLOAT32,
            2 * weights(half),
            cache.resolve("kept")),
        new Case(
            "float16 computed in float32 by ONNX Runtime",
            half,
            Engines.ONNX_RUNTIME,
            Precision.FLOAT32,
            2 * weights(half),
            cache.resolve("kept-onnxruntime")),
        new Case("bfloat16", bfloat, Engines.PYTORCH, Precision.BFLOAT16, weights(bfloat), null));
  }

  private static double weights(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files
          .filter(file -> file.toString().endsWith(".safetensors"))
          .mapToDouble(file -> file.toFile().length())
          .sum();
    }
  }

  private Map<String, List<String>> commands(Case model) throws IOException {
    Map<String, List<String>> commands = new LinkedHashMap<>();
    if (model.kept != null) {
      commands.put(FIRST, java(model));
    }
    commands.put(OURS, java(model));
    if (options().python().isPresent()) {
      if (model.kept == null) {
        commands.put(PEER, python(model, "lazy"));
      }
      commands.put(TOUCHED, python(model, "touch"));
    }
    return commands;
  }

  private List<String> python(Case model, String touch) throws IOException {
    return List.of(
        options().python().orElseThrow(),
        PythonPeer.script("load_probe.py").toString(),
        model.folder.toString(),
        model.precision.name(),
        touch);
  }

  private static List<String> java(Case model) {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx" + HEAP_MIB + "m",
                "-Dai.djl.offline=true",
                "-Dai.djl.pytorch.num_threads=" + RunInfo.configuredThreads(),
                "-Dai.djl.pytorch.num_interop_threads=1",
                "-Dflinkdiffusion.onnxruntime.threads=" + RunInfo.configuredThreads(),
                "-cp",
                System.getProperty("java.class.path"),
                LoadProbe.class.getName(),
                model.folder.toString(),
                model.engine,
                model.precision.name()));
    if (model.kept != null) {
      command.add(model.kept.toString());
    }
    return command;
  }

  private void measure(BenchmarkResult.Builder result, Case model) throws Exception {
    Map<String, List<String>> commands = commands(model);
    Map<String, List<Loaded>> loaded = new LinkedHashMap<>();
    commands.keySet().forEach(name -> loaded.put(name, new ArrayList<>()));
    List<String> order = new ArrayList<>(commands.keySet());
    // A round that does not count brings the files into the system's cache.
    int warmUp = options().smoke() ? 0 : 1;
    for (int round = 0; round < warmUp + options().rounds().measured(); round++) {
      for (String name : order) {
        if (name.equals(FIRST)) {
          deleteAll(model.kept);
        }
        Loaded once = load(commands.get(name));
        if (round >= warmUp) {
          loaded.get(name).add(once);
        }
      }
      if (!order.contains(FIRST)) {
        Collections.reverse(order); // a first opening comes first in each round
      }
    }
    times(result, model, loaded);
    memory(result, model, loaded);
    together(result, model, commands.get(OURS));
  }

  private static void deleteAll(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(each);
      }
    }
  }

  private static Measurement measurement(
      String scenario,
      String subject,
      String unit,
      List<Loaded> all,
      ToDoubleFunction<Loaded> value) {
    return new Measurement(
        scenario, subject, unit, all.stream().mapToDouble(value).boxed().toList());
  }

  private static void times(
      BenchmarkResult.Builder result, Case model, Map<String, List<Loaded>> loaded) {
    String ready = model.name + ", until it is open";
    String stepped = model.name + ", until its first step is done";
    String again = model.name + ", opened again in the same process, until a step is done";
    String kept = model.name + ", task restarted, until an image of one step is decoded";
    loaded.forEach((name, all) -> result.add(measurement(ready, name, "s", all, Loaded::ready)));
    loaded.forEach(
        (name, all) -> result.add(measurement(stepped, name, "s", all, Loaded::stepped)));
    result.add(measurement(again, OURS, "s", loaded.get(OURS), Loaded::again));
    Measurement restarted = measurement(kept, OURS, "s", loaded.get(OURS), Loaded::kept);
    result.add(restarted);
    result.add(Finding.absolute("seconds", restarted, Goal.atMost(1)));
    result.add(
        Finding.absolute(
            "seconds of a new process",
            measurement(stepped, OURS, "s", loaded.get(OURS), Loaded::stepped),
            Goal.atMost(3)));
    for (String ours : List.of(OURS, FIRST)) {
      for (String peer : List.of(TOUCHED, PEER)) {
        if (loaded.containsKey(ours) && loaded.containsKey(peer)) {
          result.add(
              Finding.ratio(
                  "%s: time over %s".formatted(ours, peer),
                  measurement(ready, ours, "s", loaded.get(ours), Loaded::ready),
                  measurement(ready, peer, "s", loaded.get(peer), Loaded::ready),
                  ours.equals(OURS) && peer.equals(TOUCHED) ? Goal.atMost(1) : null));
        }
      }
    }
  }

  private static void memory(
      BenchmarkResult.Builder result, Case model, Map<String, List<Loaded>> loaded) {
    String peak = model.name + ", peak resident memory";
    String own = model.name + ", resident memory that is no file's";
    loaded.forEach(
        (name, all) -> result.add(measurement(peak, name, "MiB", all, Loaded::resident)));
    loaded.forEach((name, all) -> result.add(measurement(own, name, "MiB", all, Loaded::own)));
    loaded.forEach(
        (name, all) ->
            result.add(
                Finding.absolute(
                    name + ": peak over the weights as computed",
                    measurement(peak, name, "x", all, each -> each.resident * MEBI / model.weights),
                    name.equals(OURS) ? Goal.atMost(1.3) : null)));
    Measurement heap =
        measurement(model.name + ", peak Java heap", OURS, "MiB", loaded.get(OURS), Loaded::heap);
    result.add(heap);
    result.add(Finding.absolute("peak heap", heap, Goal.atMost(HEAP_MIB)));
  }

  /** Two processes at once, after a step each, as the kernel counts their pages. */
  private static void together(BenchmarkResult.Builder result, Case model, List<String> command)
      throws Exception {
    try (Running one = Running.start(command);
        Running two = Running.start(command)) {
      one.untilMeasured();
      two.untilMeasured();
      List<Double> resident = List.of(one.rollup("Rss:"), two.rollup("Rss:"));
      List<Double> share = List.of(one.rollup("Pss:"), two.rollup("Pss:"));
      one.end();
      two.end();
      String scenario = model.name + ", ";
      result.add(new Measurement(scenario + "resident memory of each", TWO, "MiB", resident));
      result.add(new Measurement(scenario + "share of each (Pss)", TWO, "MiB", share));
    }
  }

  private static Loaded load(List<String> command) throws Exception {
    try (Running running = Running.start(command)) {
      running.untilMeasured();
      return running.end();
    }
  }

  /** A probe that runs. */
  private static final class Running implements AutoCloseable {
    private final List<String> command;
    private final Path log;
    private final Process process;
    private final BufferedReader out;
    private final long begin;
    private double ready;
    private double stepped;
    private String[] memory;

    private Running(List<String> command) throws IOException {
      this.command = command;
      log = Files.createTempFile("load", ".log");
      ProcessBuilder builder = new ProcessBuilder(command).redirectError(log.toFile());
      builder.environment().put("OMP_NUM_THREADS", Integer.toString(RunInfo.configuredThreads()));
      builder.environment().put("HF_HUB_OFFLINE", "1");
      begin = System.nanoTime();
      process = builder.start();
      out = process.inputReader(StandardCharsets.UTF_8);
    }

    static Running start(List<String> command) throws IOException {
      return new Running(command);
    }

    /** The line that begins so; what libraries print beside it is passed over. */
    private String line(String word) throws IOException {
      for (String line; (line = out.readLine()) != null; ) {
        if (line.startsWith(word)) {
          return line;
        }
      }
      throw new BenchmarkException(
          "A process that loads ended before it said '%s'; what else it said is in %s: %s"
              .formatted(word, log, command.get(0)));
    }

    private double elapsed() {
      return (System.nanoTime() - begin) / 1e9;
    }

    void untilMeasured() throws IOException {
      line("ready");
      ready = elapsed();
      line("stepped");
      stepped = elapsed();
      memory = line("memory").split(" ");
    }

    /** In MiB; -1 where the system does not tell. */
    double rollup(String field) throws IOException {
      Path file = Path.of("/proc/%d/smaps_rollup".formatted(process.pid()));
      if (!Files.isReadable(file)) {
        return -1;
      }
      try (Stream<String> lines = Files.lines(file)) {
        return lines
            .filter(line -> line.startsWith(field))
            .mapToDouble(line -> Long.parseLong(line.replaceAll("\\D", "")) / 1024.0)
            .findFirst()
            .orElse(-1);
      }
    }

    Loaded end() throws IOException, InterruptedException {
      process.getOutputStream().write('\n');
      process.getOutputStream().flush();
      double again = 0;
      double kept = 0;
      if (command.contains(LoadProbe.class.getName())) {
        again = Double.parseDouble(line("again").split(" ")[1]);
        kept = Double.parseDouble(line("kept").split(" ")[1]);
      }
      if (process.waitFor() != 0) {
        throw new BenchmarkException(
            "A process that loads ended with %d; what it said is in %s: %s"
                .formatted(process.exitValue(), log, command.get(0)));
      }
      Files.delete(log);
      return new Loaded(
          ready,
          stepped,
          Double.parseDouble(memory[1]),
          Double.parseDouble(memory[2]),
          Double.parseDouble(memory[3]),
          again,
          kept);
    }

    @Override
    public void close() {
      process.destroyForcibly();
    }
  }
}
