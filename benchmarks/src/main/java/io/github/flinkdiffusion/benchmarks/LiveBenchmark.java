/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.benchmarks.simulation.Arrival;
import io.github.flinkdiffusion.benchmarks.simulation.CallCosts;
import io.github.flinkdiffusion.benchmarks.simulation.Clock;
import io.github.flinkdiffusion.benchmarks.simulation.RequestLevelServer;
import io.github.flinkdiffusion.benchmarks.simulation.Served;
import io.github.flinkdiffusion.benchmarks.simulation.Server;
import io.github.flinkdiffusion.benchmarks.simulation.StandInPipeline;
import io.github.flinkdiffusion.benchmarks.simulation.StepLevelServer;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.quality.Flicker;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;
import java.util.function.Function;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Streams of frames, of which each waits for the one before it. */
@Command(
    name = "live",
    mixinStandardHelpOptions = true,
    description =
        "Live streams of mixed steps: frames a second and latency by steps and by requests, and"
            + " flicker.")
final class LiveBenchmark extends BenchmarkCommand {
  private static final String BY_STEPS = "by steps";
  private static final String SHARED = "by requests, which share calls";
  private static final String SEPARATE = "by requests, a call per step count";
  private static final double LOAD = 0.8;

  /** What a call costs before its first row, in rows, on simulated devices. */
  private static final List<Integer> FIXED_PARTS = List.of(0, 8, 32);

  private static final long NANOS_PER_ROW = 1_000_000;
  private static final int SIDE = 16;
  private static final int OBJECT = 4;

  @Option(
      names = "--streams",
      paramLabel = "N",
      description = "Streams; they take 1 to 4 steps in turn (default: ${DEFAULT-VALUE}).")
  private int streams = 16;

  @Option(
      names = "--frames",
      paramLabel = "N",
      description = "Frames of each stream in a round (default: ${DEFAULT-VALUE}; 2 with --smoke).")
  private int frames = 12;

  @Option(
      names = "--rows",
      paramLabel = "N",
      description = "Most rows of a network call, and of a batch (default: ${DEFAULT-VALUE}).")
  private int rows = 8;

  @Option(
      names = "--delay-ms",
      paramLabel = "N",
      description =
          "How long a frame waits for a batch to fill while the device is free (default:"
              + " ${DEFAULT-VALUE}).")
  private int delayMillis = 20;

