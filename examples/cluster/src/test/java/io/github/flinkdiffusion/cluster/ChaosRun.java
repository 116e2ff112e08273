/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;

/**
 * Jobs of every kind on a cluster of processes, of which something is broken in every round while
 * requests keep coming; after each round everything has to be answered, once and right.
 *
 * <p>All that a run knows is in its folder and in the topics of its broker, which is in the folder,
 * too: so a run that was ended, or killed, goes on.
 */
final class ChaosRun implements AutoCloseable {
  static final Path HOME = Path.of("../..").toAbsolutePath().normalize();
  private static final Duration PATIENCE = Duration.ofMinutes(4);
  private static final long LOOK_MILLIS = 100;

  /** Requests of a job that are kept without an answer. */
  private static final Map<ChaosJob, Integer> LOAD =
      Map.of(
          ChaosJob.PROMPTS, 10,
          ChaosJob.IMAGES, 4,
          ChaosJob.ADAPTERS, 4,
          ChaosJob.TRANSFORMERS, 4,
          ChaosJob.CAPTIONS, 4,
          ChaosJob.LIVE, 4);

  /** Longer than a restart takes, but not much. */
  private static final int TRANSACTION_SECONDS = 70;

  private static final int HEARTBEAT_SECONDS = 12;
  private static final String LOST_TRANSACTION = "has lost the records of transaction";

  private static final List<ChaosRequests.Poison> HEAVY =
      List.of(
          ChaosRequests.Poison.LARGE_RECORD,
          ChaosRequests.Poison.LARGE_PROMPT,
          ChaosRequests.Poison.LARGE_IMAGE);

  private final Path folder;
  private final long seed;
  private final List<Fault> faults;
  private final Set<ChaosRequests.Poison> without;
  private final LocalCluster cluster;
  private final ChaosParts parts;
  private final ChaosState state;
  private final ChaosSubmission submission;
  private final Map<ChaosJob, Integer> lastRestarts = new EnumMap<>(ChaosJob.class);
  private int allRestarts;
  private final Breakage breakage = new Breakage();
  private ChaosTopics topics;
  private FlinkRest rest;
  private Ledger ledger;
  private ChaosFeeder feeder;
  private String note = "";

  /**
   * @param folder of this run: an empty or missing one, or that of a run that goes on
   * @param faults to draw from
   * @param without bad requests that are not sent
   */
  ChaosRun(Path folder, long seed, List<Fault> faults, Set<ChaosRequests.Poison> without)
      throws IOException {
    this.folder = folder.toAbsolutePath().normalize();
    this.seed = seed;
    this.faults = List.copyOf(faults);
    this.without = Set.copyOf(without);
    Files.createDirectories(this.folder);
    state = new ChaosState(this.folder, seed);
    submission = new ChaosSubmission(this.folder, payloads());
    Path configuration = this.folder.resolve("flink.yaml");
    Path libraries = this.folder.resolve("lib.classpath");
    Files.write(configuration, configuration());
    Files.writeString(
        libraries,
        Files.readString(HOME.resolve("deploy/target/lib.classpath")).strip()
            + ":"
            + Path.of("target/test-classes").toAbsolutePath());
    cluster =
        new LocalCluster(
            this.folder.resolve("cluster"),
            ProcessHandle.current().pid(),
            Map.of(
                "CLUSTER_HA", "yes",
                "CLUSTER_CONFIG", configuration.toString(),
                "CLUSTER_LIB", libraries.toString()));
    parts = new ChaosParts(cluster, this.folder.resolve("cluster/log"));
  }

  private List<String> configuration() {
    return List.of(
        // So that one TaskManager has room for all jobs.
        "taskmanager.numberOfTaskSlots: " + 2 * ChaosJob.values().length,
        "taskmanager.memory.process.size: 3g",
        "taskmanager.memory.task.off-heap.size: 1g",
        "taskmanager.memory.jvm-metaspace.size: 320m",
        "heartbeat.timeout: " + HEARTBEAT_SECONDS * 1000,
        "restart-strategy.fixed-delay.delay: 1s",
        "execution.checkpointing.timeout: 15s",
        "execution.checkpointing.num-retained: 3",
        "diffusion.kafka.allowed-restart-time: 15s",
        "diffusion.kafka.transaction-timeout: " + TRANSACTION_SECONDS + "s",
        SlowFileSystem.DELAY_FILE.key() + ": " + delayFile());
  }

