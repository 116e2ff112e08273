/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.scheduler.Schedulers;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * An image of which a part is made anew by a network that knows nothing of masks: diffusers'
 * RePaintPipeline. The known part is put back after each step, and the way goes back to more noise
 * again and again. The network works on pixels.
 */
final class RePaint implements Task {
  private static final String NAME = "RePaintPipeline";

  /** The reference makes an image with other sides smaller first. */
  private static final int FACTOR = 8;

  private static final float THRESHOLD = 0.5f;

  private final Parts parts;
  private final int channels;
  private final int factor;

  private RePaint(Components components) {
    SamplingPlans plans = SamplingPlans.openFor(NAME, components);
    Config config = components.config("unet", "UNet2DModel");
    UNet2DConfig unet = UNet2DConfig.from(config);
    unet.requireNoClasses(config, "without conditions");
    this.channels = unet.inChannels();
    if (unet.outChannels() != channels) {
      throw config.unsupported("out_channels", unet.outChannels(), "in_channels, " + channels);
    }
    int levels = config.node().path("block_out_channels").size();
    this.factor = Math.max(FACTOR, 1 << Math.max(0, levels - 1));
    Denoiser denoiser = Denoiser.of(components.load("unet", new UNet2D(unet).graph()));
    Signature signature =
        Signature.of(NAME)
            .required(Parameters.IMAGE)
            .required(Parameters.MASK)
            .withDefault(Parameters.STEPS, 250L)
            .withDefault(Parameters.SCHEDULER, "RePaintScheduler")
            .withDefault(Parameters.ETA, 0.0)
            .withDefault(Parameters.JUMP_LENGTH, 10L)
            .withDefault(Parameters.JUMP_N_SAMPLE, 10L)
            .optional(Parameters.TEMPERATURE)
            .withDefault(Parameters.WIDTH, "the image's", asked -> Sides.imageWidth(asked, 0))
            .withDefault(Parameters.HEIGHT, "the image's", asked -> Sides.imageHeight(asked, 0));
    this.parts =
        new Parts(
            new Description(signature, channels, Optional.empty()), components, plans, denoiser);
  }

  static Task open(Components components) {
    return new RePaint(components);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Sides.checkChannels(Parameters.IMAGE, request.get(Parameters.IMAGE), channels);
    Sides.checkChannels(Parameters.MASK, request.get(Parameters.MASK), 1);
    Sides.checkPicture(request, factor);
    Sides.checkSameSize(Parameters.IMAGE, request.get(Parameters.IMAGE), request);
    Sides.checkSameSize(Parameters.MASK, request.get(Parameters.MASK), request);
    if (!Schedulers.onlyPipeline(request.scheduler()).equals(Optional.of(NAME))) {
      throw new InvalidRequestException(
          "scheduler is %s; %s works with RePaintScheduler only."
              .formatted(request.scheduler(), NAME));
    }
    return request;
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      GenerationRequest request = requests.get(i);
      SampleShape shape = shapeOf(request);
      SamplingPlan plan = plan(request).keeping(signed(request), kept(request));
      SamplerState state = SamplerState.start(plan, noises.get(i).gaussian(shape));
      beginnings.add(new Beginning(shape, state, Conditions.of(Row.of())));
    }
    return beginnings;
  }

  private static float[] signed(GenerationRequest request) {
    Raster image = request.get(Parameters.IMAGE);
    float[] signed = new float[image.data().length];
    for (int i = 0; i < signed.length; i++) {
      signed[i] = 2 * image.data()[i] - 1;
    }
    return signed;
  }

  private static float[] kept(GenerationRequest request) {
    Raster mask = request.get(Parameters.MASK);
    float[] kept = new float[mask.data().length];
    for (int i = 0; i < kept.length; i++) {
      kept[i] = mask.data()[i] >= THRESHOLD ? 1 : 0;
    }
    return kept;
  }

  private SampleShape shapeOf(GenerationRequest request) {
    return new SampleShape(channels, request.height(), request.width());
  }

  @Override
  public Optional<SampleShape> shape(GenerationRequest request) {
    return Optional.of(shapeOf(request));
  }

  @Override
  public HostTensor.Floats decode(List<Sample> done) {
    return Unconditional.centered(done);
  }
}