  private DiffusionPipeline pipeline;
  private Raster scene;

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      frames = 2;
      streams = 4;
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Live streams of frames",
            """
            %d streams, each of 1, 2, 3 or 4 steps, in which a frame waits for the result of the one before it, as with
            `diffusion.live.enabled`; `mini-satellite-x4`, frames of %d x %d pixels enlarged four times, at most %d rows a call,
            without Kafka and Flink. Servers are those of the section on latency under mixed load. *Capacity*: every stream sends
            its next frame when the last one is answered. *Latency*: frames come at a fixed rate, %s of the capacity by
            requests that share calls; from a frame's arrival to its result, waiting for the frame before it included.
            *Flicker*: a camera at rest, before which a square moves; the mean difference of successive results, in levels
            of 255, over the pixels whose input did not change (Lai et al. 2018, without flow). Calls of the simulated devices
            cost their rows and a fixed part, as those of GPUs with small images do.
            """
                .formatted(streams, SIDE, SIDE, rows, Tables.number(LOAD)));
    Path folder = RunOptions.home().resolve("examples/models/mini-satellite-x4");
    scene = Images.read(Files.readAllBytes(folder.resolve("inputs/java.png")), ReadOptions.DEFAULT);
    try (DiffusionPipeline opened =
        Pipelines.open(folder, PipelineSettings.on(Engines.standard().device("cpu")))) {
      pipeline = opened;
      throughput(
          result,
          new Device(
              "mini-satellite-x4",
              Clock::real,
              clock -> opened,
              this::request,
              Duration.ofMillis(delayMillis)));
      flicker(result);
    }
    for (int fixed : FIXED_PARTS) {
      throughput(result, simulated(fixed));
    }
    return result;
  }

  // ------------------------------------------------------------------ throughput and latency

  /**
   * What streams are served on.
   *
   * @param name in the report
   * @param clock of one round
   * @param pipeline for that clock
   */
  private record Device(
      String name,
      Callable<Clock> clock,
      Function<Clock, DiffusionPipeline> pipeline,
      Function<Arrival, GenerationRequest> request,
      Duration delay) {}

  private Device simulated(int fixed) {
    CallCosts.Curve call = CallCosts.Curve.line(fixed * NANOS_PER_ROW, NANOS_PER_ROW);
    CallCosts costs = new CallCosts(call, call, call);
    return new Device(
        "simulated, fixed part of %d rows".formatted(fixed),
        Clock::simulated,
        clock -> StandInPipeline.of(costs, clock),
        arrival -> StandInPipeline.request("frame " + arrival.number(), arrival.steps()),
        Duration.ofNanos(call.nanos(rows)));
  }

  private void throughput(BenchmarkResult.Builder result, Device device) throws Exception {
    Map<String, Callable<Double>> capacity = new LinkedHashMap<>();
    for (String subject : List.of(BY_STEPS, SHARED, SEPARATE)) {
      capacity.put(subject, () -> Served.throughput(serve(device, subject, 0)));
    }
    Map<String, Measurement> rates =
        options().rounds().alternate(device.name() + ": capacity", "frames/s", capacity);
    rates.values().forEach(result::add);
    for (String peer : List.of(SHARED, SEPARATE)) {
      result.add(
          Finding.ratio("throughput over " + peer, rates.get(BY_STEPS), rates.get(peer), null));
    }
    long period = (long) (streams * 1e9 / (LOAD * rates.get(SHARED).summary().median()));
    Map<String, List<List<Served>>> all = new LinkedHashMap<>();
    Map<String, Callable<Double>> latency = new LinkedHashMap<>();
    for (String subject : List.of(BY_STEPS, SHARED, SEPARATE)) {
      List<List<Served>> rounds = new ArrayList<>();
      all.put(subject, rounds);
      latency.put(
          subject,
          () -> {
            rounds.add(serve(device, subject, period));
            return Served.throughput(rounds.get(rounds.size() - 1));
          });
    }
    Rounds rounds = options().rounds();
    rounds.alternate(device.name(), "frames/s", latency);
    for (double percent : List.of(50.0, 99.0)) {
      all.forEach(
          (subject, each) ->
              result.add(
                  new Measurement(
                      "%s: latency, p%.0f".formatted(device.name(), percent),
                      subject,
                      "s",
                      each.subList(rounds.warmUp(), each.size()).stream()
                          .map(served -> Served.latency(served, arrival -> true, percent))
                          .toList())));
    }
  }

  /**
   * @param period between frames of a stream in nanoseconds; 0 for as soon as possible
   */
  private List<Served> serve(Device device, String subject, long period) throws Exception {
    Clock clock = device.clock().call();
    List<Served> served = new ArrayList<>();
    int[] next = new int[streams];
    boolean[] busy = new boolean[streams];
    try (Server server = server(device, subject, clock)) {
      while (served.size() < streams * frames) {
        long wake = Long.MAX_VALUE;
        for (int i = 0; i < streams; i++) {
          if (busy[i] || next[i] == frames) {
            continue;
          }
          int stream = i;
          long due = period == 0 ? clock.nanos() : next[i] * period + i * period / streams;
          if (due > clock.nanos()) {
            wake = Math.min(wake, due);
            continue;
          }
          busy[i] = true;
          server.submit(
              new Arrival(i * frames + next[i]++, due, 1 + i % 4),
              arrival -> {
                served.add(new Served(arrival, clock.nanos()));
                busy[stream] = false;
              });
        }
        if (!server.runOnce()) {
          long until = Math.min(wake, server.wakesAt().orElse(Long.MAX_VALUE));
          if (until < Long.MAX_VALUE) {
            clock.skipTo(until);
          }
        }
      }
    }
    return served;
  }

  private Server server(Device device, String subject, Clock clock) {
    DiffusionPipeline on = device.pipeline().apply(clock);
    return switch (subject) {
      case BY_STEPS -> new StepLevelServer(on, device.request(), rows, clock);
      case SHARED -> byRequests(device, on, RequestLevelServer.Mixing.SHARED_CALLS, clock);
      default -> byRequests(device, on, RequestLevelServer.Mixing.CALL_PER_STEP_COUNT, clock);
    };
  }

  private Server byRequests(
      Device device, DiffusionPipeline on, RequestLevelServer.Mixing mixing, Clock clock) {
    return new RequestLevelServer(on, device.request(), rows, device.delay(), mixing, clock);
  }

  private GenerationRequest request(Arrival arrival) {
    int stream = arrival.number() / frames;
    return pipeline
        .model()
        .prepare(spec(frame(stream, arrival.number() % frames), stream, arrival.steps()));
  }

  private static GenerationSpec spec(Raster frame, long seed, int steps) {
    return GenerationSpec.of("frame")
        .with(Parameters.IMAGE, frame)
        .with(Parameters.SEED, seed)
        .with(Parameters.STEPS, (long) steps);
  }

  /** A part of the scene, before which a square moves. */
  private Raster frame(int stream, int number) {
    Raster part =
        scene.crop(
            new Window(
                stream * 5 % (scene.width() - SIDE),
                stream * 3 % (scene.height() - SIDE),
                SIDE,
                SIDE));
    float[] values = part.data().clone();
    for (int c = 0; c < part.channels(); c++) {
      for (int y = 0; y < OBJECT; y++) {
        for (int x = 0; x < OBJECT; x++) {
          values[(c * SIDE + 6 + y) * SIDE + (number + x) % SIDE] = c == 0 ? 1 : 0;
        }
      }
    }
    return new Raster(part.channels(), SIDE, SIDE, values);
  }

  // ------------------------------------------------------------------ flicker

  private void flicker(BenchmarkResult.Builder result) throws IOException {
    Map<String, Measurement> all = new LinkedHashMap<>();
    all.put("a seed for each frame", flicker("a seed for each frame", false, 0));
    all.put("one seed", flicker("one seed", true, 0));
    all.put("one seed, blend 0.2", flicker("one seed, blend 0.2", true, 0.2));
    all.put("one seed, blend 0.5", flicker("one seed, blend 0.5", true, 0.5));
    all.values().forEach(result::add);
    for (String variant : all.keySet()) {
      if (!variant.equals("a seed for each frame")) {
        result.add(
            Finding.ratio(
                variant + ": flicker over a seed for each frame",
                all.get(variant),
                all.get("a seed for each frame"),
                null));
      }
    }
  }

  private Measurement flicker(String variant, boolean oneSeed, double blend) {
    List<Double> ofStreams = new ArrayList<>();
    for (int stream = 0; stream < 4; stream++) {
      List<Double> pairs = new ArrayList<>();
      Raster frameBefore = null;
      Raster resultBefore = null;
      for (int number = 0; number < frames; number++) {
        Raster frame = frame(stream, number);
        Raster start = resultBefore == null ? frame : mixed(frame, resultBefore, blend);
        long seed = oneSeed ? stream : stream * 1000L + number;
        Raster made = generate(spec(start, seed, 1 + stream % 4));
        if (frameBefore != null) {
          OptionalDouble flicker = Flicker.of(frameBefore, frame, resultBefore, made);
          pairs.add(255 * flicker.orElseThrow());
        }
        frameBefore = frame;
        resultBefore = made;
      }
      ofStreams.add(pairs.stream().mapToDouble(Double::doubleValue).average().orElseThrow());
    }
    return new Measurement("flicker, %d streams".formatted(4), variant, "levels", ofStreams);
  }

  private static Raster mixed(Raster frame, Raster result, double share) {
    if (share == 0) {
      return frame;
    }
    Raster small =
        FloatResize.resize(result, frame.height(), frame.width(), PilResize.Filter.BICUBIC);
    float[] values = new float[frame.data().length];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          (float)
              ((1 - share) * frame.data()[i] + share * Math.min(1, Math.max(0, small.data()[i])));
    }
    return new Raster(frame.channels(), frame.height(), frame.width(), values);
  }

  private Raster generate(GenerationSpec spec) {
    List<Trajectory> running = pipeline.start(List.of(pipeline.model().prepare(spec)));
    while (!running.get(0).done()) {
      pipeline.step(running);
    }
    return pipeline.finish(running).get(0).image();
  }
}
