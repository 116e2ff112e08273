/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.DiT;
import io.github.flinkdiffusion.ops.network.DiTConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import java.util.Optional;

/**
 * Pictures of a class: diffusers' DiTPipeline. With guidance, the first of two rows has no class
 * and the second has it; a learned variance is not used.
 *
 * <p>The reference gives its scheduler no generator; here a scheduler that draws noise draws it
 * from the request's own, so that every picture can be made again.
 */
final class ClassConditional implements LatentTask {
  private final Parts parts;
  private final SampleShape shape;
  private final int classes;

  /** Of the picture, in pixels. */
  private final int side;

  private ClassConditional(Components components) {
    SamplingPlans plans = SamplingPlans.open(components);
    Config config = components.config("transformer", "DiTTransformer2DModel", "Transformer2DModel");
    DiTConfig transformer = DiTConfig.from(config);
    Denoiser denoiser =
        Denoiser.of(
            components.load("transformer", new DiT(transformer).graph()),
            Denoiser.Input.integers());
    Autoencoder autoencoder = Autoencoder.openDecoder(components);
    int channels = transformer.inChannels();
    if (channels != autoencoder.format().latentChannels()) {
      throw config.unsupported(
          "in_channels",
          channels,
          "the autoencoder's latent_channels, " + autoencoder.format().latentChannels());
    }
    if (transformer.outChannels() != channels && transformer.outChannels() != 2 * channels) {
      throw config.unsupported(
          "out_channels", transformer.outChannels(), "in_channels, or twice as many");
    }
    this.shape = new SampleShape(channels, transformer.sampleSize(), transformer.sampleSize());
    this.classes = transformer.classes();
    this.side = transformer.sampleSize() * autoencoder.format().scaleFactor();
    Signature signature =
        Signature.of("DiTPipeline")
            .required(Parameters.CLASS_LABEL)
            .withDefault(Parameters.STEPS, 50L)
            .withDefault(Parameters.GUIDANCE_SCALE, 4.0)
            .withDefault(Parameters.SCHEDULER, plans.own())
            .withDefault(Parameters.ETA, 0.0)
            .optional(Parameters.TEMPERATURE)
            .withDefault(Parameters.WIDTH, (long) side)
            .withDefault(Parameters.HEIGHT, (long) side);
    this.parts =
        new Parts(
            new Description(signature), components, plans, denoiser, Optional.of(autoencoder));
  }

  static Task open(Components components) {
    return new ClassConditional(components);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    long label = request.get(Parameters.CLASS_LABEL);
    if (label >= classes) {
      throw new InvalidRequestException(
          "classLabel is %d; the model has classes 0 to %d.".formatted(label, classes - 1));
    }
    Sides.checkFixed(request, side, side, "the model generates images of one size");
    if (plan(request).outputFactor() != 1) {
      throw new InvalidRequestException(
          "The scheduler's config asks for a learned variance, which this pipeline does not use.");
    }
    return request;
  }

  @Override
  public List<Conditions> conditions(List<GenerationRequest> requests) {
    return requests.stream().map(this::conditions).toList();
  }

  private Conditions conditions(GenerationRequest request) {
    // The label after the last class stands for none.
    Row unconditional = Row.of(new long[] {classes});
    Row conditional = Row.of(new long[] {request.get(Parameters.CLASS_LABEL)});
    return Conditions.classifierFree(request.guidanceScale(), unconditional, conditional)
        .withGuidance(guidance -> new Guidance.First(guidance, shape.size()));
  }

  @Override
  public Optional<SampleShape> shape(GenerationRequest request) {
    return Optional.of(shape);
  }
}
