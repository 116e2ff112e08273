/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.benchmarks.simulation.Arrival;
import io.github.flinkdiffusion.benchmarks.simulation.CallCosts;
import io.github.flinkdiffusion.benchmarks.simulation.Fleet;
import io.github.flinkdiffusion.benchmarks.simulation.Limits;
import io.github.flinkdiffusion.benchmarks.simulation.Load;
import io.github.flinkdiffusion.benchmarks.simulation.Served;
import io.github.flinkdiffusion.benchmarks.simulation.StepLevelModel;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiFunction;
import java.util.function.ToIntFunction;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Beyond this machine: up to a thousand devices, simulated with what a step costs here. */
@Command(
    name = ScalingBenchmark.NAME,
    mixinStandardHelpOptions = true,
    description = "Simulates 1 to 1,000 devices: skew, bursts, and what breaks first.")
final class ScalingBenchmark extends BenchmarkCommand {
  static final String NAME = "scaling";

  private static final double LOAD = 0.8;
  private static final double BURSTY_LOAD = 0.6;
  private static final List<Integer> DEVICES = List.of(1, 4, 16, 64, 256, 1000);
  private static final List<Integer> BATCHES = List.of(1, 2, 4, 8, 16);
  private static final int ROWS = 16;
  private static final int MEASURED_STEPS = 10;

  private static final String LIMIT = "limit: ";

  /** Bursts in which this many times as many requests come, for a fifth of the time. */
  private static final List<Integer> BURSTS = List.of(1, 2, 4, 8);

  private static final double BURST_SHARE = 0.2;

  @Option(
      names = "--requests",
      paramLabel = "N",
      description = "Requests for each device (default: ${DEFAULT-VALUE}; 50 with --smoke).")
  private int requests = 300;

  @Option(
      names = "--step-millis",
      paramLabel = "ROWS=MS",
      split = ",",
      description =
          "A step's cost measured elsewhere, e.g. 1=21.4,8=80; encoding and decoding cost a step"
              + " each (default: mini-emoji is measured here).")
  private Map<Integer, Double> stepMillis = Map.of();

  /**
   * How requests reach devices.
   *
   * @param device for a fleet and a seed
   */
  private record Way(String name, BiFunction<Fleet, Long, ToIntFunction<Arrival>> device) {}

