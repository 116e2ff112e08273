/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Ticket;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Ensemble;
import io.github.flinkdiffusion.ops.imaging.TaskPlan;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A picture from a picture: each sample of each tile is a part, and each part a trajectory. It is
 * opened by its {@link TaskOpening}, hands over parts as {@link PartTurns} gives it turns, reduces
 * a tile's samples to one result when all are there, and puts the tiles together in the end.
 *
 * <p>Reading, reducing and putting together is done on the subtask's pool; its state belongs to the
 * task's thread, which hears of everything by mail.
 */
final class ImageTaskRequest extends Request {
  private static final Logger LOG = LoggerFactory.getLogger(ImageTaskRequest.class);

  private final ImageTaskEvent task;

  /** Null unless it is a frame of a stream; set before it begins. */
  private FrameWork frame;

  /** As the model sees it; set before it begins, if that is not as it was sent. */
  private ImageTaskEvent run;

  /** What was restored and is not taken up yet. */
  private TaskProgress restored;

  private final TaskOpening opening;

  /** Its share of the memory of open images; null until it is open. */
  private PartTurns.Permit share;

  /** Null until it is opened. */
  private OpenImageTask open;

  /** Parts before it were handed over, or need not be. */
  private int next;

  private final Map<Integer, Part> running = new HashMap<>();

  /** Of the running ones, those that wait until their file may be read again. */
  private int waiting;

  private final Deque<Part> toReadAgain = new ArrayDeque<>();
  private final Map<Integer, TrajectorySnapshot> resumable = new HashMap<>();
  private final Map<Integer, Raster> samples = new HashMap<>();
  private final Map<Integer, Payload> tiles = new HashMap<>();

  /** Parts that no network sees. Written by the task thread only. */
  private volatile int withoutData;

  private final AtomicInteger stepsDone = new AtomicInteger();
  private boolean released;

  ImageTaskRequest(
      RequestHost host,
      ImageTaskEvent task,
      OptionalLong timestamp,
      TaskProgress restored,
      long deviceNanos) {
    super(host, RequestEvent.of(task), timestamp, deviceNanos);
    this.task = task;
    this.run = task;
    this.restored = restored;
    this.opening = new TaskOpening(this);
  }

  /** Its turn in its stream has come; task thread, before it begins. */
  void frame(FrameWork work) {
    frame = work;
    run = work.run();
  }

  /** What is known of its stream, if it has begun as a frame of one. */
  FrameWork frame() {
    return frame;
  }

  @Override
  Optional<String> begunOn() {
    return restored.isNone() ? Optional.empty() : Optional.of(restored.basis().digest());
  }

  @Override
  void beginOnModel() {
    host.turns().add(this);
  }

  // ------------------------------------------------------------------ opening

  /** Has its turn to be opened, which it gives back whatever comes of it. */
  void open(PartTurns.Permit itsTurn) {
    opening.begin(run, Optional.ofNullable(frame), itsTurn);
  }

  /** Its images are open; task thread. */
  void opened(OpenImageTask ready) {
    if (outcome.isDone()) {
      ready.close();
      opening.giveBack();
      return;
    }
    open = ready;
    takeUp();
    share = host.turns().opened(this, open.heapBytes());
    opening.turnIsOver();
    List<Integer> inMemory = samples.keySet().stream().map(open.plan()::tileOf).distinct().toList();
    inMemory.forEach(this::reduceIfWhole);
    composeIfWhole();
  }

  /** Progress of another model or another plan is worth nothing. */
  private void takeUp() {
    TaskProgress progress = restored;
    restored = TaskProgress.NONE;
    if (progress.isNone()) {
      return;
    }
    List<String> differences = progress.differencesFrom(model(), open.fingerprint());
    if (differences.isEmpty()) {
      host.meters().restoredTrajectories.inc(progress.running().size());
      resumable.putAll(progress.running());
      samples.putAll(progress.samples());
      tiles.putAll(progress.tiles());
      LOG.debug(
          "Request {} continues with {} of {} tiles finished.",
          task.getId(),
          tiles.size(),
          open.plan().tileCount());
      return;
    }
    host.meters().restartedTrajectories.inc(progress.running().size());
    LOG.info(
        "Request {} starts again, because settings that decide its image have changed: {}.",
        task.getId(),
        String.join(", ", differences));
  }