  private Path delayFile() {
    return folder.resolve("slow-millis");
  }

  private Path payloads() {
    return folder.resolve("payloads");
  }

  private Path checkpoints() {
    return folder.resolve("cluster/checkpoints");
  }

  // ------------------------------------------------------------------ beginning

  /** Starts the cluster and the jobs, or goes on with them; makes the undisturbed images first. */
  void start() throws Exception {
    for (Path broken : List.of(payloads(), checkpoints(), folder.resolve("cluster/tmp"))) {
      Breakage.healLeftover(broken);
    }
    Files.deleteIfExists(delayFile());
    Files.createDirectories(payloads());
    state.load();
    cluster.run("stop");
    cluster.run("start");
    String servers = cluster.bootstrapServers();
    rest = cluster.rest();
    topics = new ChaosTopics(servers);
    topics.create();
    ledger = new Ledger(servers);
    ledger.awaitCaughtUp();
    ChaosRequests requests = new ChaosRequests(seed, folder.resolve("inputs"));
    feeder = new ChaosFeeder(servers, requests, ledger, LOAD, seed + done(), without);
    for (ChaosJob job : ChaosJob.values()) {
      if (!rest.jobs().containsKey(job.jobName())) {
        goOn(job);
      }
    }
    awaitRunning();
    int references = ChaosJob.values().length * ChaosRequests.TEMPLATES;
    if (ledger.references() < references) {
      for (ChaosJob job : ChaosJob.values()) {
        // A frame of a stream that was sent by a run before is not sent again.
        int first = job == ChaosJob.LIVE ? ledger.asked(job) : 0;
        for (int template = first; template < ChaosRequests.TEMPLATES; template++) {
          feeder.send(requests.reference(job, template));
        }
      }
      until("the undisturbed images", () -> ledger.references() == references);
    }
    until("all of before is answered", () -> ledger.books().missing() == 0);
  }

  private void goOn(ChaosJob job) throws IOException {
    String before = state.id(job);
    Path savepoint = null;
    if (before != null) {
      // Ended between its stop and its start, or failed for good.
      savepoint =
          Snapshots.newest(state.savepoints(job), "savepoint-")
              .or(() -> Snapshots.newest(checkpoints().resolve(before), "chk-"))
              .orElse(null);
    }
    submit(job, savepoint);
  }

  private void submit(ChaosJob job, Path snapshot) throws IOException {
    List<String> command =
        submission.command(job, state.parallelism(job), Optional.ofNullable(snapshot));
    String id = LocalCluster.jobId(cluster.run(command.toArray(String[]::new)));
    state.isSubmitted(job, id, submission.savepoints(job, id));
    lastRestarts.put(job, 0);
  }

  /** How many rounds are done, in earlier runs too. */
  int done() {
    return state.rounds();
  }

  // ------------------------------------------------------------------ a round

  ChaosRound round(int number) throws Exception {
    long begin = System.nanoTime();
    Random random = new Random(seed * 1_000_003 + number);
    Fault fault = Fault.of(seed, number, faults);
    Ledger.Books before = ledger.books();
    int restartsBefore = restarts();
    note = "";
    feeder.feed(true);
    awaitLoad(random);
    if (fault != Fault.POISON && random.nextBoolean()) {
      poison(HEAVY.get(random.nextInt(HEAVY.size())));
    }
    String detail;
    try {
      detail = apply(fault, random);
    } finally {
      breakage.close();
    }
    awaitRunning();
    int answered = ledger.books().answered();
    until("requests are answered again", () -> ledger.books().answered() >= answered + 8);
    feeder.feed(false);
    boolean complete = answersCome();
    int open = complete ? awaitNoneOpen() : topics.open();
    ChaosRound round =
        new ChaosRound(
            number,
            fault,
            detail + note,
            ledger.books().since(before),
            open,
            restarts() - restartsBefore,
            Duration.ofNanos(System.nanoTime() - begin).toSeconds());
    state.roundIsDone(number);
    Files.writeString(
        folder.resolve("rounds.txt"),
        round + "\n",
        StandardOpenOption.CREATE,
        StandardOpenOption.APPEND);
    return round;
  }