  private static final List<Way> WAYS =
      List.of(
          new Way("in turn", (fleet, seed) -> fleet.inTurn()),
          new Way(
              "4 partitions a device",
              (fleet, seed) -> fleet.byPartition(4 * fleet.devices(), 0, seed)),
          new Way(
              "1.5 partitions a device",
              (fleet, seed) -> fleet.byPartition(fleet.devices() * 3 / 2, 0, seed)),
          new Way(
              "4 partitions a device, Zipf 0.3",
              (fleet, seed) -> fleet.byPartition(4 * fleet.devices(), 0.3, seed)));

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    List<Integer> devices = DEVICES;
    if (options().smoke()) {
      requests = 50;
      devices = List.of(1, 4);
    }
    CallCosts costs = stepMillis.isEmpty() ? measured() : given();
    StepLevelModel device = new StepLevelModel(costs, ROWS);
    double capacity =
        Served.throughput(device.serve(Load.mixed(0).backlog(Math.max(requests, 300))).served());
    double idle =
        Served.latency(device.serve(List.of(new Arrival(0, 0, 4))).served(), arrival -> true, 50);
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "A thousand devices, simulated",
            """
            Each device is the step-level batcher as a discrete-event model, which a test (`StepLevelModelTest`) holds
            against the batcher itself: every picture at the same nanosecond. Its calls cost what %s, up to %d rows a
            call. Requests of 4 to 50 steps come as a Poisson process at %s of the capacity of all devices (one makes %s
            pictures/s), and reach devices in four ways: in turn (`rebalance()` before the operator), or by the topic's
            partitions where the operator is chained to the source: 4 equal ones a device, 3 for 2 devices, and 4 whose
            shares follow Zipf's law. Latency is told as multiples of that of a request of 4 steps on an idle device
            (%s s). Bursts are %s times as many requests in a fifth of the time, at %s of the capacity on average.
            """
                .formatted(
                    stepMillis.isEmpty()
                        ? "those of `mini-emoji` took on this machine"
                        : "was given on the command line",
                    ROWS,
                    Tables.number(LOAD),
                    Tables.number(capacity),
                    Tables.number(idle),
                    BURSTS.stream().map(String::valueOf).collect(Collectors.joining(", ")),
                    Tables.number(BURSTY_LOAD)));
    ways(result, device, devices, capacity, idle);
    bursts(result, device, capacity, idle);
    Limits.of(Limits.Assumptions.TYPICAL)
        .forEach(
            limit -> {
              result.add(
                  new Measurement(
                      LIMIT + limit.what(), "reached with", "devices", List.of(limit.devices())));
              result.add(
                  new Measurement(
                      LIMIT + limit.what(),
                      "reached with",
                      "pictures/s",
                      List.of(limit.picturesPerSecond())));
              result.note(limit.what() + ": " + limit.why());
            });
    result.note("Assumed, not measured: " + Limits.Assumptions.TYPICAL.inWords());
    return result;
  }

  private void ways(
      BenchmarkResult.Builder result,
      StepLevelModel device,
      List<Integer> devices,
      double capacity,
      double idle) {
    Map<String, List<Double>> p99 = new LinkedHashMap<>();
    Map<String, List<Double>> balance = new LinkedHashMap<>();
    for (int count : devices) {
      Fleet fleet = new Fleet(device, count);
      for (Way way : WAYS) {
        List<Double> latencies = new ArrayList<>();
        List<Double> balances = new ArrayList<>();
        for (long round = 0; round < options().rounds().measured(); round++) {
          Load load = Load.mixed(round);
          Fleet.Run run =
              fleet.serve(
                  load.poisson(requests * count, LOAD * capacity * count),
                  way.device().apply(fleet, round));
          latencies.add(Served.latency(run.served(), load::isShort, 99) / idle);
          balances.add(run.busiest() / run.busy());
        }
        String scenario = "%,d %s: ".formatted(count, count == 1 ? "device" : "devices");
        Measurement latency =
            new Measurement(scenario + "p99 of short", way.name(), "x idle", latencies);
        Measurement unequal =
            new Measurement(scenario + "busiest over average", way.name(), "x", balances);
        result.add(latency).add(unequal);
        p99.computeIfAbsent(way.name(), key -> new ArrayList<>()).add(latency.summary().median());
        balance
            .computeIfAbsent(way.name(), key -> new ArrayList<>())
            .add(unequal.summary().median());
      }
    }
    List<Double> x = devices.stream().map(Integer::doubleValue).toList();
    result.add(
        Plot.lines(
            "p99 of short requests by how requests reach devices",
            "devices",
            "multiples of an idle device's",
            List.of(Plot.Axis.X),
            series(x, p99)));
    result.add(
        Plot.lines(
            "The busiest device",
            "devices",
            "over the average",
            List.of(Plot.Axis.X),
            series(x, balance)));
  }

  private void bursts(
      BenchmarkResult.Builder result, StepLevelModel device, double capacity, double idle) {
    List<Double> latencies = new ArrayList<>();
    List<Double> inFlight = new ArrayList<>();
    Load load = Load.mixed(1);
    // So long that a device begins and ends some fifty requests in it.
    double period = 50 / capacity;
    for (int factor : BURSTS) {
      StepLevelModel.Run run =
          device.serve(
              load.bursts(
                  20 * requests,
                  BURSTY_LOAD * capacity,
                  new Load.Burst(period, BURST_SHARE, factor)));
      double latency = Served.latency(run.served(), load::isShort, 99) / idle;
      latencies.add(latency);
      inFlight.add((double) run.mostInFlight());
      String scenario = "one device, bursts of %dx".formatted(factor);
      result.add(new Measurement(scenario, "p99 of short", "x idle", List.of(latency)));
      result.add(
          new Measurement(
              scenario, "most at once", "requests", List.of((double) run.mostInFlight())));
    }
    List<Double> rates = BURSTS.stream().map(Integer::doubleValue).toList();
    result.add(
        Plot.lines(
            "Bursts on one device",
            "rate in bursts over that between",
            "multiples of idle latency; requests",
            List.of(),
            List.of(
                new Plot.Series("p99 of short requests", rates, latencies),
                new Plot.Series("most requests at once", rates, inFlight))));
  }

  private static List<Plot.Series> series(List<Double> x, Map<String, List<Double>> lines) {
    return lines.entrySet().stream()
        .map(each -> new Plot.Series(each.getKey(), x, each.getValue()))
        .toList();
  }

  private CallCosts measured() throws Exception {
    try (DiffusionPipeline pipeline =
        Pipelines.open(MiniEmoji.folder(), PipelineSettings.on(Engines.standard().device("cpu")))) {
      return CallCosts.measure(
          pipeline,
          pipeline
              .model()
              .prepare(MiniEmoji.spec("calibration", options().smoke() ? 1 : MEASURED_STEPS)),
          options().smoke() ? List.of(1, 2) : BATCHES);
    }
  }

  private CallCosts given() {
    TreeMap<Integer, Double> nanos = new TreeMap<>();
    stepMillis.forEach((rows, millis) -> nanos.put(rows, millis * 1e6));
    CallCosts.Curve curve = new CallCosts.Curve(nanos);
    return new CallCosts(curve, curve, curve);
  }
}
