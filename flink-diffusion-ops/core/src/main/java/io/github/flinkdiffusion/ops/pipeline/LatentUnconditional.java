/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.network.VQModel;
import io.github.flinkdiffusion.ops.network.VQModelConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Images of whatever the model knows, from nothing but noise, in the latents of a VQModel:
 * diffusers' LDMPipeline, as of CompVis/ldm-celebahq-256.
 */
final class LatentUnconditional implements Task {
  private final Parts parts;
  private final Network decoder;
  private final SampleShape shape;
  private final float scalingFactor;

  /** Of the image, in pixels. */
  private final int side;

  private LatentUnconditional(Components components) {
    SamplingPlans plans = SamplingPlans.open(components);
    Config config = components.config("unet", "UNet2DModel");
    UNet2DConfig unet = UNet2DConfig.from(config);
    unet.requireNoClasses(config, "without conditions");
    VQModelConfig vq = VQModelConfig.from(components.config("vqvae", "VQModel"));
    if (unet.inChannels() != vq.codeChannels()) {
      throw config.unsupported(
          "in_channels", unet.inChannels(), "the vqvae's vq_embed_dim, " + vq.codeChannels());
    }
    if (unet.outChannels() != unet.inChannels()) {
      throw config.unsupported(
          "out_channels", unet.outChannels(), "in_channels, " + unet.inChannels());
    }
    int latentSide = config.integer("sample_size", 0);
    if (latentSide < 1) {
      throw config.unsupported(
          "sample_size", config.node().get("sample_size"), "the latent's side, one number");
    }
    this.shape = new SampleShape(vq.codeChannels(), latentSide, latentSide);
    this.side = latentSide * vq.scaleFactor();
    this.scalingFactor = (float) vq.scalingFactor();
    Denoiser denoiser = Denoiser.of(components.load("unet", new UNet2D(unet).graph()));
    this.decoder = components.load("vqvae", new VQModel(vq).graph());
    Signature signature =
        Signature.of("LDMPipeline")
            .withDefault(Parameters.STEPS, 50L)
            .withDefault(Parameters.SCHEDULER, plans.own())
            .withDefault(Parameters.ETA, 0.0)
            .optional(Parameters.TEMPERATURE)
            .withDefault(Parameters.WIDTH, (long) side)
            .withDefault(Parameters.HEIGHT, (long) side);
    this.parts = new Parts(new Description(signature), components, plans, denoiser);
  }

  static Task open(Components components) {
    return new LatentUnconditional(components);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Sides.checkFixed(request, side, side, "the model generates images of one size");
    if (plan(request).outputFactor() != 1) {
      throw new InvalidRequestException(
          "The scheduler's config asks for a learned variance, which this pipeline does not use.");
    }
    return request;
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      SamplerState state = SamplerState.start(plan(requests.get(i)), noises.get(i).gaussian(shape));
      beginnings.add(new Beginning(shape, state, Conditions.of(Row.of())));
    }
    return beginnings;
  }

  @Override
  public Optional<SampleShape> shape(GenerationRequest request) {
    return Optional.of(shape);
  }

  @Override
  public HostTensor.Floats decode(List<Sample> done) {
    HostTensor.Floats latents = Sample.batch(done);
    float[] scaled = latents.data();
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] /= scalingFactor;
    }
    HostTensor.Floats decoded = decoder.call(VQModel.DECODE, latents);
    float[] pixels = decoded.data();
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = pixels[i] / 2 + 0.5f;
    }
    return decoded;
  }
}