  private String apply(Fault fault, Random random) throws Exception {
    return switch (fault) {
      case KILL_TASKMANAGER ->
          parts.kill(List.of("taskmanager-" + (1 + random.nextInt(2))), random);
      case KILL_JOBMANAGER -> killLeader();
      case KILL_BROKER -> parts.kill(List.of(LocalCluster.BROKER), random);
      case KILL_ALL ->
          parts.kill(
              List.of(
                  "taskmanager-1",
                  "taskmanager-2",
                  "jobmanager",
                  "jobmanager-2",
                  LocalCluster.BROKER,
                  "zookeeper"),
              random);
      case PAUSE_TASKMANAGER ->
          // Beyond the heartbeat's time-out: its tasks run elsewhere when it comes back.
          parts.pause("taskmanager-" + (1 + random.nextInt(2)), 3 + random.nextInt(17));
      case PAUSE_JOBMANAGER -> parts.pause(parts.leader(), 3 + random.nextInt(12));
      case PAUSE_BROKER -> parts.pause(LocalCluster.BROKER, 3 + random.nextInt(8));
      case RESCALE -> rescale(ChaosJob.values()[random.nextInt(ChaosJob.values().length)]);
      case CHECKPOINTS_FULL -> {
        breakage.full(checkpoints());
        yield ChaosParts.hold(4 + random.nextInt(6)) + Breakage.standIn();
      }
      case CHECKPOINTS_GONE -> {
        breakage.gone(checkpoints());
        yield ChaosParts.hold(4 + random.nextInt(6));
      }
      case PAYLOADS_FULL -> {
        breakage.emptied(payloads());
        breakage.full(payloads());
        yield ChaosParts.hold(4 + random.nextInt(6)) + Breakage.standIn();
      }
      case PAYLOADS_READ_ONLY -> {
        breakage.emptied(payloads());
        breakage.readOnly(payloads());
        yield ChaosParts.hold(4 + random.nextInt(6)) + Breakage.standIn();
      }
      case PAYLOADS_SLOW -> {
        int millis = 500 + random.nextInt(1500);
        breakage.emptied(payloads());
        breakage.slow(delayFile(), millis);
        yield millis + " ms a call, " + ChaosParts.hold(6 + random.nextInt(6));
      }
      case SCRATCH_FULL -> {
        breakage.full(folder.resolve("cluster/tmp"));
        yield ChaosParts.hold(4 + random.nextInt(6)) + Breakage.standIn();
      }
      case OUTAGE -> {
        cluster.run("kill", LocalCluster.BROKER);
        String detail = ChaosParts.hold(TRANSACTION_SECONDS + 10);
        cluster.run("start", LocalCluster.BROKER);
        yield "broker, " + detail;
      }
      case POISON -> {
        feeder.sendAllPoison(Set.of());
        yield "of each kind";
      }
    };
  }

  private void poison(ChaosRequests.Poison poison) throws Exception {
    Set<ChaosRequests.Poison> others = new HashSet<>(List.of(ChaosRequests.Poison.values()));
    others.remove(poison);
    feeder.sendAllPoison(others);
  }

  /** The standby has to be at work before the killed one comes back. */
  private String killLeader() throws Exception {
    String leader = parts.leader();
    long begin = System.nanoTime();
    cluster.run("kill", leader);
    until(
        "the other JobManager leads",
        () -> !parts.leader().equals(leader) && rest.jobs().size() == ChaosJob.values().length);
    long seconds = Duration.ofNanos(System.nanoTime() - begin).toSeconds();
    awaitRunning();
    cluster.run("start", leader);
    return leader + ", the other one leads after " + seconds + " s";
  }

  private String rescale(ChaosJob job) throws Exception {
    int from = state.parallelism(job);
    int to = 3 - from;
    String id = state.id(job);
    Path savepoints = submission.savepoints(job, id);
    until("the job stops with a savepoint", () -> rest.stopWithSavepoint(id, savepoints, PATIENCE));
    state.setParallelism(job, to);
    submit(job, Snapshots.newest(savepoints, "savepoint-").orElseThrow());
    return job.name().toLowerCase(Locale.ROOT) + ", from " + from + " to " + to;
  }

  // ------------------------------------------------------------------ looking

