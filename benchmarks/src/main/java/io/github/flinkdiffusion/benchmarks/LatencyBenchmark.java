/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.benchmarks.simulation.Arrival;
import io.github.flinkdiffusion.benchmarks.simulation.CallCosts;
import io.github.flinkdiffusion.benchmarks.simulation.Clock;
import io.github.flinkdiffusion.benchmarks.simulation.Load;
import io.github.flinkdiffusion.benchmarks.simulation.RequestLevelServer;
import io.github.flinkdiffusion.benchmarks.simulation.RequestLevelServer.Mixing;
import io.github.flinkdiffusion.benchmarks.simulation.Served;
import io.github.flinkdiffusion.benchmarks.simulation.Server;
import io.github.flinkdiffusion.benchmarks.simulation.StandInPipeline;
import io.github.flinkdiffusion.benchmarks.simulation.StepLevelServer;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.pipeline.Caching;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.function.IntFunction;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** P4: short and long requests together, batched step by step and request by request. */
@Command(
    name = "latency",
    mixinStandardHelpOptions = true,
    description = "Mixed Poisson arrivals: batching by steps beside batching by requests.")
final class LatencyBenchmark extends BenchmarkCommand {
  private static final double LOAD = 0.8;
  private static final double LATENCY_GOAL = 0.24;
  private static final double THROUGHPUT_GOAL = 1.2;

  /** What a call costs before its first row, in rows, on simulated devices. */
  private static final List<Integer> FIXED_PARTS = List.of(0, 2, 8, 32);

  private static final long NANOS_PER_ROW = 1_000_000;
  private static final int SIMULATED_REQUESTS = 4_000;

  /** Where sizes are mixed: mini-emoji was trained for the middle one. */
  private static final List<Integer> SIZES = List.of(48, Arrival.ONE_SIZE, 96);

  private static final String FULL_CALLS = "bound: every call full";

  private enum Subject {
    STEPS("by steps"),
    SHARED("by requests, which share calls"),
    SEPARATE("by requests, a call per step count");

    private static final List<Subject> ALL = List.of(values());

    private final String title;

    Subject(String title) {
      this.title = title;
    }
  }

  private static final List<Double> PERCENTILES = List.of(50.0, 99.0);

  @Option(
      names = "--requests",
      paramLabel = "N",
      description =
          "Requests of a round at the model; a quarter of it for its capacity (default:"
              + " ${DEFAULT-VALUE}; 8 with --smoke).")
  private int requests = 480;

  @Option(
      names = "--rows",
      paramLabel = "N",
      description = "Most rows of a network call, and of a batch (default: ${DEFAULT-VALUE}).")
  private int rows = 8;

  @Option(
      names = "--delay-ms",
      paramLabel = "N",
      description =
          "How long a request waits for a batch to fill while the device is free (default:"
              + " ${DEFAULT-VALUE}).")
  private int delayMillis = 50;

  /**
   * What requests are served on.
   *
   * @param name in the report
   * @param hasGoals whether its findings have
   * @param sizes of images that are mixed
   * @param subjects that are compared on it
   * @param costs of its calls, by the size of images
   * @param requests of a round
   * @param backlog requests of a round that measures capacity
   * @param clock of one round
   * @param pipeline for that clock
   */
  private record Device(
      String name,
      boolean hasGoals,
      List<Integer> sizes,
      List<Subject> subjects,
      IntFunction<CallCosts> costs,
      int requests,
      int backlog,
      Duration delay,
      Callable<Clock> clock,
      Function<Clock, DiffusionPipeline> pipeline,
      Function<Arrival, GenerationRequest> request) {}

