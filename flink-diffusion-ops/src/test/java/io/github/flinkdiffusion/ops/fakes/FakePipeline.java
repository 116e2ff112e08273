/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.Basis;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.pipeline.NotFiniteException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.Signature;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.IntConsumer;

/**
 * A pipeline without a model whose pictures still depend on everything that must not get lost: the
 * request, each step's noise, and what the step before left. Its faults are set by the test.
 */
public final class FakePipeline implements DiffusionPipeline, Model {
  public static final ModelInfo MODEL = new ModelInfo("fake", "digest-of-fake");
  private static final int DEFAULT_STEPS = 4;
  private static final int DEFAULT_SIZE = 8;
  private static final int MAX_STEPS = 1000;

  private final ModelInfo model;

  /**
   * Every device call that was made, as {@code start[a, b]}, {@code step[a@0, b@3]}, {@code
   * finish[a]}.
   */
  public final List<String> calls = new CopyOnWriteArrayList<>();

  /** Ids whose start fails although they were prepared. */
  public final Set<String> invalidAtStart = ConcurrentHashMap.newKeySet();

  /** {@code id@step} at which the network gives NaN. */
  public final Set<String> notFinite = ConcurrentHashMap.newKeySet();

  /** {@code id@step} at which the device breaks. */
  public final Set<String> deviceErrors = ConcurrentHashMap.newKeySet();

  /** Rows of a network call that still fit into memory. */
  public volatile int rowsThatFit = Integer.MAX_VALUE;

  /** Pictures of a decoding call that still fit into memory. */
  public volatile int picturesThatFit = Integer.MAX_VALUE;

  /** Pictures of a call for previews that still fit into memory. */
  public volatile int previewsThatFit = Integer.MAX_VALUE;

  /** Run at the beginning of each device call; tests wait or fail in it. */
  public volatile Runnable beforeCall = () -> {};

  /** Run at the end of each network call, when all has moved and nobody has been told. */
  public volatile Runnable afterStep = () -> {};

  /** Told the rows of each network call when it begins; tests let time pass in it. */
  public volatile IntConsumer beforeStep = rows -> {};

  /** Run whenever it is asked which model it is, as encoding an image does; tests fail in it. */
  public volatile Runnable whenAskedForItsModel = () -> {};

  /** Of the heap, for each request; unknown as long as it is 0. */
  public volatile long trajectoryBytes;

  /** What each row brings to a step. */
  public volatile long rowBytes;

  /** Run when it is closed. */
  public volatile Runnable onClose = () -> {};

  public volatile boolean closed;

  public FakePipeline() {
    this(MODEL);
  }

  public FakePipeline(ModelInfo model) {
    this.model = model;
  }

  /** The picture of a request made alone and undisturbed. */
  public static Raster pictureOf(GenerationSpec spec) {
    FakePipeline pipeline = new FakePipeline();
    List<Trajectory> alone = pipeline.start(List.of(pipeline.model().prepare(spec)));
    while (!alone.get(0).done()) {
      pipeline.step(alone);
    }
    return pipeline.finish(alone).get(0).image();
  }

  /** A request for so many steps, unguided. */
  public static GenerationRequest request(String id, int steps) {
    return request(id, steps, 1.0, DEFAULT_SIZE);
  }

  public static GenerationRequest request(String id, int steps, double guidance, int size) {
    return new FakePipeline()
        .prepare(
            GenerationSpec.of(id)
                .with(Parameters.PROMPT, "a picture of " + id)
                .with(Parameters.STEPS, (long) steps)
                .with(Parameters.GUIDANCE_SCALE, guidance)
                .with(Parameters.WIDTH, (long) size)
                .with(Parameters.HEIGHT, (long) size));
  }

  @Override
  public Model model() {
    return this;
  }

  @Override
  public ModelInfo info() {
    whenAskedForItsModel.run();
    return model;
  }

  @Override
  public Signature signature() {
    return Signature.of("FakePipeline")
        .required(Parameters.PROMPT)
        .withDefault(Parameters.NEGATIVE_PROMPT, "")
        .withDefault(Parameters.SCHEDULER, "FakeScheduler")
        .withDefault(Parameters.STEPS, (long) DEFAULT_STEPS)
        .withDefault(Parameters.GUIDANCE_SCALE, 1.0)
        .withDefault(Parameters.WIDTH, (long) DEFAULT_SIZE)
        .withDefault(Parameters.HEIGHT, (long) DEFAULT_SIZE);
  }

  @Override
  public String taskName(Arguments request) {
    return "text-to-image";
  }

  @Override
  public GenerationRequest prepare(GenerationSpec spec) {
    GenerationRequest request = signature().resolve(spec);
    if (request.steps() < 1 || request.steps() > MAX_STEPS) {
      throw new InvalidRequestException(
          "steps is " + request.steps() + "; use 1 to " + MAX_STEPS + ".");
    }
    return request;
  }

  @Override
  public long rowBytes(GenerationRequest request) {
    return rowBytes;
  }

