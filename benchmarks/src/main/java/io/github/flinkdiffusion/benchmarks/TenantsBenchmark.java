/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.stream.LongStream;
import org.apache.commons.math3.stat.descriptive.rank.Percentile;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** A tenant's latency, alone and beside one that sends ten times as much. */
@Command(
    name = "tenants",
    mixinStandardHelpOptions = true,
    description = "Latency of a tenant alone and beside one that sends ten times as much.")
final class TenantsBenchmark extends BenchmarkCommand {
  private static final String ALONE = "alone";
  private static final String QUOTA = "one stream, quota";
  private static final String APART = "an operator each";
  private static final String NONE = "one stream, no tenants, no quota";
  private static final int TIMES_AS_MUCH = 10;
  private static final double GOAL = 2;
  private static final int WARM_UP = 8;

  @Option(
      names = "--requests",
      paramLabel = "N",
      description = "The small tenant's requests of a round (default: ${DEFAULT-VALUE}).")
  private int requests = 40;

  @Option(names = "--steps", paramLabel = "N", description = "Steps (default: ${DEFAULT-VALUE}).")
  private int steps = 8;

  @Option(
      names = "--rows",
      paramLabel = "N",
      description = "Most rows of a network call (default: ${DEFAULT-VALUE}).")
  private int rows = 4;

  @Option(
      names = "--load",
      paramLabel = "X",
      description = "Both tenants' load over the capacity (default: ${DEFAULT-VALUE}).")
  private double load = 1.5;

  /** What the two send in a round, and when. */
  private record Sent(String tenant, long atNanos) {}

  /** A job that runs, known to its functions by its key. */
  private static final class Run {
    static final Map<String, Run> ALL = new ConcurrentHashMap<>();

    final String key = UUID.randomUUID().toString();
    final List<List<Sent>> streams;
    final CountDownLatch warm;
    final Map<String, Long> due = new ConcurrentHashMap<>();
    final ConcurrentLinkedQueue<Double> small = new ConcurrentLinkedQueue<>();
    final ConcurrentLinkedQueue<Double> large = new ConcurrentLinkedQueue<>();
    volatile long begin;
    volatile long end;

    Run(List<List<Sent>> streams) {
      this.streams = streams;
      this.warm = new CountDownLatch(WARM_UP * streams.size());
      ALL.put(key, this);
    }

    synchronized long begin() {
      if (begin == 0) {
        begin = System.nanoTime();
      }
      return begin;
    }
  }

  /** Sends each request when it is due, after some that only warm up. */
  private record Sender(String key, int stream, int steps)
      implements MapFunction<Long, PromptEvent> {
    private static final long serialVersionUID = 1L;

    @Override
    public PromptEvent map(Long number) throws InterruptedException {
      if (number < WARM_UP) {
        return MiniEmoji.event("warm-%d-%d".formatted(stream, number), steps);
      }
      Run run = Run.ALL.get(key);
      run.warm.await();
      Sent sent = run.streams.get(stream).get((int) (number - WARM_UP));
      long due = run.begin() + sent.atNanos();
      long left = due - System.nanoTime();
      if (left > 0) {
        Thread.sleep(Duration.ofNanos(left).toMillis(), (int) (left % 1_000_000));
      }
      String id = "%s-%d-%d".formatted(sent.tenant(), stream, number);
      run.due.put(id, due);
      PromptEvent event = MiniEmoji.event(id, steps);
      event.setAttributes(Map.of("tenant", sent.tenant()));
      return event;
    }
  }

  private record Receiver(String key) implements MapFunction<ImageEvent, ImageEvent> {
    private static final long serialVersionUID = 1L;

    @Override
    public ImageEvent map(ImageEvent image) {
      Run run = Run.ALL.get(key);
      if (image.getId().startsWith("warm-")) {
        run.warm.countDown();
        return image;
      }
      run.end = System.nanoTime();
      double seconds = (run.end - run.due.get(image.getId())) / 1e9;
      (image.getId().startsWith("small") ? run.small : run.large).add(seconds);
      return image;
    }
  }

