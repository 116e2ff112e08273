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
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/**
 * Jobs of every kind on a cluster of processes, of which something is broken in every round while
 * requests keep coming; after each round everything has to be answered, once and right.
 *
 * <p>All that a run knows is in its folder and in the topics of its broker, which is in the folder,
 * too: so a run that was ended, or killed, goes on.
 */
final class ChaosRun implements AutoCloseable {
  private static final Path HOME = Path.of("../..").toAbsolutePath().normalize();
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

  private static final int CAPACITY = 16;

  /** Longer than a restart takes, but not much. */
  private static final int TRANSACTION_SECONDS = 70;

  private static final int HEARTBEAT_SECONDS = 12;
  private static final String LOST_TRANSACTION = "has lost the records of transaction";

  private static final List<ChaosRequests.Poison> HEAVY =
      List.of(
          ChaosRequests.Poison.LARGE_RECORD,
          ChaosRequests.Poison.LARGE_PROMPT,
          ChaosRequests.Poison.LARGE_IMAGE);

  /**
   * What a round came to.
   *
   * @param detail what exactly was broken
   * @param books of this round alone
   * @param open partitions that a transaction keeps from being read, when all is answered
   * @param restarts of all jobs, as far as the JobManagers remember
   */
  record Round(
      int number,
      Fault fault,
      String detail,
      Ledger.Books books,
      int open,
      int restarts,
      long seconds) {
    static final String HEAD =
        String.format(
            Locale.ROOT,
            "%5s  %-18s %8s %8s %5s %7s %5s %13s %4s %6s %8s %4s  %s",
            "round",
            "fault",
            "requests",
            "answered",
            "twice",
            "missing",
            "wrong",
            "images equal",
            "open",
            "redone",
            "restarts",
            "s",
            "detail");

    boolean isRight() {
      return books.missing() == 0
          && books.twice() == 0
          && books.wrong() == 0
          && books.different() == 0
          && open == 0
          && (fault != Fault.POISON || restarts == 0);
    }

    @Override
    public String toString() {
      return String.format(
          Locale.ROOT,
          "%5d  %-18s %8d %8d %5d %7d %5d %13s %4d %6d %8d %4d  %s",
          number,
          fault,
          books.asked(),
          books.answered(),
          books.twice(),
          books.missing(),
          books.wrong(),
          books.images() - books.different() + " of " + books.images(),
          open,
          books.redone(),
          restarts,
          seconds,
          detail);
    }
  }