  // ------------------------------------------------------------------ parts

  /**
   * Has its turn to hand the next part to the device.
   *
   * @param place for the part, which gives it back when it has left the device
   * @return false when there is none left, or it has ended
   */
  boolean handOverNext(PartTurns.Permit place) {
    if (outcome.isDone()) {
      return false;
    }
    Part again = toReadAgain.poll();
    if (again != null) {
      again.place = place;
      read(again);
      return true;
    }
    if (waiting > 0) {
      return false; // Its files give errors: the places are for others' parts meanwhile.
    }
    TaskPlan plan = open.plan();
    while (next < plan.size()
        && (samples.containsKey(next) || tiles.containsKey(plan.tileOf(next)))) {
      next++;
    }
    if (next == plan.size()) {
      return false;
    }
    Part part = new Part(next++, place);
    running.put(part.index, part);
    TrajectorySnapshot saved = resumable.remove(part.index);
    if (saved != null) {
      part.submit(new Work.Resumed(saved));
    } else {
      read(part);
    }
    return true;
  }

  private void read(Part part) {
    work(
        () -> {
          Optional<GenerationSpec> spec = open.work(part.index);
          if (spec.isEmpty()) {
            host.mail(() -> withoutData(part), "part holds no data");
            return;
          }
          Work fresh =
              new Work.Fresh(host.settings().limits().prepare(use().batcher(), spec.get()));
          host.mail(() -> part.submit(fresh), "part is read");
        },
        part.reading,
        new Retry() {
          @Override
          public void waitsForFiles() {
            host.mail(() -> waits(part), "part waits for its file");
          }

          @Override
          public void again() {
            mayReadAgain(part);
          }
        });
  }

  /** No network need see it: its tile has no result, nor do the tile's other samples. */
  private void withoutData(Part part) {
    if (outcome.isDone()) {
      return;
    }
    running.remove(part.index);
    part.place.close();
    int tile = open.plan().tileOf(part.index);
    if (!tiles.containsKey(tile)) {
      withoutData += open.plan().samples();
      reduced(tile, TileResults.empty());
    }
  }

  /** It is read again later, and gives its place back until then. */
  private void waits(Part part) {
    if (!outcome.isDone()) {
      waiting++;
      part.waits = true;
      part.place.close();
    }
  }

  private void mayReadAgain(Part part) {
    if (outcome.isDone()) {
      return;
    }
    if (!part.waits) {
      read(part); // It has kept its place.
      return;
    }
    part.waits = false;
    waiting--;
    toReadAgain.add(part);
    host.turns().again(this);
  }

  /** One sample of one tile. */
  private final class Part implements RequestListener {
    final int index;

    final Attempts reading = attempts(READ);

    /** Task thread only, as {@link #waits}. */
    PartTurns.Permit place;

    /** Whether it waits for its file to be readable again. */
    boolean waits;

    /** Null while it is read. Task thread only. */
    Ticket ticket;

    /** What came of it, for a checkpoint that comes before the mail; null before. */
    volatile Raster sample;

    Part(int index, PartTurns.Permit place) {
      this.index = index;
      this.place = place;
    }

    void submit(Work work) {
      if (outcome.isDone()) {
        return;
      }
      Optional<Submission> how = submission();
      if (how.isPresent()) {
        ticket = use().session().submit(work, how.get(), this);
      }
    }

    @Override
    public void onStarted(Duration queued) {
      host.meters().queued(queued);
    }

    @Override
    public void onDeviceTime(Duration share) {
      tookDevice(share);
    }

    @Override
    public void onRetry(RequestFailure cause) {
      host.meters().retries.inc();
      LOG.info("Part {} of request {} starts again: {}", index, task.getId(), cause.message());
    }

    @Override
    public void onStep(int done, int ofTotal) {
      host.meters().steps.inc();
      if (host.ledger().made(task.getId() + "#" + index, done)) {
        host.meters().redoneSteps.inc();
      }
      int ofAll = ofTotal * (open.plan().size() - withoutData);
      stepMade(Math.min(stepsDone.incrementAndGet(), ofAll), ofAll);
    }

    @Override
    public void onFinished(GeneratedImage image) {
      if (host.emitsTexts()) {
        host.mail(() -> written(image), "text is done");
        return;
      }
      sample = image.image();
      host.mail(() -> finished(this), "part is done");
    }