  private record Served(double p50, double p99, double largePerSecond) {}

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      requests = 3;
      steps = 2;
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Two tenants at ten to one",
            """
            `mini-emoji` by the DataStream operator in a job of its own, %d steps without guidance, at most %d rows a network
            call. Requests of both tenants come as Poisson processes, the large one's ten times as often; together they are
            %s of what the operator can do, which is measured first as a backlog. Latency is from the moment at which a
            request is due to its image, also when the job is not ready to take it; a round has %d requests of the small
            tenant. *One stream, quota*: both in one partition's order, `diffusion.tenants.max-in-flight` 16 of a capacity of
            64; beyond it, the large tenant's requests are refused. *An operator each*: a stream and an operator for each
            tenant, which share network calls; nothing is refused, and the large tenant's backlog grows. *No tenants, no
            quota*: one stream, first come, first served.
            """
                .formatted(steps, rows, Tables.number(load), requests));
    int rounds = options().rounds().measured();
    double perSecond = capacity();
    result.add(
        new Measurement("capacity", "backlog", "images/s", Collections.nCopies(rounds, perSecond)));
    double smallPerSecond = load * perSecond / (1 + TIMES_AS_MUCH);

    List<String> order = new ArrayList<>(List.of(ALONE, QUOTA, APART, NONE));
    Map<String, List<Served>> served = new LinkedHashMap<>();
    order.forEach(name -> served.put(name, new ArrayList<>()));
    for (int round = 0; round < rounds; round++) {
      for (String name : order) {
        served.get(name).add(serve(name, round, smallPerSecond));
      }
      Collections.reverse(order);
    }
    Map<String, Measurement> p99 = new LinkedHashMap<>();
    served.forEach(
        (name, each) -> {
          result.add(
              new Measurement(
                  "small tenant, p50", name, "s", each.stream().map(Served::p50).toList()));
          p99.put(
              name,
              new Measurement(
                  "small tenant, p99", name, "s", each.stream().map(Served::p99).toList()));
        });
    p99.values().forEach(result::add);
    served.forEach(
        (name, each) -> {
          if (!name.equals(ALONE)) {
            result.add(
                new Measurement(
                    "large tenant",
                    name,
                    "images/s",
                    each.stream().map(Served::largePerSecond).toList()));
          }
        });
    p99.forEach(
        (name, measured) -> {
          if (!name.equals(ALONE)) {
            result.add(
                Finding.ratio(
                    name + ": p99 over alone",
                    measured,
                    p99.get(ALONE),
                    name.equals(NONE) ? null : Goal.atMost(GOAL)));
          }
        });
    return result;
  }

  private double capacity() throws Exception {
    List<Sent> backlog =
        LongStream.range(0, 2L * requests).mapToObj(number -> new Sent("large", 0)).toList();
    Run run = run(List.of(backlog), false);
    return backlog.size() * 1e9 / (run.end - run.begin);
  }

  private Served serve(String how, int round, double smallPerSecond) throws Exception {
    List<Sent> small = poisson("small", requests, smallPerSecond, 2L * round);
    List<Sent> large =
        poisson("large", TIMES_AS_MUCH * requests, TIMES_AS_MUCH * smallPerSecond, 2L * round + 1);
    List<Sent> both = new ArrayList<>(small);
    both.addAll(large);
    both.sort(Comparator.comparingLong(Sent::atNanos));
    Run run =
        switch (how) {
          case ALONE -> run(List.of(small), true);
          case QUOTA -> run(List.of(both), true);
          case APART -> run(List.of(small, large), true);
          default -> run(List.of(both), false);
        };
    if (run.small.size() != requests) {
      throw new BenchmarkException(
          "%d of %d requests of the small tenant were answered with an image (%s)."
              .formatted(run.small.size(), requests, how));
    }
    double[] seconds = run.small.stream().mapToDouble(Double::doubleValue).toArray();
    return new Served(
        new Percentile(50).evaluate(seconds),
        new Percentile(99).evaluate(seconds),
        run.large.size() * 1e9 / (run.end - run.begin));
  }

  private static List<Sent> poisson(String tenant, int count, double perSecond, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    List<Sent> all = new ArrayList<>();
    double seconds = 0;
    for (int i = 0; i < count; i++) {
      seconds -= Math.log(1 - random.nextDouble()) / perSecond;
      all.add(new Sent(tenant, Math.round(seconds * 1e9)));
    }
    return all;
  }

  /**
   * @param tenants false for one queue
   */
  private Run run(List<List<Sent>> streams, boolean tenants) throws Exception {
    Run run = new Run(streams);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
    env.disableOperatorChaining(); // a sender that waits must not hold up the operator
    env.setBufferTimeout(0);
    for (int stream = 0; stream < streams.size(); stream++) {
      DataStream<PromptEvent> prompts =
          env.fromSource(
                  new NumberSequenceSource(0, WARM_UP + streams.get(stream).size() - 1),
                  WatermarkStrategy.noWatermarks(),
                  "numbers " + stream)
              .map(new Sender(run.key, stream, steps))
              .returns(new AvroTypeInfo<>(PromptEvent.class));
      var operator =
          Diffusion.textToImage()
              .setModel(MiniEmoji.folder().toString())
              .setDevice("cpu")
              .setBatchRows(rows)
              .uid("tenant-" + stream)
              .setTenantsAttribute(tenants ? "tenant" : "none");
      if (tenants && streams.size() == 1) {
        operator.setTenantsMaxInFlight(16);
      }
      operator
          .apply(prompts)
          .images()
          .map(new Receiver(run.key))
          .returns(new AvroTypeInfo<>(ImageEvent.class))
          .sinkTo(new DiscardingSink<>());
    }
    env.execute("tenants");
    Run.ALL.remove(run.key);
    return run;
  }
}
