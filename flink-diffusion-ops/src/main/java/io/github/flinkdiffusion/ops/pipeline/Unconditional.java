package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Pictures of whatever the model knows, from nothing but noise: diffusers' DDPMPipeline and
 * DDIMPipeline. The network works on pixels.
 */
final class Unconditional implements Task {
  private final Components components;
  private final Signature signature;
  private final SamplingPlans plans;
  private final Denoiser denoiser;
  private final SampleShape shape;
  private final int outChannels;

  private Unconditional(Components components, String name, String scheduler, long steps) {
    this.components = components;
    this.plans = SamplingPlans.open(components);
    Config config = components.config("unet", "UNet2DModel");
    UNet2DConfig unet = UNet2DConfig.from(config);
    if (unet.classEmbedding().exists()) {
      throw config.unsupported(
          "class_embed_type",
          config.node().get("class_embed_type"),
          "null in a pipeline without conditions");
    }
    int[] side = config.integersOrOne("sample_size", 2, 0);
    if (side[0] < 1 || side[1] < 1) {
      throw config.unsupported(
          "sample_size", config.node().get("sample_size"), "the picture's size in pixels");
    }
    this.shape = new SampleShape(unet.inChannels(), side[0], side[1]);
    this.outChannels = unet.outChannels();
    this.denoiser = Denoiser.of(components.load("unet", new UNet2D(unet).graph()));
    this.signature =
        Signature.of(name)
            .withDefault(Parameters.STEPS, steps)
            .withDefault(Parameters.SCHEDULER, scheduler == null ? plans.own() : scheduler)
            .withDefault(Parameters.ETA, 0.0)
            .optional(Parameters.TEMPERATURE)
            .withDefault(Parameters.USE_CLIPPED_MODEL_OUTPUT, 0L)
            .withDefault(Parameters.WIDTH, (long) shape.width())
            .withDefault(Parameters.HEIGHT, (long) shape.height());
  }

  /** 1000 steps of the model's own scheduler. */
  static Task ddpm(Components components) {
    return new Unconditional(components, "DDPMPipeline", null, 1000);
  }

  /** 50 steps of DDIM, whatever the model's own scheduler. */
  static Task ddim(Components components) {
    return new Unconditional(components, "DDIMPipeline", "DDIMScheduler", 50);
  }

  @Override
  public Signature signature() {
    return signature;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Sides.checkFixed(
        request, shape.width(), shape.height(), "the model makes pictures of one size");
    int factor = plan(request).outputFactor();
    if (outChannels != factor * shape.channels()) {
      throw new InvalidRequestException(
          "scheduler %s takes %d channels of output, the network has %d."
              .formatted(request.scheduler(), factor * shape.channels(), outChannels));
    }
    return request;
  }

  @Override
  public SamplingPlan plan(GenerationRequest request) {
    return plans.plan(request);
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      float[] noise = noises.get(i).gaussian(shape);
      SamplerState state = SamplerState.start(plan(requests.get(i)), noise);
      beginnings.add(new Beginning(shape, state, List.of(Row.of()), Guidance.NONE, false));
    }
    return beginnings;
  }

  @Override
  public Optional<SampleShape> shape(GenerationRequest request) {
    return Optional.of(shape);
  }

  @Override
  public Denoiser denoiser() {
    return denoiser;
  }

  @Override
  public HostTensor.Floats decode(List<DenoisingTrajectory> done) {
    SampleShape size = done.get(0).shape(); // smaller than the model's own for a preview
    float[] pixels = new float[done.size() * size.size()];
    for (int i = 0; i < done.size(); i++) {
      float[] sample = done.get(i).state().sample();
      for (int j = 0; j < sample.length; j++) {
        pixels[i * sample.length + j] = sample[j] / 2 + 0.5f;
      }
    }
    return new HostTensor.Floats(pixels, done.size(), size.channels(), size.height(), size.width());
  }

  @Override
  public void close() {
    components.close();
  }
}
