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
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.pipeline.NotFiniteException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.pipeline.Signature;
import io.github.flinkdiffusion.ops.pipeline.Tiling;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A pipeline on the CPU that refuses a call before it is made when the process has not the memory
 * for it: libtorch would end the process. It fails as a GPU's call does, with a {@link
 * DeviceMemoryException}, so the {@link StepBatcher} makes a smaller call, or fails the one request
 * that does not fit alone.
 *
 * <p>What calls take is measured when the model is loaded, at two small sizes, and extended to
 * others by {@link CallMemory}. Nothing that is measured decides a number of an image: it decides
 * how many rows a call has, and whether it is made.
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

  /** A model's own side from which halves and quarters of it are measured, in pixels. */
  private static final int LARGE_SIDE = 256;

  /** What sides are multiples of, where models ask for that. */
  private static final int GRID = 64;

  /** A call that is smaller than this part of what was left a moment ago is made. */
  private static final int SMALL_PART = 8;

  private static final long FRESH_NANOS = 1_000_000_000;

  private enum Call {
    START,
    STEP,
    FINISH
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
      GenerationRequest own = pipeline.prepare(example);
      if (!own.arguments().has(Parameters.WIDTH) || !own.arguments().has(Parameters.HEIGHT)) {
        return;
      }
      boolean large = Math.min(own.width(), own.height()) >= LARGE_SIDE;
      boolean first = true;
      for (int part : large ? new int[] {4, 2} : new int[] {2, 1}) {
        GenerationSpec smaller =
            example
                .with(Parameters.STEPS, 1L)
                .with(Parameters.WIDTH, side(own.width(), part, large))
                .with(Parameters.HEIGHT, side(own.height(), part, large));
        GenerationRequest request = pipeline.prepare(smaller);
        if (first) { // the first call of each kind also takes what all later ones share
          calls(request, new EnumMap<>(Call.class));
          first = false;
        }
        calls(request, measured);
        measured.forEach((call, some) -> known.put(call, CallMemory.of(some)));
      }
      LOG.info("Network calls take native memory, as measured: {}", known);
    } catch (InvalidRequestException | NotFiniteException | EngineException e) {
      LOG.info(
          "Network calls' memory is {}: {}",
          known.isEmpty() ? "not known, and not guarded" : "measured at one size, " + known,
          e.getMessage());
    }
  }

  private static long side(int own, int part, boolean large) {
    int side = own / part;
    return large ? Math.max(GRID, side / GRID * GRID) : side;
  }

  /** One request's calls, each of which must fit as far as is known from smaller ones. */
  private void calls(GenerationRequest request, Map<Call, List<Measurement>> measured) {
    List<Trajectory> trajectories = new ArrayList<>();
    long pixels = pixels(request);
    measure(Call.START, 1, pixels, measured, () -> trajectories.addAll(start(List.of(request))));
    int rows = trajectories.get(0).rows();
    measure(Call.STEP, rows, pixels, measured, () -> step(trajectories));
    while (!trajectories.get(0).done()) {
      step(trajectories);
    }
    measure(Call.FINISH, 1, pixels, measured, () -> finish(trajectories));
  }

  private void measure(
      Call call, int rows, long pixels, Map<Call, List<Measurement>> measured, Runnable makingIt) {
    memory
        .growthDuring(makingIt)
        .ifPresent(
            bytes ->
                measured
                    .computeIfAbsent(call, any -> new ArrayList<>())
                    .add(new Measurement(rows, pixels, bytes)));
  }

  // ------------------------------------------------------------------ guarding

  private void require(Call call, int rows, long pixels) {
    CallMemory needs = known.get(call);
    if (needs == null || pixels == 0) {
      return;
    }
    long bytes = (long) (needs.bytes(rows, pixels) * MARGIN);
    if (bytes > most.orElse(Long.MAX_VALUE)) {
      throw tooLarge(rows, pixels, bytes, most.getAsLong(), "diffusion.device.memory");
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
      throw tooLarge(rows, pixels, bytes, Math.max(0, left), "what the process may still take");
    }
  }

  private static DeviceMemoryException tooLarge(
      int rows, long pixels, long bytes, long limit, String which) {
    return new DeviceMemoryException(
        "A call of %d rows of %d pixels takes about %d MiB of native memory; %d MiB are available (%s)"
            .formatted(rows, pixels, bytes >> 20, limit >> 20, which),
        null);
  }

  /** Of the images that a call makes; where that is left open, of those that it gets. */
  private long pixels(GenerationRequest request) {
    Arguments arguments = request.arguments();
    if (arguments.has(Parameters.WIDTH) && arguments.has(Parameters.HEIGHT)) {
      return (long) request.width() * request.height();
    }
    Raster image = request.get(Parameters.IMAGE);
    long scale = tiling().map(Tiling::scale).orElse(1);
    return image == null ? 0 : scale * scale * image.width() * image.height();
  }

  /** Texts take what they take, whatever the image's size. */
  private void requireStart(List<GenerationRequest> requests) {
    long largest = requests.stream().mapToLong(this::pixels).max().orElse(0);
    CallMemory texts = known.get(Call.START);
    require(Call.START, requests.size(), texts == null ? 0 : texts.pixels());
    if (requests.stream().anyMatch(request -> request.arguments().has(Parameters.IMAGE))) {
      // An image is encoded by networks like those that decode it.
      require(Call.FINISH, requests.size(), largest);
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
    require(
        Call.STEP, batch.stream().mapToInt(Trajectory::rows).sum(), pixels(batch.get(0).request()));
    pipeline.step(batch);
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    require(Call.FINISH, batch.size(), pixels(batch.get(0).request()));
    return pipeline.finish(batch);
  }

  // ------------------------------------------------------------------ as it is

  @Override
  public ModelInfo model() {
    return pipeline.model();
  }

  @Override
  public Signature signature() {
    return pipeline.signature();
  }

  @Override
  public int imageChannels() {
    return pipeline.imageChannels();
  }

  @Override
  public Optional<Tiling> tiling() {
    return pipeline.tiling();
  }

  @Override
  public ResultMeaning result(Arguments request) {
    return pipeline.result(request);
  }

  @Override
  public GenerationRequest prepare(GenerationSpec spec) {
    return pipeline.prepare(spec);
  }

  @Override
  public int calls(GenerationRequest request) {
    return pipeline.calls(request);
  }

  @Override
  public long trajectoryBytes(GenerationRequest request) {
    return pipeline.trajectoryBytes(request);
  }

  @Override
  public List<Raster> preview(List<Trajectory> batch) {
    return pipeline.preview(batch);
  }

  @Override
  public void close() {
    pipeline.close();
  }
}
