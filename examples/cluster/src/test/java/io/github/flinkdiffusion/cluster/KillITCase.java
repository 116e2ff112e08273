/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.examples.Topics;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Processes are killed under load, and nobody behind the job can tell: a JobManager, two
 * TaskManagers and a broker, each a process of its own.
 *
 * <p>{@code examples/cluster/kill-test 20} makes a night of it, and {@code -Dcluster.kill.seed=...}
 * repeats a run's requests and victims.
 */
@Tag("nightly")
class KillITCase {
  private static final int ROUNDS = Integer.getInteger("cluster.kill.rounds", 3);
  private static final long SEED = Long.getLong("cluster.kill.seed", System.nanoTime());

  private static final long BEGIN = System.nanoTime();

  /** Every so many rounds, it is the broker's turn. */
  private static final int BROKER_EVERY = 3;

  /** Requests without an answer that the job is kept at. */
  private static final int LOAD = 16;

  /** Of the job and its topics. */
  static final int PARALLELISM = 2;

  /** Requests may have steps that reuse features of earlier ones, which are in no checkpoint. */
  private static final String REUSE = "-Ddiffusion.cache.interval=1";

  /** Progress events, of which several come a step, between a checkpoint and a kill. */
  private static final int LONGEST_AFTER_CHECKPOINT = 80;

  private static final Duration PATIENCE = Duration.ofMinutes(5);
  private static final Duration LOOK = Duration.ofMillis(100);

  @Test
  void everyRequestIsAnsweredOnceAndRightThoughProcessesAreKilled() throws Exception {
    say("rounds %d, seed %d", ROUNDS, SEED);
    Random random = new Random(SEED);
    // Not a temporary folder: whoever looks into a failure wants the logs.
    LocalCluster cluster =
        new LocalCluster(Path.of("target/kill-test"), ProcessHandle.current().pid());
    cluster.run("clean");
    try (cluster) {
      cluster.run("start");
      say("the cluster runs");
      String servers = cluster.bootstrapServers();
      Topics stormy = createTopics(servers, "stormy-");
      Topics calm = createTopics(servers, "calm-");
      // The same job twice in one cluster, on the same TaskManagers: DJL and all that needs it is
      // in lib/, so its native library is loaded once and both can use it.
      CompletableFuture<String> second =
          CompletableFuture.supplyAsync(() -> cluster.submit("-p", "2", REUSE, "calm-"));
      String job =
          cluster.submit(
              "-p",
              Integer.toString(PARALLELISM),
              REUSE,
              "-Ddiffusion.progress.every-steps=1",
              "stormy-");
      String calmJob = second.join();
      say("the jobs are submitted");
      FlinkRest rest = cluster.rest();
      Restores restores = new Restores();

      try (Answers answers = new Answers(servers, stormy, PARALLELISM);
          Answers calmAnswers = new Answers(servers, calm, PARALLELISM)) {
        int sent;
        try (Feeder feeder = new Feeder(servers, stormy.requests(), SEED, answers, LOAD)) {
          for (int round = 1; round <= ROUNDS; round++) {
            awaitLoad(rest, job, restores, answers, random);
            boolean brokersTurn = round % BROKER_EVERY == 0;
            String victim =
                brokersTurn ? LocalCluster.BROKER : "taskmanager-" + (1 + random.nextInt(2));
            long before = restores(rest, job, restores).restores();
            say("round %d: %s is killed, %d requests are answered", round, victim, answers.count());
            cluster.run("kill", victim);
            cluster.run("start", victim);
            if (!brokersTurn) {
              until("the job goes on", () -> restores(rest, job, restores).restores() > before);
              until("both TaskManagers are there", () -> rest.taskManagers().size() == 2);
            }
          }
          awaitLoad(rest, job, restores, answers, random);
          sent = feeder.end();
        }
        until("all are answered", () -> look(rest, job, restores) && answers.count() >= sent);
        assertThat(rest.taskManagersOf(job)).isEqualTo(rest.taskManagersOf(calmJob)).hasSize(2);

        say("all are answered");
        Feeder.sendAll(servers, calm.requests(), SEED, sent);
        until("all are answered undisturbed", () -> calmAnswers.count() >= sent);
        say("all are answered undisturbed");
        cluster.run("flink", "cancel", job);
        cluster.run("flink", "cancel", calmJob);
        answers.close();
        calmAnswers.close();

        assertThat(answers.failures()).isEmpty();
        assertThat(calmAnswers.failures()).isEmpty();
        List<String> ids = IntStream.range(0, sent).mapToObj(Requests::id).toList();
        assertThat(answers.images())
            .extracting(ImageEvent::getId)
            .containsExactlyInAnyOrderElementsOf(ids);
        assertThat(calmAnswers.images())
            .extracting(ImageEvent::getId)
            .containsExactlyInAnyOrderElementsOf(ids);
        assertSamePictures(answers.images(), calmAnswers.images());

        List<Restores.Cost> costs =
            Restores.costs(
                restores.all(),
                answers.steps(),
                Resumed.in(cluster.folder()),
                id -> Requests.cacheInterval(SEED, id) - 1);
        assertThat(costs).hasSizeGreaterThanOrEqualTo(ROUNDS - ROUNDS / BROKER_EVERY);
        for (Restores.Cost cost : costs) {
          say(
              "restored checkpoint %d: %d requests went on in mid-flight; %d steps redone of %d"
                  + " done since it began, and %d for features",
              cost.restore().checkpoint(),
              cost.resumed(),
              cost.redoneSteps(),
              cost.lostSteps(),
              cost.stepsForFeatures());
          assertThat(cost.redoneSteps()).isLessThanOrEqualTo(cost.lostSteps());
        }
        say("%d pictures, each once and as undisturbed", sent);
      }
    }
    assertThat(cluster.processes()).isEmpty();
  }