    @Override
    public void onSuspected(int callSize) {
      host.suspected(ImageTaskRequest.this, callSize);
    }

    @Override
    public void onFailed(RequestFailure failure) {
      fail(Events.reason(failure.kind()), failure.message());
    }
  }

  /** A text is whole: it has one part. */
  private void written(GeneratedImage result) {
    if (outcome.isDone()) {
      return;
    }
    work(
        () -> {
          open.requireUnchanged();
          end(
              new Outcome.Text(
                  ImageTaskResult.text(task, open, result, model(), deviceNanos(), host)));
        },
        "described");
  }

  private void finished(Part part) {
    if (outcome.isDone()) {
      return;
    }
    running.remove(part.index);
    samples.put(part.index, part.sample);
    reduceIfWhole(open.plan().tileOf(part.index));
    part.place.close();
  }

  /** Makes one result of a tile's samples when the last of them has come. */
  private void reduceIfWhole(int tile) {
    int n = open.plan().samples();
    List<Raster> all = new ArrayList<>(n);
    for (int part = tile * n; part < (tile + 1) * n; part++) {
      if (!samples.containsKey(part)) {
        return;
      }
      all.add(samples.get(part));
    }
    work(
        () -> {
          ResultMeaning meaning = model().result(open.first().arguments());
          BitSet noData = n > 1 ? open.noData(tile, all.get(0)) : new BitSet();
          Raster result = Ensemble.reduced(all, meaning, noData);
          Payload kept = tileResults().keep(result, open.plan().tileCount());
          host.mail(() -> reduced(tile, kept), "tile is done");
        },
        "kept");
  }

  private TileResults tileResults() {
    return new TileResults(host.payloads(), host.settings().image().memoryBytes());
  }

  private void reduced(int tile, Payload kept) {
    if (outcome.isDone()) {
      return;
    }
    host.meters().tiles.inc();
    tiles.put(tile, kept);
    int n = open.plan().samples();
    for (int part = tile * n; part < (tile + 1) * n; part++) {
      samples.remove(part);
    }
    composeIfWhole();
  }

  private void composeIfWhole() {
    if (tiles.size() < open.plan().tileCount()) {
      return;
    }
    Map<Integer, Payload> results = Map.copyOf(tiles);
    TileResults reader = tileResults();
    work(
        () -> {
          ImageEvent event =
              ImageTaskResult.compose(task, open, results, reader, model(), deviceNanos(), host);
          end(new Outcome.Picture(event));
        },
        "encoded or stored");
  }

  // ------------------------------------------------------------------ end

  @Override
  void cancel(CancelEvent why) {
    fail(
        FailureReason.CANCELLED,
        Events.cancelled("Request %s was cancelled.".formatted(task.getId()), why));
  }

  @Override
  void release() {
    if (released) {
      return;
    }
    released = true;
    opening.giveUpWaiting();
    if (open != null) {
      releaseParts();
    }
    super.release();
  }

  private void releaseParts() {
    List<Part> left = List.copyOf(running.values());
    for (Part part : left) {
      if (part.ticket != null) {
        use().session().cancel(part.ticket);
      }
    }
    running.clear();
    toReadAgain.clear();
    samples.clear();
    tiles.clear();
    open.close();
    opening.freeMemory();
    left.forEach(part -> part.place.close());
    share.close();
  }

  @Override
  void discard() {
    if (!released || open == null) {
      opening.discard();
    }
  }

  // ------------------------------------------------------------------ state

  @Override
  InFlight underWay() {
    if (open == null) {
      return new InFlight.Task(timestamp, task, restored, deviceNanos());
    }
    Map<Integer, TrajectorySnapshot> snapshots = new HashMap<>(resumable);
    Map<Integer, Raster> done = new HashMap<>(samples);
    for (Part part : running.values()) {
      if (part.sample != null) {
        done.put(part.index, part.sample);
      } else if (part.ticket != null && part.ticket.rest() instanceof Work.Resumed resumed) {
        snapshots.put(part.index, resumed.snapshot());
      }
    }
    return new InFlight.Task(
        timestamp,
        task,
        new TaskProgress(model().info().basis(), open.fingerprint(), snapshots, done, tiles),
        deviceNanos());
  }
}