  @Override
  public long trajectoryBytes(GenerationRequest request) {
    return trajectoryBytes;
  }

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    record("start", requests.stream().map(GenerationRequest::id).toList());
    if (requests.stream().anyMatch(request -> invalidAtStart.contains(request.id()))) {
      throw new InvalidRequestException("The prompt cannot be encoded.");
    }
    List<Trajectory> started = new ArrayList<>();
    requests.forEach(request -> started.add(new FakeTrajectory(request, model.basis())));
    return started;
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    record("restore", snapshots.stream().map(s -> s.request().id() + "@" + s.step()).toList());
    List<Trajectory> restored = new ArrayList<>();
    snapshots.forEach(snapshot -> restored.add(new FakeTrajectory(snapshot)));
    return restored;
  }

  @Override
  public void step(List<Trajectory> batch) {
    List<String> names = batch.stream().map(t -> t.request().id() + "@" + t.step()).toList();
    record("step", names);
    int rows = batch.stream().mapToInt(Trajectory::rows).sum();
    beforeStep.accept(rows);
    requireFits(rows, rowsThatFit);
    requireAllOf(batch);
    if (batch.stream().anyMatch(Trajectory::done)) {
      throw new IllegalStateException("A finished trajectory cannot take a step: " + names);
    }
    if (names.stream().anyMatch(deviceErrors::contains)) {
      throw new IllegalStateException("The device broke.");
    }
    List<Integer> bad = new ArrayList<>();
    for (int i = 0; i < names.size(); i++) {
      if (notFinite.contains(names.get(i))) {
        bad.add(i);
      }
    }
    if (!bad.isEmpty()) {
      throw new NotFiniteException("The network's output is not finite.", bad);
    }
    batch.forEach(trajectory -> ((FakeTrajectory) trajectory).advance());
    afterStep.run();
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    record("finish", batch.stream().map(t -> t.request().id()).toList());
    requireFits(batch.size(), picturesThatFit);
    requireAllOf(batch);
    if (!batch.stream().allMatch(Trajectory::done)) {
      throw new IllegalStateException("Only finished trajectories can be decoded.");
    }
    return batch.stream().map(trajectory -> ((FakeTrajectory) trajectory).picture()).toList();
  }

  /** One pixel, the average. */
  @Override
  public List<Raster> preview(List<Trajectory> batch) {
    record("preview", batch.stream().map(t -> t.request().id() + "@" + t.step()).toList());
    requireFits(batch.size(), previewsThatFit);
    requireAllOf(batch);
    List<Raster> previews = new ArrayList<>();
    for (Trajectory trajectory : batch) {
      float[] sample = trajectory.snapshot().sample();
      float sum = 0;
      for (float value : sample) {
        sum += value;
      }
      previews.add(new Raster(1, 1, 1, new float[] {sum / sample.length}));
    }
    return previews;
  }

  @Override
  public void close() {
    onClose.run();
    closed = true;
  }

  private void record(String what, List<String> names) {
    if (closed) {
      throw new IllegalStateException("The pipeline is closed.");
    }
    beforeCall.run();
    calls.add(what + names);
  }

  private static void requireFits(int size, int limit) {
    if (size > limit) {
      throw new DeviceMemoryException(size + " do not fit, " + limit + " do.", null);
    }
  }

  private static void requireAllOf(List<Trajectory> batch) {
    if (new HashSet<>(batch.stream().map(Trajectory::batchKey).toList()).size() != 1) {
      throw new IllegalStateException("A batch has one key.");
    }
  }

  private static final class FakeTrajectory implements Trajectory {
    private final GenerationRequest request;
    private final Basis basis;
    private int step;
    private final float[] sample;
    private float[] previous;
    private long generator;

    FakeTrajectory(GenerationRequest request, Basis basis) {
      this.request = request;
      this.basis = basis;
      this.generator = request.seed();
      this.sample = new float[3 * request.width() * request.height()];
      for (int i = 0; i < sample.length; i++) {
        sample[i] = noise();
      }
    }

    FakeTrajectory(TrajectorySnapshot snapshot) {
      request = snapshot.request();
      basis = snapshot.basis();
      step = snapshot.step();
      sample = snapshot.sample().clone();
      previous = snapshot.history().length == 0 ? null : snapshot.history()[0].clone();
      generator = ByteBuffer.wrap(snapshot.generator()).getLong();
    }

    private float noise() {
      generator = generator * 6364136223846793005L + 1442695040888963407L;
      return new Random(generator).nextFloat();
    }

    void advance() {
      float[] before = sample.clone();
      float prompt = (request.get(Parameters.PROMPT).hashCode() & 0xFF) / 255f;
      for (int i = 0; i < sample.length; i++) {
        float history = previous == null ? 0.5f : previous[i];
        sample[i] =
            0.5f * sample[i]
                + 0.2f * history
                + 0.1f * prompt
                + 0.1f * noise()
                + 0.01f * step
                + 0.001f * (float) request.guidanceScale();
      }
      previous = before;
      step++;
    }

    GeneratedImage picture() {
      float[] pixels = sample.clone();
      for (int i = 0; i < pixels.length; i++) {
        pixels[i] = Math.min(1, Math.max(0, pixels[i]));
      }
      return new GeneratedImage(
          request,
          new Raster(3, request.height(), request.width(), pixels),
          request.get(Parameters.PROMPT).length() > 77,
          false);
    }

    @Override
    public GenerationRequest request() {
      return request;
    }

    @Override
    public int step() {
      return step;
    }

    @Override
    public int totalSteps() {
      return request.steps();
    }

    @Override
    public int rows() {
      return request.guidanceScale() > 100 ? 3 : request.guidanceScale() > 1 ? 2 : 1;
    }

    @Override
    public Object batchKey() {
      return List.of(request.width(), request.height());
    }

    @Override
    public TrajectorySnapshot snapshot() {
      return new TrajectorySnapshot(
          request,
          basis,
          step,
          sample.clone(),
          previous == null ? new float[0][] : new float[][] {previous.clone()},
          ByteBuffer.allocate(Long.BYTES).putLong(generator).array());
    }
  }
}
