package io.github.flinkdiffusion.benchmarks;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** P7: how long a 2 GB model takes to load, and how much memory, beside from_pretrained. */
@Command(
    name = "load",
    mixinStandardHelpOptions = true,
    description = "Loading a 2 GB float16 model folder: time and memory, beside from_pretrained.")
final class LoadBenchmark extends BenchmarkCommand {
  private static final String OURS = "Flink Diffusion";
  private static final String KEPT = "Flink Diffusion, archives kept";
  private static final String PEER = "from_pretrained";
  private static final String TOUCHED = "from_pretrained, weights read";
  private static final String SCENARIO = "Stable Diffusion 1.5, float16";
  private static final int HEAP_MIB = 256;

  @Option(
      names = "--cache",
      paramLabel = "FOLDER",
      description =
          "Where the model of random weights (2.1 GB) and the kept archives (as much again) are"
              + " (default: benchmarks/target/models).")
  private Path cache = RunOptions.home().resolve("benchmarks/target/models");

  /**
   * One process.
   *
   * @param load seconds of the call that loads
   * @param ready seconds from the start of the process to the end of that call
   * @param heap peak in MiB
   * @param resident peak in MiB
   */
  private record Loaded(double load, double ready, double heap, double resident) {}

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Loading a 2 GB model",
            """
            A Stable Diffusion 1.5 folder in float16 (text encoder, UNet, autoencoder; 2.1 GB, random weights), loaded in
            float16 on the CPU by a new process each round: `Pipelines.open` in a Java process with a heap of %d MiB,
            without and with archives that an earlier process has kept, and diffusers' `from_pretrained`. The files are in
            the system's cache, and libtorch is loaded before the call, as it is imported before `from_pretrained`. Opening computes the digest that names the model in checkpoints, looks at every weight, and
            brings it to libtorch; `from_pretrained` maps the files and leaves
            reading them to the first call, so it is measured with every page of them read, too.
            """
                .formatted(HEAP_MIB));
    Path folder =
        options().smoke()
            ? RunOptions.home()
                .resolve("flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1")
            : RandomStableDiffusion.pipeline(cache);
    Path kept =
        options().smoke() ? Files.createTempDirectory("archives") : cache.resolve("archives");
    Map<String, List<String>> commands = new LinkedHashMap<>();
    commands.put(OURS, java(folder.toString()));
    commands.put(KEPT, java(folder.toString(), kept.toString()));
    if (options().python().isPresent()) {
      commands.put(PEER, python(folder, "lazy"));
      commands.put(TOUCHED, python(folder, "touch"));
      try (PythonPeer peer =
          PythonPeer.start(options().python().get(), RunInfo.configuredThreads())) {
        peer.versions().forEach(this::version);
      }
    } else {
      result.note("from_pretrained was not measured: no --python was given.");
    }
    measure(result, commands);
    return result;
  }

  private List<String> python(Path folder, String touch) throws IOException {
    return List.of(
        options().python().orElseThrow(),
        PythonPeer.script("load_probe.py").toString(),
        folder.toString(),
        "FLOAT16",
        touch);
  }

  private static List<String> java(String... arguments) {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx" + HEAP_MIB + "m",
                "-Dai.djl.offline=true",
                "-Dai.djl.pytorch.num_threads=" + RunInfo.configuredThreads(),
                "-Dai.djl.pytorch.num_interop_threads=1",
                "-cp",
                System.getProperty("java.class.path"),
                LoadProbe.class.getName()));
    command.add(arguments[0]);
    command.add("FLOAT16");
    command.addAll(List.of(arguments).subList(1, arguments.length));
    return command;
  }

  private void measure(BenchmarkResult.Builder result, Map<String, List<String>> commands)
      throws Exception {
    Map<String, List<Loaded>> loaded = new LinkedHashMap<>();
    Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
    commands.forEach(
        (name, command) -> {
          loaded.put(name, new ArrayList<>());
          subjects.put(
              name,
              () -> {
                Loaded once = load(command);
                loaded.get(name).add(once);
                return once.load();
              });
        });
    // A round that does not count brings the files into the system's cache and keeps the archives.
    Rounds rounds = new Rounds(1, options().rounds().measured());
    Map<String, Measurement> load = rounds.alternate(SCENARIO + ", the call", "s", subjects);
    Map<String, Measurement> ready = new LinkedHashMap<>();
    loaded.forEach(
        (name, all) -> {
          List<Loaded> counted = all.subList(1, all.size());
          ready.put(
              name,
              new Measurement(
                  SCENARIO + ", from the process's start",
                  name,
                  "s",
                  counted.stream().map(Loaded::ready).toList()));
        });
    load.values().forEach(result::add);
    ready.values().forEach(result::add);
    loaded.forEach(
        (name, all) -> {
          List<Loaded> counted = all.subList(1, all.size());
          result.add(
              new Measurement(
                  "peak resident memory",
                  name,
                  "MiB",
                  counted.stream().map(Loaded::resident).toList()));
          if (name.equals(OURS) || name.equals(KEPT)) {
            Measurement heap =
                new Measurement(
                    "peak Java heap", name, "MiB", counted.stream().map(Loaded::heap).toList());
            result.add(heap);
            result.add(Finding.absolute(name + ": peak heap", heap, Goal.atMost(HEAP_MIB)));
          }
        });
    if (load.containsKey(PEER)) {
      for (String name : List.of(OURS, KEPT)) {
        for (Map<String, Measurement> each : List.of(load, ready)) {
          result.add(
              Finding.ratio(
                  name + ": time over from_pretrained's",
                  each.get(name),
                  each.get(PEER),
                  Goal.atMost(1.0)));
          result.add(
              Finding.ratio(
                  name + ": time over from_pretrained's with weights read",
                  each.get(name),
                  each.get(TOUCHED),
                  null));
        }
      }
    }
  }

  private static Loaded load(List<String> command) throws IOException, InterruptedException {
    Path log = Files.createTempFile("load", ".log");
    ProcessBuilder builder = new ProcessBuilder(command).redirectError(log.toFile());
    builder.environment().put("OMP_NUM_THREADS", Integer.toString(RunInfo.configuredThreads()));
    builder.environment().put("HF_HUB_OFFLINE", "1");
    long begin = System.nanoTime();
    Process process = builder.start();
    try (var out = process.inputReader(StandardCharsets.UTF_8)) {
      String line = out.readLine();
      double ready = (System.nanoTime() - begin) / 1e9;
      if (process.waitFor() != 0 || line == null) {
        throw new BenchmarkException(
            "A process that loads ended with %d; what it said is in %s: %s"
                .formatted(process.exitValue(), log, command.get(0)));
      }
      Files.delete(log);
      String[] numbers = line.split(" ");
      return new Loaded(
          Double.parseDouble(numbers[0]),
          ready,
          Double.parseDouble(numbers[1]),
          Double.parseDouble(numbers[2]));
    }
  }
}