  private Load load = Load.mixed(0);

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      load = new Load(List.of(1, 2), List.of(Arrival.ONE_SIZE), 2, 0);
      requests = 8;
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Latency under mixed load: batching by steps and by requests",
            """
            Requests of %s steps, equally often, come as a Poisson process; those below %d steps count as short. Each
            server has the same pipeline, at most %d rows a call, and the same requests at the same moments. *By
            requests* is what general batching services do: a batch begins when it is full or its oldest request has
            waited for the delay, runs to its end and is answered as one. A pipeline of diffusers takes one step count a
            call, so there it makes a call for each; as a second peer, requests of a batch share network calls and
            leave them when they are done, which diffusers cannot do: then only the batching differs. Capacity is that
            of a backlog; the load is %s of the capacity of the second peer, the same for all. `mini-emoji` is the real
            model on the CPU (time without work is skipped). The simulated devices' calls cost their rows
            (%d ms each) and a fixed part: the larger that is, the more a device wants batches, as GPUs do with small
            pictures. They have no goals: where a call has no fixed part, nothing is gained by sharing it. Where sizes of
            images are mixed, each of %s pixels is equally frequent, and a call and a batch of whole requests have
            images of one size. The *bound* is what no decision can exceed: each request takes its share of calls that are
            full, by the costs of calls, which for mini-emoji are measured first.
            """
                .formatted(
                    load.stepCounts().stream()
                        .map(String::valueOf)
                        .collect(Collectors.joining(", ")),
                    load.longFrom(),
                    rows,
                    Tables.number(LOAD),
                    NANOS_PER_ROW / 1_000_000,
                    SIZES.stream().map(String::valueOf).collect(Collectors.joining(", "))));
    try (DiffusionPipeline pipeline =
        Pipelines.open(MiniEmoji.folder(), PipelineSettings.on(Engines.standard().device("cpu")))) {
      Map<Integer, CallCosts> costs = new HashMap<>();
      for (int size : SIZES) {
        costs.put(
            size,
            CallCosts.measure(
                pipeline,
                pipeline
                    .model()
                    .prepare(MiniEmoji.spec("calibration", options().smoke() ? 1 : 4, size)),
                options().smoke() ? List.of(1) : List.of(1, 2, rows / 2, rows)));
      }
      Function<Arrival, GenerationSpec> spec =
          arrival -> MiniEmoji.spec("request " + arrival.number(), arrival.steps(), arrival.size());
      compare(
          result,
          miniEmoji(
              "mini-emoji", List.of(Arrival.ONE_SIZE), Subject.ALL, costs::get, pipeline, spec));
      compare(
          result,
          miniEmoji(
              "mini-emoji, mixed sizes",
              SIZES,
              List.of(Subject.STEPS, Subject.SHARED),
              costs::get,
              pipeline,
              spec));
      for (List<Integer> sizes : List.of(List.of(Arrival.ONE_SIZE), SIZES)) {
        compare(
            result,
            simulated(
                "simulated, costs of mini-emoji" + (sizes.size() > 1 ? ", mixed sizes" : ""),
                sizes,
                costs::get,
                Duration.ofMillis(delayMillis)));
      }
    }
    reuse(result);
    Map<Subject, List<Double>> latencies = new LinkedHashMap<>();
    for (int fixed : FIXED_PARTS) {
      Map<Subject, Measurement> p99 = compare(result, simulated(fixed));
      p99.forEach(
          (subject, each) ->
              latencies
                  .computeIfAbsent(subject, key -> new ArrayList<>())
                  .add(each.summary().median()));
    }
    result.add(
        Plot.bars(
            "p99 of short requests on simulated devices",
            "fixed part of a call's cost, in rows",
            "seconds, less is better",
            FIXED_PARTS.stream().map(String::valueOf).toList(),
            latencies.entrySet().stream()
                .map(each -> new Plot.Series(each.getKey().title, List.of(), each.getValue()))
                .toList()));
    return result;
  }

  private Device miniEmoji(
      String name,
      List<Integer> sizes,
      List<Subject> subjects,
      IntFunction<CallCosts> costs,
      DiffusionPipeline pipeline,
      Function<Arrival, GenerationSpec> spec) {
    return new Device(
        name,
        true,
        sizes,
        subjects,
        costs,
        requests,
        requests / 4,
        Duration.ofMillis(delayMillis),
        Clock::real,
        clock -> pipeline,
        arrival -> pipeline.model().prepare(spec.apply(arrival)));
  }

  /** The capacity of batching by steps where requests reuse features of every second step. */
  private void reuse(BenchmarkResult.Builder result) throws Exception {
    PipelineSettings settings =
        PipelineSettings.on(Engines.standard().device("cpu"))
            .withCaching(new Caching(1, 0, 1L << 30));
    try (DiffusionPipeline pipeline = Pipelines.open(MiniEmoji.folder(), settings)) {
      Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
      for (long interval : List.of(1L, 2L)) {
        Device device =
            miniEmoji(
                "mini-emoji",
                List.of(Arrival.ONE_SIZE),
                List.of(Subject.STEPS),
                null, // no bound is asked for
                pipeline,
                arrival ->
                    MiniEmoji.spec("request " + arrival.number(), arrival.steps())
                        .with(Parameters.CACHE_INTERVAL, interval));
        AtomicLong round = new AtomicLong();
        subjects.put(
            "cacheInterval " + interval,
            () ->
                Served.throughput(
                    serve(
                        device,
                        Subject.STEPS,
                        load.withSeed(round.getAndIncrement()).backlog(device.backlog()))));
      }
      Map<String, Measurement> capacity =
          options().rounds().alternate("mini-emoji: capacity by steps", "pictures/s", subjects);
      capacity.values().forEach(result::add);
      result.add(
          Finding.ratio(
              "throughput of cacheInterval 2 over every step whole",
              capacity.get("cacheInterval 2"),
              capacity.get("cacheInterval 1"),
              Goal.atLeast(THROUGHPUT_GOAL)));
    }
  }

  private Device simulated(int fixed) {
    CallCosts.Curve call = CallCosts.Curve.line(fixed * NANOS_PER_ROW, NANOS_PER_ROW);
    CallCosts costs = new CallCosts(call, call, call);
    return simulated(
        "simulated, fixed part of %d rows".formatted(fixed),
        List.of(Arrival.ONE_SIZE),
        size -> costs,
        Duration.ofNanos(call.nanos(rows)));
  }

  private Device simulated(
      String name, List<Integer> sizes, IntFunction<CallCosts> costs, Duration delay) {
    int count = options().smoke() ? 100 : SIMULATED_REQUESTS;
    return new Device(
        name,
        false,
        sizes,
        sizes.size() == 1 ? Subject.ALL : List.of(Subject.STEPS, Subject.SHARED),
        costs,
        count,
        count,
        delay,
        Clock::simulated,
        clock -> StandInPipeline.of(costs, clock),
        arrival -> StandInPipeline.request(arrival, "request " + arrival.number()));
  }

  /**
   * @return the p99 of short requests
   */
  private Map<Subject, Measurement> compare(BenchmarkResult.Builder result, Device device)
      throws Exception {
    Map<Subject, Measurement> capacity =
        measure(device, "capacity", "pictures/s", round -> backlog(device, round))
            .entrySet()
            .stream()
            .collect(
                Collectors.toMap(
                    Map.Entry::getKey,
                    each ->
                        measurement(
                            device.name() + ": capacity",
                            each.getKey(),
                            "pictures/s",
                            each.getValue().stream().map(Served::throughput).toList()),
                    (one, other) -> one,
                    LinkedHashMap::new));
    capacity.values().forEach(result::add);
    Measurement bound =
        new Measurement(
            device.name() + ": capacity",
            FULL_CALLS,
            "pictures/s",
            LongStream.range(
                    options().rounds().warmUp(),
                    options().rounds().warmUp() + options().rounds().measured())
                .mapToObj(round -> bound(device, backlog(device, round)))
                .toList());
    result.add(bound);
    result.add(
        Finding.ratio(
            "bound of throughput over " + Subject.SHARED.title,
            bound,
            capacity.get(Subject.SHARED),
            null));
    findings(
        result,
        "throughput over ",
        capacity,
        device.hasGoals() ? Goal.atLeast(THROUGHPUT_GOAL) : null);

    double perSecond = LOAD * capacity.get(Subject.SHARED).summary().median();
    Map<Subject, List<List<Served>>> loaded =
        measure(
            device,
            "load",
            "s",
            round ->
                load.withSizes(device.sizes())
                    .withSeed(round)
                    .poisson(device.requests(), perSecond));
    for (double percent : PERCENTILES) {
      latency(device, "long", percent, loaded, arrival -> !load.isShort(arrival))
          .values()
          .forEach(result::add);
    }
    Map<Subject, Measurement> ofShort = Map.of();
    for (double percent : PERCENTILES) {
      ofShort = latency(device, "short", percent, loaded, load::isShort);
      ofShort.values().forEach(result::add);
    }
    findings(
        result, "latency over ", ofShort, device.hasGoals() ? Goal.atMost(LATENCY_GOAL) : null);
    return ofShort;
  }

  private List<Arrival> backlog(Device device, long round) {
    return load.withSizes(device.sizes()).withSeed(round).backlog(device.backlog());
  }

  /** Most pictures a second that a device can make of a backlog. */
  private double bound(Device device, List<Arrival> backlog) {
    return backlog.size()
        * 1e9
        / backlog.stream()
            .mapToDouble(
                arrival -> device.costs().apply(arrival.size()).leastNanos(arrival.steps(), rows))
            .sum();
  }

  private static Map<Subject, Measurement> latency(
      Device device,
      String kind,
      double percent,
      Map<Subject, List<List<Served>>> loaded,
      Predicate<Arrival> which) {
    Map<Subject, Measurement> latency = new LinkedHashMap<>();
    loaded.forEach(
        (subject, rounds) ->
            latency.put(
                subject,
                measurement(
                    "%s: %s, p%.0f".formatted(device.name(), kind, percent),
                    subject,
                    "s",
                    rounds.stream()
                        .map(served -> Served.latency(served, which, percent))
                        .toList())));
    return latency;
  }

  private static void findings(
      BenchmarkResult.Builder result, String what, Map<Subject, Measurement> by, Goal goal) {
    for (Subject peer : by.keySet().stream().filter(each -> each != Subject.STEPS).toList()) {
      result.add(Finding.ratio(what + peer.title, by.get(Subject.STEPS), by.get(peer), goal));
    }
  }

  private static Measurement measurement(
      String scenario, Subject subject, String unit, List<Double> values) {
    return new Measurement(scenario, subject.title, unit, values);
  }

  /**
   * @param arrivals of a round
   * @return what was served in each measured round
   */
  private Map<Subject, List<List<Served>>> measure(
      Device device, String scenario, String unit, Function<Long, List<Arrival>> arrivals)
      throws Exception {
    Map<Subject, List<List<Served>>> all = new LinkedHashMap<>();
    Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
    for (Subject subject : device.subjects()) {
      List<List<Served>> rounds = new ArrayList<>();
      all.put(subject, rounds);
      subjects.put(
          subject.title,
          () -> {
            rounds.add(serve(device, subject, arrivals.apply((long) rounds.size())));
            return Served.throughput(rounds.get(rounds.size() - 1));
          });
    }
    Rounds rounds = options().rounds();
    rounds.alternate(scenario, unit, subjects);
    all.replaceAll((subject, each) -> each.subList(rounds.warmUp(), each.size()));
    return all;
  }

  private List<Served> serve(Device device, Subject subject, List<Arrival> arrivals)
      throws Exception {
    Clock clock = device.clock().call();
    DiffusionPipeline pipeline = device.pipeline().apply(clock);
    try (Server server =
        switch (subject) {
          case STEPS -> new StepLevelServer(pipeline, device.request(), rows, clock);
          case SHARED -> requestLevel(device, pipeline, Mixing.SHARED_CALLS, clock);
          case SEPARATE -> requestLevel(device, pipeline, Mixing.CALL_PER_STEP_COUNT, clock);
        }) {
      return Server.serve(arrivals, server, clock);
    }
  }

  private Server requestLevel(
      Device device, DiffusionPipeline pipeline, Mixing mixing, Clock clock) {
    return new RequestLevelServer(pipeline, device.request(), rows, device.delay(), mixing, clock);
  }
}
