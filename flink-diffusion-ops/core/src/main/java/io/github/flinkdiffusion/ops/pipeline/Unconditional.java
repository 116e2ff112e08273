/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.network.ClassEmbedding;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;

/**
 * Images of whatever the model knows, from nothing but noise: diffusers' DDPMPipeline, DDIMPipeline
 * and ScoreSdeVePipeline; or of a class of it: ConsistencyModelPipeline. The network works on
 * pixels.
 */
final class Unconditional implements Task {
  private static final String SCORE = "ScoreSdeVePipeline";
  private static final String CONSISTENCY = "ConsistencyModelPipeline";

  /** What a model was trained for: no other scheduler makes an image with it. */
  private static final Map<String, String> ONLY_SCHEDULERS =
      Map.of(SCORE, "ScoreSdeVeScheduler", CONSISTENCY, "CMStochasticIterativeScheduler");

  private final Parts parts;
  private final String name;
  private final SampleShape shape;
  private final int outChannels;

  /** 0 for a model without classes. */
  private final int classes;

  /**
   * @param way what a request may say of its way from noise
   */
  private Unconditional(
      Components components, String name, BiFunction<Signature, SamplingPlans, Signature> way) {
    this.name = name;
    SamplingPlans plans = SamplingPlans.openFor(name, components);
    Config config = components.config("unet", "UNet2DModel");
    UNet2DConfig unet = UNet2DConfig.from(config);
    ClassEmbedding labels = unet.classEmbedding();
    boolean labelled = name.equals(CONSISTENCY) && labels.kind() == ClassEmbedding.Kind.TABLE;
    if (!labelled) {
      unet.requireNoClasses(config, "without conditions");
    }
    this.classes = labelled ? labels.size() : 0;
    int[] side = config.integersOrOne("sample_size", 2, 0);
    if (side[0] < 1 || side[1] < 1) {
      throw config.unsupported(
          "sample_size", config.node().get("sample_size"), "the image's size in pixels");
    }
    this.shape = new SampleShape(unet.inChannels(), side[0], side[1]);
    this.outChannels = unet.outChannels();
    Network network = components.load("unet", new UNet2D(unet).graph());
    Denoiser denoiser =
        labelled ? Denoiser.of(network, Denoiser.Input.integers()) : Denoiser.of(network);
    Signature says = Signature.of(name);
    Signature signature =
        way.apply(labelled ? says.required(Parameters.CLASS_LABEL) : says, plans)
            .withDefault(Parameters.WIDTH, (long) shape.width())
            .withDefault(Parameters.HEIGHT, (long) shape.height());
    this.parts = new Parts(new Description(signature), components, plans, denoiser);
  }

  /** 1000 steps of the model's own scheduler. */
  static Task ddpm(Components components) {
    return new Unconditional(
        components, "DDPMPipeline", (says, plans) -> ofDdpm(says, 1000, plans.own()));
  }

  /** 50 steps of DDIM, whatever the model's own scheduler. */
  static Task ddim(Components components) {
    return new Unconditional(
        components, "DDIMPipeline", (says, plans) -> ofDdpm(says, 50, "DDIMScheduler"));
  }

  private static Signature ofDdpm(Signature says, long steps, String scheduler) {
    return says.withDefault(Parameters.STEPS, steps)
        .withDefault(Parameters.SCHEDULER, scheduler)
        .withDefault(Parameters.ETA, 0.0)
        .optional(Parameters.TEMPERATURE)
        .withDefault(Parameters.USE_CLIPPED_MODEL_OUTPUT, 0L);
  }

  /** One step, or as many as timesteps are listed; of a class where the model has classes. */
  static Task consistency(Components components) {
    return new Unconditional(
        components, CONSISTENCY, (says, plans) -> plans.listingTimesteps(says, 1));
  }

  /** 2000 steps along a score, each corrected before it is made. */
  static Task score(Components components) {
    return new Unconditional(
        components,
        SCORE,
        (says, plans) ->
            says.withDefault(Parameters.STEPS, 2000L)
                .withDefault(Parameters.SCHEDULER, ONLY_SCHEDULERS.get(SCORE))
                .optional(Parameters.TEMPERATURE));
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Sides.checkFixed(
        request, shape.width(), shape.height(), "the model generates images of one size");
    Long label = request.get(Parameters.CLASS_LABEL);
    if (label != null && label >= classes) {
      throw new InvalidRequestException(
          "classLabel is %d; the model has classes 0 to %d.".formatted(label, classes - 1));
    }
    String only = ONLY_SCHEDULERS.get(name);
    if (only != null && !request.scheduler().equals(only)) {
      throw new InvalidRequestException(
          "scheduler is %s; %s works with %s only.".formatted(request.scheduler(), name, only));
    }
    int factor = plan(request).outputFactor();
    if (outChannels != factor * shape.channels()) {
      throw new InvalidRequestException(
          "scheduler %s takes %d channels of output, the network has %d."
              .formatted(request.scheduler(), factor * shape.channels(), outChannels));
    }
    return request;
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      float[] noise = noises.get(i).gaussian(shape);
      SamplerState state = SamplerState.start(plan(requests.get(i)), noise);
      Long label = requests.get(i).get(Parameters.CLASS_LABEL);
      Row row = label == null ? Row.of() : Row.of(new long[] {label});
      beginnings.add(new Beginning(shape, state, Conditions.of(row)));
    }
    return beginnings;
  }

  @Override
  public Optional<SampleShape> shape(GenerationRequest request) {
    return Optional.of(shape);
  }

  @Override
  public HostTensor.Floats decode(List<Sample> done) {
    return name.equals(SCORE) ? pixels(done, 1, 0) : centered(done);
  }

  /** Samples of -1..1 as images of 0..1. */
  static HostTensor.Floats centered(List<Sample> done) {
    return pixels(done, 0.5f, 0.5f);
  }

  private static HostTensor.Floats pixels(List<Sample> done, float scale, float middle) {
    SampleShape size = done.get(0).shape(); // smaller than the model's own for a preview
    float[] pixels = new float[done.size() * size.size()];
    for (int i = 0; i < done.size(); i++) {
      float[] sample = done.get(i).values();
      for (int j = 0; j < sample.length; j++) {
        pixels[i * sample.length + j] = sample[j] * scale + middle;
      }
    }
    return new HostTensor.Floats(pixels, done.size(), size.channels(), size.height(), size.width());
  }
}