  /**
   * Until the job runs, has completed a checkpoint since, and requests are being denoised; then for
   * some steps more, so that kills come at any time between two checkpoints.
   */
  private static void awaitLoad(
      FlinkRest rest, String job, Restores restores, Answers answers, Random random) {
    until("all tasks run", () -> look(rest, job, restores) && rest.job(job).allTasksRun());
    long checkpoint = restores(rest, job, restores).lastCompleted();
    until(
        "a checkpoint completes", () -> restores(rest, job, restores).lastCompleted() > checkpoint);
    int steps = answers.stepCount() + 1 + random.nextInt(LONGEST_AFTER_CHECKPOINT);
    until("requests are denoised", () -> answers.stepCount() >= steps);
  }

  private static FlinkRest.Checkpoints restores(FlinkRest rest, String job, Restores restores) {
    FlinkRest.Checkpoints checkpoints = rest.checkpoints(job);
    restores.look(checkpoints);
    return checkpoints;
  }

  private static boolean look(FlinkRest rest, String job, Restores restores) {
    restores(rest, job, restores);
    return true;
  }

  private static void until(String what, Callable<Boolean> condition) {
    await(what).atMost(PATIENCE).pollDelay(Duration.ZERO).pollInterval(LOOK).until(condition);
  }

  /** With the broker's clock for timestamps: what is written before a moment happened before it. */
  private static Topics createTopics(String servers, String prefix) throws Exception {
    Topics topics = Topics.withPrefix(prefix);
    List<NewTopic> all = new ArrayList<>();
    for (String name :
        List.of(topics.requests(), topics.images(), topics.failures(), topics.progress())) {
      all.add(
          new NewTopic(name, Optional.of(PARALLELISM), Optional.of((short) 1))
              .configs(Map.of("message.timestamp.type", "LogAppendTime")));
    }
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
      admin.createTopics(all).all().get();
    }
    return topics;
  }

  /**
   * Equal but for rounding: requests share network calls with others than before, and kernels round
   * differently for batches of another size, which a value between two of the 256 levels can show.
   */
  private static void assertSamePictures(List<ImageEvent> images, List<ImageEvent> expected) {
    Map<String, ImageEvent> byId =
        expected.stream().collect(Collectors.toMap(ImageEvent::getId, Function.identity()));
    Map<Integer, Integer> picturesByDifference = new HashMap<>();
    for (ImageEvent image : images) {
      float[] values = picture(image).data();
      float[] undisturbed = picture(byId.get(image.getId())).data();
      assertThat(values).as(image.getId()).hasSameSizeAs(undisturbed);
      int largest = 0;
      for (int i = 0; i < values.length; i++) {
        largest = Math.max(largest, Math.round(Math.abs(values[i] - undisturbed[i]) * 255));
      }
      assertThat(largest)
          .as("largest difference, in levels, of %s and its undisturbed picture", image)
          .isLessThanOrEqualTo(1);
      picturesByDifference.merge(largest, 1, Integer::sum);
    }
    say("pictures by their largest difference in levels: %s", picturesByDifference);
  }

  private static Raster picture(ImageEvent image) {
    byte[] png = new byte[image.getImage().remaining()];
    image.getImage().duplicate().get(png);
    return PngCodec.decode(png);
  }

  /** What a person needs who looks at a run, and to repeat it. */
  private static void say(String format, Object... arguments) {
    System.out.printf(
        Locale.ROOT,
        "[kill test, %3d s] %s%n",
        Duration.ofNanos(System.nanoTime() - BEGIN).toSeconds(),
        String.format(Locale.ROOT, format, arguments));
  }
}