  /** Until requests are in mid-flight, somewhere between two checkpoints. */
  private void awaitLoad(Random random) throws Exception {
    for (ChaosJob job : ChaosJob.values()) {
      long checkpoint = rest.checkpoints(state.id(job)).lastCompleted();
      until(
          "a checkpoint completes",
          () -> rest.checkpoints(state.id(job)).lastCompleted() > checkpoint);
    }
    long steps = ledger.stepEvents() + 1 + random.nextInt(40);
    until("requests are denoised", () -> ledger.stepEvents() >= steps);
  }

  private void awaitRunning() throws Exception {
    for (ChaosJob job : ChaosJob.values()) {
      until(job + " runs", () -> rest.job(state.id(job)).allTasksRun());
    }
  }

  /** Whether all requests are answered, and their images compared, in the end. */
  private boolean answersCome() throws Exception {
    int sent = feeder.sent();
    try {
      until(
          "all are answered",
          () -> {
            Ledger.Books books = ledger.books();
            return books.asked() >= sent && books.missing() == 0 && ledger.uncompared() == 0;
          });
      return true;
    } catch (IllegalStateException e) {
      note = "; without an answer: " + ledger.unanswered(5);
      return false;
    }
  }

  private int awaitNoneOpen() throws Exception {
    try {
      until("no transaction is open", () -> topics.open() == 0);
    } catch (IllegalStateException e) {
      note += "; " + e.getMessage();
    }
    return topics.open();
  }

  /** Of all jobs since this run began. */
  private int restarts() {
    for (ChaosJob job : ChaosJob.values()) {
      try {
        int now = rest.restarts(state.id(job));
        int before = lastRestarts.getOrDefault(job, 0);
        // A JobManager that took over counts from 0, as does a job that was submitted anew.
        allRestarts += now < before ? now : now - before;
        lastRestarts.put(job, now);
      } catch (UncheckedIOException e) {
        // It may be on its way back; what was counted before stands.
      }
    }
    return allRestarts;
  }

  private void until(String what, Callable<Boolean> condition) throws Exception {
    long end = System.nanoTime() + PATIENCE.toNanos();
    Exception last = null;
    long lookedForLoss = System.nanoTime();
    while (true) {
      try {
        if (condition.call()) {
          return;
        }
        last = null;
      } catch (UncheckedIOException | ExecutionException e) {
        last = e; // a part that is down
      }
      if (System.nanoTime() > end) {
        throw new IllegalStateException(
            "waited for %s s for: %s".formatted(PATIENCE.toSeconds(), what), last);
      }
      if (System.nanoTime() - lookedForLoss > 5_000_000_000L) {
        lookedForLoss = System.nanoTime();
        recoverLostTransactions();
      }
      Thread.sleep(LOOK_MILLIS);
    }
  }

  /** As the exception says, and docs/OPERATE.md: from the checkpoint before. */
  private void recoverLostTransactions() throws Exception {
    for (ChaosJob job : ChaosJob.values()) {
      String id = state.id(job);
      if (id == null) {
        continue;
      }
      FlinkRest.Job now;
      JsonNode restored;
      try {
        now = rest.job(id);
        restored = rest.checkpoints(id).all().path("latest").path("restored");
      } catch (UncheckedIOException e) {
        continue;
      }
      if (now.allTasksRun() || !now.rootCause().contains(LOST_TRANSACTION)) {
        continue;
      }
      String failing = "chk-" + restored.path("id").asLong();
      List<Path> all = Snapshots.complete(checkpoints().resolve(id), "chk-");
      Optional<Path> older =
          all.stream()
              .dropWhile(path -> !path.getFileName().toString().equals(failing))
              .skip(1)
              .findFirst();
      if (older.isEmpty()) {
        continue;
      }
      note +=
          "; %s lost a transaction and went on from the checkpoint before %s"
              .formatted(job.name().toLowerCase(Locale.ROOT), failing);
      // Cancelling keeps the checkpoints (externalized, retained).
      rest.cancel(id);
      while (rest.jobs().containsKey(job.jobName())) {
        Thread.sleep(LOOK_MILLIS);
      }
      submit(job, older.get());
    }
  }

  Ledger ledger() {
    return ledger;
  }

  LocalCluster cluster() {
    return cluster;
  }

  /** Stops everything; the folder stays, and a run in it goes on. */
  @Override
  public void close() throws IOException, InterruptedException {
    try {
      if (feeder != null) {
        feeder.close();
      }
      if (ledger != null) {
        ledger.close();
      }
    } finally {
      try {
        cluster.close();
      } finally {
        breakage.close();
      }
    }
  }
}
