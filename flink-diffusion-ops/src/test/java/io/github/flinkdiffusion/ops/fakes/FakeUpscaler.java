/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.pipeline.Signature;
import io.github.flinkdiffusion.ops.pipeline.Tiling;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A pipeline without a model that makes each pixel of its image a square of pixels, a little
 * brighter with each step and with its seed, so that a result tells whether all of its parts were
 * made once and put where they belong.
 */
public final class FakeUpscaler implements DiffusionPipeline, Model {
  /** A step's share of a pixel. */
  public static final float STEP = 1 / 4096f;

  /** What one seed more is worth. */
  public static final float SEED = 1 / 512f;

  /** Run at the beginning of each device call. */
  public volatile Runnable beforeCall = () -> {};

  private final int channels;
  private final Tiling tiling;
  private final ModelInfo model;
  private final ResultMeaning meaning;

  public FakeUpscaler(int channels, Tiling tiling, String digest) {
    this(channels, tiling, digest, ResultMeaning.PICTURE);
  }

  /**
   * @param meaning what its pictures are taken for
   */
  public FakeUpscaler(int channels, Tiling tiling, String digest, ResultMeaning meaning) {
    this.channels = channels;
    this.tiling = tiling;
    this.model = new ModelInfo("fake-upscaler", digest);
    this.meaning = meaning;
  }

  @Override
  public ResultMeaning result(Arguments request) {
    return meaning;
  }

  @Override
  public Model model() {
    return this;
  }

  @Override
  public ModelInfo info() {
    return model;
  }

  @Override
  public int imageChannels() {
    return channels;
  }

  @Override
  public Optional<Tiling> tiling() {
    return Optional.ofNullable(tiling);
  }

  @Override
  public Signature signature() {
    return Signature.of("FakeUpscalePipeline")
        .required(Parameters.IMAGE)
        .optional(Parameters.TILE_TOP_LEFT)
        .withDefault(Parameters.SCHEDULER, "FakeScheduler")
        .withDefault(Parameters.STEPS, 2L);
  }

  /** What happens when it is asked whether it can do a request. */
  public volatile Runnable beforePrepare = () -> {};

  @Override
  public String taskName(Arguments request) {
    return "super-resolution";
  }

  @Override
  public GenerationRequest prepare(GenerationSpec spec) {
    beforePrepare.run();
    GenerationRequest request = signature().resolve(spec);
    if (request.steps() < 1 || request.steps() > 100) {
      throw new InvalidRequestException("steps is " + request.steps() + "; use 1 to 100.");
    }
    return request;
  }

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    beforeCall.run();
    List<Trajectory> started = new ArrayList<>();
    requests.forEach(request -> started.add(new Part(request, 0)));
    return started;
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    beforeCall.run();
    List<Trajectory> restored = new ArrayList<>();
    snapshots.forEach(saved -> restored.add(new Part(saved.request(), saved.step())));
    return restored;
  }

  @Override
  public void step(List<Trajectory> batch) {
    beforeCall.run();
    batch.forEach(trajectory -> ((Part) trajectory).step++);
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    beforeCall.run();
    return batch.stream().map(part -> ((Part) part).result()).toList();
  }

  @Override
  public void close() {}

  /** What a whole image becomes, without tiles. */
  public Raster expected(Raster image, int steps, long seed) {
    return new Part(
            prepare(
                GenerationSpec.of("whole")
                    .with(Parameters.IMAGE, image)
                    .with(Parameters.SEED, seed)
                    .with(Parameters.STEPS, (long) steps)),
            steps)
        .result()
        .image();
  }

  private final class Part implements Trajectory {
    private final GenerationRequest request;
    private int step;

    Part(GenerationRequest request, int step) {
      this.request = request;
      this.step = step;
    }

    GeneratedImage result() {
      Raster image = request.get(Parameters.IMAGE);
      int scale = tiling == null ? 2 : tiling.scale();
      int width = image.width() * scale;
      int height = image.height() * scale;
      float[] pixels = new float[image.channels() * width * height];
      for (int i = 0; i < pixels.length; i++) {
        int x = i % width / scale;
        int y = i / width % height / scale;
        pixels[i] = image.at(i / (width * height), y, x) + step * STEP + request.seed() % 16 * SEED;
      }
      return new GeneratedImage(
          request, new Raster(image.channels(), height, width, pixels), false, false);
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
      return 1;
    }

    @Override
    public Object batchKey() {
      return request.get(Parameters.IMAGE).width();
    }

    @Override
    public TrajectorySnapshot snapshot() {
      return new TrajectorySnapshot(
          request,
          model.basis(),
          step,
          new float[] {step},
          new float[0][],
          ByteBuffer.allocate(Long.BYTES).putLong(step).array());
    }
  }
}
