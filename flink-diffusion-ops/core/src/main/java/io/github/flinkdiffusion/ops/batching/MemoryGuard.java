/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.batching.CallMemory.Measurement;
import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.NativeMemory;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.NotFiniteException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.Tiling;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A pipeline on the CPU that refuses a call before it is made when the process has not the memory
 * for it: libtorch would end the process. It fails as a GPU's call does, with a {@link
 * DeviceMemoryException}, so the {@link StepBatcher} makes a smaller call, or fails the one request
 * that does not fit alone.
 *
 * <p>What calls take is measured when the model is loaded, at two small sizes and with texts of two
 * lengths, and extended to others by {@link CallMemory}. Nothing that is measured decides a number
 * of an image: it decides how many rows a call has, and whether it is made.
 *
 * <p>{@link #MARGIN} and {@link #RESERVE_BYTES} cover what an estimate may be short of, and what
 * other threads take while the call runs.
 */
final class MemoryGuard implements DiffusionPipeline {
  private static final Logger LOG = LoggerFactory.getLogger(MemoryGuard.class);

  /** By which an estimate is raised. */
  static final double MARGIN = 1.3;

  /** What must be left beside a call. */
  static final long RESERVE_BYTES = 64 << 20;

  /** A call that is smaller than this part of what was left a moment ago is made. */
  private static final int SMALL_PART = 8;

  private static final long FRESH_NANOS = 1_000_000_000;

  /** Kinds of calls, of which each takes its own share of memory. */
  enum Call {
    /** Texts of requests, by their tokens where these differ; whatever the image's size. */
    ENCODE_TEXTS,
    /** Images of requests, by their pixels; those of their texts included. */
    ENCODE_IMAGES,
    /** By numbers of the sample. */
    STEP,
    /** By numbers of the stand-in. */
    PREVIEW,
    /** By numbers of the sample. */
    DECODE
  }

  private final DiffusionPipeline pipeline;
  private final NativeMemory memory;
  private final OptionalLong most;
  private final Map<Call, CallMemory> known = new EnumMap<>(Call.class);

  /** Bytes that a call could take when it was looked at last. */
  private long left;

  private long leftNanos;

  private MemoryGuard(DiffusionPipeline pipeline, NativeMemory memory, OptionalLong most) {
    this.pipeline = pipeline;
    this.memory = memory;
    this.most = most;
  }

  /**
   * Measures a pipeline and guards it; by its thread, before any other call.
   *
   * @param settings whose example is measured with, and whose memory is the most that a call gets
   */
  static DiffusionPipeline around(
      DiffusionPipeline pipeline, BatchSettings settings, NativeMemory memory) {
    MemoryGuard guard = new MemoryGuard(pipeline, memory, settings.memory());
    settings.example().ifPresent(guard::measure);
    return guard;
  }

  // ------------------------------------------------------------------ measuring

  private void measure(GenerationSpec example) {
    Map<Call, List<Measurement>> measured = new EnumMap<>(Call.class);
    try {
      SmallExamples examples = new SmallExamples(pipeline.model(), example);
      List<GenerationRequest> requests = examples.requests();
      measure(requests, measured, true);
      if (requests.stream().noneMatch(request -> request.arguments().has(Parameters.IMAGE))) {
        measure(examples.requestsWithImage(), measured, false);
        measureTexts(examples, requests, measured);
      }
      LOG.info("Network calls take native memory, as measured: {}", known);
    } catch (InvalidRequestException | NotFiniteException | EngineException e) {
      LOG.info(
          "Network calls' memory is {}: {}",
          known.isEmpty() ? "not known, and not guarded" : "measured in part, " + known,
          e.getMessage());
    }
  }

  /**
   * @param whole whether all calls of the requests are measured, or the first alone
   */
  private void measure(
      List<GenerationRequest> requests, Map<Call, List<Measurement>> measured, boolean whole) {
    if (requests.isEmpty()) {
      return;
    }
    // The first call of each kind also takes what all later ones share.
    calls(requests.get(0), new EnumMap<>(Call.class), whole);
    for (GenerationRequest request : requests) {
      calls(request, measured, whole);
      measured.forEach((call, some) -> known.put(call, CallMemory.of(some)));
    }
  }

  /** Texts that were not seen yet: of the others, the states may have been kept. */
  private void measureTexts(
      SmallExamples examples,
      List<GenerationRequest> requests,
      Map<Call, List<Measurement>> measured) {
    if (requests.isEmpty() || !measured.containsKey(Call.ENCODE_TEXTS)) {
      return;
    }
    for (GenerationRequest request : examples.requestsWithTexts(requests.get(0))) {
      calls(request, measured, false);
      known.put(Call.ENCODE_TEXTS, CallMemory.of(measured.get(Call.ENCODE_TEXTS)));
    }
  }

  /** One request's calls, each of which must fit as far as is known from smaller ones. */
  private void calls(
      GenerationRequest request, Map<Call, List<Measurement>> measured, boolean whole) {
    List<Trajectory> trajectories = new ArrayList<>();
    long pixels = pipeline.model().encodedPixels(request);
    measure(
        pixels == 0 ? Call.ENCODE_TEXTS : Call.ENCODE_IMAGES,
        1,
        pixels == 0 ? tokens(request) : pixels,
        measured,
        () -> trajectories.addAll(start(List.of(request))));
    if (!whole) {
      return;
    }
    Trajectory trajectory = trajectories.get(0);
    long size = size(trajectory);
    measure(Call.PREVIEW, 1, trajectory.previewSize(), measured, () -> preview(trajectories));
    measure(Call.STEP, trajectory.rows(), size, measured, () -> step(trajectories));
    while (!trajectory.done()) {
      step(trajectories);
    }
    measure(Call.DECODE, 1, size, measured, () -> finish(trajectories));
  }

  private void measure(
      Call call, int rows, long size, Map<Call, List<Measurement>> measured, Runnable makingIt) {
    memory
        .growthDuring(makingIt)
        .ifPresent(
            bytes ->
                measured
                    .computeIfAbsent(call, any -> new ArrayList<>())
                    .add(new Measurement(rows, size, bytes)));
  }

  private long tokens(GenerationRequest request) {
    return Math.max(1, pipeline.model().encodedTokens(request));
  }

  private static long size(Trajectory trajectory) {
    return trajectory.rowSize();
  }

  /** What was measured. */
  Map<Call, CallMemory> known() {
    return Map.copyOf(known);
  }

  // ------------------------------------------------------------------ guarding

  /**
   * @param what the call does, for the message
   */
  private void require(Call call, int rows, long size, Supplier<String> what) {
    require(call, rows, size, 0, what);
  }

  /**
   * @param more bytes of what the measured calls did not have
   */
  private void require(Call call, int rows, long size, long more, Supplier<String> what) {
    CallMemory needs = known.get(call);
    if (needs == null) {
      return;
    }
    long bytes = (long) ((needs.bytes(rows, size) + more) * MARGIN);
    if (bytes > most.orElse(Long.MAX_VALUE)) {
      throw tooLarge(what, bytes, most.getAsLong(), "diffusion.device.memory");
    }
    long now = System.nanoTime();
    if (bytes < left / SMALL_PART && now - leftNanos < FRESH_NANOS) {
      return; // the kernel's files take milliseconds to read
    }
    leftNanos = now;
    left = memory.available().orElse(Long.MAX_VALUE) - RESERVE_BYTES;
    if (bytes <= left) {
      return;
    }
    memory.giveBackFree(); // which counts as taken
    left = memory.available().orElse(Long.MAX_VALUE) - RESERVE_BYTES;
    if (bytes > left) {
      throw tooLarge(what, bytes, Math.max(0, left), "what the process may still take");
    }
  }

  private static DeviceMemoryException tooLarge(
      Supplier<String> what, long bytes, long limit, String which) {
    return new DeviceMemoryException(
        "%s takes about %d MiB of native memory; %d MiB are available (%s)"
            .formatted(what.get(), bytes >> 20, limit >> 20, which),
        null);
  }

  /** Of the image that is made; where that is left open, of the one that the request brings. */
  private long pixels(GenerationRequest request) {
    Arguments arguments = request.arguments();
    if (arguments.has(Parameters.WIDTH) && arguments.has(Parameters.HEIGHT)) {
      return (long) request.width() * request.height();
    }
    Raster image = request.get(Parameters.IMAGE);
    long scale = model().tiling().map(Tiling::scale).orElse(1);
    return image == null ? 0 : scale * scale * image.width() * image.height();
  }

  /** Requests that start together may have images of all sizes. */
  private void requireStart(List<GenerationRequest> requests) {
    long longest = requests.stream().mapToLong(this::tokens).max().orElse(1);
    require(
        Call.ENCODE_TEXTS,
        requests.size(),
        longest,
        () ->
            longest == 1
                ? "Encoding the texts of %d requests".formatted(requests.size())
                : "Encoding the texts of %d requests, up to %d tokens each,"
                    .formatted(requests.size(), longest));
    long[] images =
        requests.stream()
            .mapToLong(pipeline.model()::encodedPixels)
            .filter(pixels -> pixels > 0)
            .toArray();
    if (images.length > 0) {
      long largest = Arrays.stream(images).max().getAsLong();
      require(
          Call.ENCODE_IMAGES,
          images.length,
          largest,
          () ->
              "Encoding the images of %d requests, up to %d pixels each,"
                  .formatted(images.length, largest));
    }
  }

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    requireStart(requests);
    return pipeline.start(requests);
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    requireStart(snapshots.stream().map(TrajectorySnapshot::request).toList());
    return pipeline.restore(snapshots);
  }

  @Override
  public void step(List<Trajectory> batch) {
    int rows = batch.stream().mapToInt(Trajectory::rows).sum();
    require(
        Call.STEP,
        rows,
        size(batch.get(0)),
        // Shorter factors are filled up to the longest.
        rows
            * batch.stream()
                .mapToLong(each -> pipeline.model().rowBytes(each.request()))
                .max()
                .orElse(0),
        () -> "A call of %d rows of %d pixels".formatted(rows, pixels(batch.get(0).request())));
    pipeline.step(batch);
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    require(
        Call.DECODE,
        batch.size(),
        size(batch.get(0)),
        () ->
            "Decoding %d images of %d pixels"
                .formatted(batch.size(), pixels(batch.get(0).request())));
    return pipeline.finish(batch);
  }

  @Override
  public List<Raster> preview(List<Trajectory> batch) {
    require(
        Call.PREVIEW,
        batch.size(),
        batch.get(0).previewSize(),
        () -> "Decoding %d previews".formatted(batch.size()));
    return pipeline.preview(batch);
  }

  // ------------------------------------------------------------------ as it is

  @Override
  public Model model() {
    return pipeline.model();
  }

  @Override
  public void close() {
    pipeline.close();
  }
}