  private final Path folder;
  private final long seed;
  private final List<Fault> faults;
  private final Set<ChaosRequests.Poison> without;
  private final LocalCluster cluster;
  private final Properties state = new Properties();
  private final Map<ChaosJob, Integer> lastRestarts = new EnumMap<>(ChaosJob.class);
  private int allRestarts;
  private final Breakage breakage = new Breakage();
  private String servers;
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
    load();
    cluster.run("stop");
    cluster.run("start");
    servers = cluster.bootstrapServers();
    rest = cluster.rest();
    createTopics();
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
    String before = state.getProperty(job + ".job");
    Path savepoint = null;
    if (before != null) {
      // Ended between its stop and its start, or failed for good.
      savepoint =
          newest(Path.of(state.getProperty(job + ".savepoints")), "savepoint-")
              .or(() -> newest(checkpoints().resolve(before), "chk-"))
              .orElse(null);
    }
    submit(job, savepoint);
  }

  private static Optional<Path> newest(Path folder, String name) {
    return complete(folder, name).stream().findFirst();
  }

  /** The snapshots in a folder, the newest first. */
  private static List<Path> complete(Path folder, String name) {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> all = Files.list(folder)) {
      return all.filter(path -> path.getFileName().toString().startsWith(name))
          .filter(path -> Files.exists(path.resolve("_metadata")))
          .sorted(
              Comparator.comparingLong(
                      (Path path) -> path.resolve("_metadata").toFile().lastModified())
                  .reversed())
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private int parallelism(ChaosJob job) {
    return Integer.parseInt(
        state.getProperty(job + ".parallelism", job == ChaosJob.PROMPTS ? "2" : "1"));
  }

  private void submit(ChaosJob job, Path snapshot) throws IOException {
    List<String> command = new ArrayList<>(List.of("flink", "run", "--detached", "-t", "remote"));
    if (snapshot != null) {
      command.addAll(List.of("-s", snapshot.toUri().toString()));
    }
    command.addAll(
        List.of(
            "-p",
            Integer.toString(parallelism(job)),
            "-Ddiffusion.model.folder=" + HOME.resolve(job.model()),
            "-Ddiffusion.device=cpu",
            "-Ddiffusion.capacity=" + CAPACITY,
            "-Ddiffusion.batch.rows=8",
            "-Ddiffusion.progress.every-steps=1",
            "-Ddiffusion.payload.store=" + SlowFileSystem.SCHEME + "://" + payloads(),
            "-Ddiffusion.payload.allowed-prefixes=file://%s;%s://%s"
                .formatted(
                    folder.resolve("inputs"), SlowFileSystem.SCHEME, folder.resolve("inputs")),
            "-Ddiffusion.kafka.transactional-id-prefix=" + job.prefix().replaceAll("-$", "")));
    command.addAll(job.options());
    if (job == ChaosJob.ADAPTERS) {
      command.add("-Ddiffusion.loras.allowed=" + ChaosLoras.allowed(folder.resolve("loras")));
    }
    command.addAll(List.of("-c", job.program(), jar().toString(), job.prefix()));
    String id = LocalCluster.jobId(cluster.run(command.toArray(String[]::new)));
    state.setProperty(job + ".job", id);
    state.setProperty(job + ".savepoints", savepoints(job, id).toString());
    save();
    lastRestarts.put(job, 0);
  }

  /** A folder of its own for each job: what is in it is the newest that there is of this job. */
  private Path savepoints(ChaosJob job, String id) {
    return folder.resolve("cluster/savepoints").resolve(job.letter() + "-" + id);
  }

  private static Path jar() throws IOException {
    try (Stream<Path> files = Files.list(HOME.resolve("examples/jobs/target"))) {
      return files
          .filter(
              file -> file.getFileName().toString().matches("flink-diffusion-examples-.*\\.jar"))
          .filter(file -> !file.toString().matches(".*(sources|javadoc|tests).*"))
          .findFirst()
          .orElseThrow(() -> new IOException("The job's jar is missing: build examples/jobs."));
    }
  }

  private void createTopics() throws InterruptedException, ExecutionException {
    try (Admin admin = admin()) {
      Set<String> present = admin.listTopics().names().get();
      List<NewTopic> missing = new ArrayList<>();
      for (ChaosJob job : ChaosJob.values()) {
        for (String name : job.topicNames()) {
          if (!present.contains(name)) {
            missing.add(
                new NewTopic(name, Optional.of(ChaosJob.PARTITIONS), Optional.of((short) 1))
                    .configs(Map.of("max.message.bytes", Integer.toString(16 << 20))));
          }
        }
      }
      admin.createTopics(missing).all().get();
    }
  }

  private Admin admin() {
    return Admin.create(Map.of("bootstrap.servers", servers));
  }

  private void load() throws IOException {
    Path file = folder.resolve("state.properties");
    if (Files.exists(file)) {
      try (var in = Files.newInputStream(file)) {
        state.load(in);
      }
      if (!Long.toString(seed).equals(state.getProperty("seed"))) {
        throw new IOException(
            "The run in %s has the seed %s, not %d: give that one, or another --folder."
                .formatted(folder, state.getProperty("seed"), seed));
      }
    }
    state.setProperty("seed", Long.toString(seed));
    save();
  }

  private void save() throws IOException {
    Path written = folder.resolve("state.properties.new");
    try (var out = Files.newOutputStream(written)) {
      state.store(out, null);
    }
    Files.move(written, folder.resolve("state.properties"), StandardCopyOption.ATOMIC_MOVE);
  }

  /** How many rounds are done, in earlier runs too. */
  int done() {
    return Integer.parseInt(state.getProperty("rounds", "0"));
  }

  // ------------------------------------------------------------------ a round

  Round round(int number) throws Exception {
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
    int open = complete ? awaitNoneOpen() : openTransactions();
    Round round =
        new Round(
            number,
            fault,
            detail + note,
            ledger.books().since(before),
            open,
            restarts() - restartsBefore,
            Duration.ofNanos(System.nanoTime() - begin).toSeconds());
    state.setProperty("rounds", Integer.toString(number));
    save();
    Files.writeString(
        folder.resolve("rounds.txt"),
        round + "\n",
        StandardOpenOption.CREATE,
        StandardOpenOption.APPEND);
    return round;
  }

  private String apply(Fault fault, Random random) throws Exception {
    return switch (fault) {
      case KILL_TASKMANAGER -> kill(List.of("taskmanager-" + (1 + random.nextInt(2))), random);
      case KILL_JOBMANAGER -> killLeader();
      case KILL_BROKER -> kill(List.of(LocalCluster.BROKER), random);
      case KILL_ALL ->
          kill(
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
          pause("taskmanager-" + (1 + random.nextInt(2)), 3 + random.nextInt(17));
      case PAUSE_JOBMANAGER -> pause(leader(), 3 + random.nextInt(12));
      case PAUSE_BROKER -> pause(LocalCluster.BROKER, 3 + random.nextInt(8));
      case RESCALE -> rescale(ChaosJob.values()[random.nextInt(ChaosJob.values().length)]);
      case CHECKPOINTS_FULL -> {
        breakage.full(checkpoints());
        yield hold(4 + random.nextInt(6)) + standIn();
      }
      case CHECKPOINTS_GONE -> {
        breakage.gone(checkpoints());
        yield hold(4 + random.nextInt(6));
      }
      case PAYLOADS_FULL -> {
        breakage.emptied(payloads());
        breakage.full(payloads());
        yield hold(4 + random.nextInt(6)) + standIn();
      }
      case PAYLOADS_READ_ONLY -> {
        breakage.emptied(payloads());
        breakage.readOnly(payloads());
        yield hold(4 + random.nextInt(6)) + standIn();
      }
      case PAYLOADS_SLOW -> {
        int millis = 500 + random.nextInt(1500);
        breakage.emptied(payloads());
        breakage.slow(delayFile(), millis);
        yield millis + " ms a call, " + hold(6 + random.nextInt(6));
      }
      case SCRATCH_FULL -> {
        breakage.full(folder.resolve("cluster/tmp"));
        yield hold(4 + random.nextInt(6)) + standIn();
      }
      case OUTAGE -> {
        cluster.run("kill", LocalCluster.BROKER);
        String detail = hold(TRANSACTION_SECONDS + 10);
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

  private static String standIn() {
    return Breakage.mounts() ? "" : " (folder gone instead: no mounts here)";
  }

  private static String hold(int seconds) throws InterruptedException {
    Thread.sleep(seconds * 1000L);
    return seconds + " s";
  }

  private String kill(List<String> parts, Random random) throws InterruptedException {
    cluster.run(Stream.concat(Stream.of("kill"), parts.stream()).toArray(String[]::new));
    int seconds = random.nextInt(4);
    Thread.sleep(seconds * 1000L);
    cluster.run(Stream.concat(Stream.of("start"), reversed(parts).stream()).toArray(String[]::new));
    return parts.size() > 1 ? "" : parts.get(0) + ", back after " + seconds + " s";
  }

  private static List<String> reversed(List<String> parts) {
    List<String> reversed = new ArrayList<>(parts);
    Collections.reverse(reversed);
    return reversed;
  }

  /** The standby has to be at work before the killed one comes back. */
  private String killLeader() throws Exception {
    String leader = leader();
    long begin = System.nanoTime();
    cluster.run("kill", leader);
    until(
        "the other JobManager leads",
        () -> !leader().equals(leader) && rest.jobs().size() == ChaosJob.values().length);
    long seconds = Duration.ofNanos(System.nanoTime() - begin).toSeconds();
    awaitRunning();
    cluster.run("start", leader);
    return leader + ", the other one leads after " + seconds + " s";
  }

  /** The JobManager whose log says last that it got the lead. */
  private String leader() throws IOException {
    String last = "";
    String leader = "jobmanager";
    for (String part : List.of("jobmanager", "jobmanager-2")) {
      Path log = folder.resolve("cluster/log/" + part + ".log");
      if (Files.exists(log)) {
        try (Stream<String> lines = Files.lines(log)) {
          String granted =
              lines
                  .filter(line -> line.contains("DispatcherRunner was granted leadership"))
                  .reduce("", (a, b) -> b);
          if (granted.compareTo(last) > 0) {
            last = granted;
            leader = part;
          }
        }
      }
    }
    return leader;
  }

  private String pause(String part, int seconds) throws InterruptedException {
    cluster.run("pause", part);
    try {
      Thread.sleep(seconds * 1000L);
    } finally {
      cluster.run("resume", part);
    }
    return part + ", " + seconds + " s";
  }

  private String rescale(ChaosJob job) throws Exception {
    int from = parallelism(job);
    int to = 3 - from;
    String id = id(job);
    Path savepoints = savepoints(job, id);
    until("the job stops with a savepoint", () -> rest.stopWithSavepoint(id, savepoints, PATIENCE));
    state.setProperty(job + ".parallelism", Integer.toString(to));
    save();
    submit(job, newest(savepoints, "savepoint-").orElseThrow());
    return job.name().toLowerCase(Locale.ROOT) + ", from " + from + " to " + to;
  }

  // ------------------------------------------------------------------ looking

  private String id(ChaosJob job) {
    return state.getProperty(job + ".job");
  }

  /** Until requests are in mid-flight, somewhere between two checkpoints. */
  private void awaitLoad(Random random) throws Exception {
    for (ChaosJob job : ChaosJob.values()) {
      long checkpoint = rest.checkpoints(id(job)).lastCompleted();
      until("a checkpoint completes", () -> rest.checkpoints(id(job)).lastCompleted() > checkpoint);
    }
    long steps = ledger.stepEvents() + 1 + random.nextInt(40);
    until("requests are denoised", () -> ledger.stepEvents() >= steps);
  }

  private void awaitRunning() throws Exception {
    for (ChaosJob job : ChaosJob.values()) {
      until(job + " runs", () -> rest.job(id(job)).allTasksRun());
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
      until("no transaction is open", () -> openTransactions() == 0);
    } catch (IllegalStateException e) {
      note += "; " + e.getMessage();
    }
    return openTransactions();
  }

  /** Partitions in which something is written that readers of committed records cannot reach. */
  private int openTransactions() throws InterruptedException, ExecutionException {
    Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
    for (ChaosJob job : ChaosJob.values()) {
      for (String topic : job.topicNames()) {
        for (int partition = 0; partition < ChaosJob.PARTITIONS; partition++) {
          ends.put(new TopicPartition(topic, partition), OffsetSpec.latest());
        }
      }
    }
    try (Admin admin = admin()) {
      Map<TopicPartition, ListOffsetsResultInfo> stable =
          admin
              .listOffsets(ends, new ListOffsetsOptions(IsolationLevel.READ_COMMITTED))
              .all()
              .get();
      Map<TopicPartition, ListOffsetsResultInfo> last =
          admin
              .listOffsets(ends, new ListOffsetsOptions(IsolationLevel.READ_UNCOMMITTED))
              .all()
              .get();
      return (int)
          ends.keySet().stream().filter(p -> stable.get(p).offset() < last.get(p).offset()).count();
    }
  }

  /** Of all jobs since this run began. */
  private int restarts() {
    for (ChaosJob job : ChaosJob.values()) {
      try {
        int now = rest.restarts(id(job));
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
      String id = id(job);
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
      List<Path> all = complete(checkpoints().resolve(id), "chk-");
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
