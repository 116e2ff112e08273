/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;

/**
 * Diffusion transformers that follow a text: from a text alone, and where the family has it, from
 * an image and a text, or a part of an image anew. What a request says decides.
 *
 * <p>Noise is drawn in the reference's order: the sample of the encoded image if there is one, the
 * starting noise, and beside a mask the sample of the covered image, which nothing reads.
 */
final class TextTransformer implements LatentTask {

  /** How a scheduler is asked for its steps. */
  enum Way {
    /** As its config has them. */
    OF_CONFIG,
    /** As its config has them, shifted by the image's size where it says so. */
    OF_CONFIG_SHIFTED,
    /** Evenly spread sigmas of a rectified flow, shifted by the image's size. */
    OF_FLOW
  }

  /**
   * What the families differ in beside their conditioning and networks.
   *
   * @param name diffusers' class for a text alone
   * @param steps by default
   * @param strengthOfImage by default with an image alone; 0 where the family takes no image
   * @param strengthOfMask by default with a mask
   * @param unshiftedMasks whether the image of a request with a mask is decoded without {@code
   *     shift_factor}, with which it was encoded: StableDiffusion3InpaintPipeline does so
   */
  record Family(
      String name,
      Way way,
      long steps,
      double strengthOfImage,
      double strengthOfMask,
      boolean unshiftedMasks) {
    Family(String name, Way way, long steps, double strengthOfImage, double strengthOfMask) {
      this(name, way, steps, strengthOfImage, strengthOfMask, false);
    }

    boolean takesImages() {
      return strengthOfImage > 0;
    }
  }

  /**
   * A family's transformer.
   *
   * @param channels of the latent that it takes
   * @param patch pixels of the latent along a side of a token
   * @param side of the image in training, in pixels; the default
   */
  record Transformer(Graph graph, int channels, int patch, int side) {}

  private final Family family;
  private final Conditioning conditioning;
  private final Parts parts;

  /** Pixels of the image along a side of a token. */
  private final int factor;

  private TextTransformer(
      Components components,
      Family family,
      Transformer transformer,
      Conditioning conditioning,
      Autoencoder autoencoder) {
    this.family = family;
    this.conditioning = conditioning;
    this.factor = autoencoder.format().scaleFactor() * transformer.patch();
    int latent = autoencoder.format().latentChannels();
    if (transformer.channels() != latent) {
      throw components
          .config("transformer")
          .unsupported(
              "in_channels",
              transformer.channels(),
              "as many as the autoencoder's latents have, " + latent);
    }
    SamplingPlans plans =
        family.way() == Way.OF_CONFIG
            ? SamplingPlans.open(components)
            : SamplingPlans.openOfFlow(components);
    Denoiser denoiser =
        Denoiser.of(components.load("transformer", transformer.graph()), conditioning.inputs());
    Signature asked = Signature.of(family.name()).required(Parameters.PROMPT);
    if (family.takesImages()) {
      asked =
          asked
              .optional(Parameters.IMAGE)
              .optional(Parameters.MASK)
              .withDefault(
                  Parameters.STRENGTH,
                  "%s with an image, %s with a mask"
                      .formatted(family.strengthOfImage(), family.strengthOfMask()),
                  this::strength);
    }
    asked =
        family.way() == Way.OF_CONFIG
            ? plans.listing(asked, family.steps())
            : plans.listingSigmas(asked, family.steps());
    long side = transformer.side();
    Signature signature =
        conditioning.describe(
            asked
                .withDefault(
                    Parameters.WIDTH,
                    family.takesImages() ? "the image's, or " + side : "" + side,
                    each -> Sides.wholeWidth(each, factor, side))
                .withDefault(
                    Parameters.HEIGHT,
                    family.takesImages() ? "the image's, or " + side : "" + side,
                    each -> Sides.wholeHeight(each, factor, side)));
    this.parts =
        new Parts(
            new Description(signature, autoencoder.format().inChannels(), Optional.empty()),
            components,
            plans,
            denoiser,
            Optional.of(autoencoder));
  }

  static Task open(
      Components components,
      Family family,
      Transformer transformer,
      Conditioning conditioning,
      Autoencoder autoencoder) {
    return new TextTransformer(components, family, transformer, conditioning, autoencoder);
  }

  private Double strength(Arguments asked) {
    if (asked.has(Parameters.MASK)) {
      return family.strengthOfMask();
    }
    return asked.has(Parameters.IMAGE) ? family.strengthOfImage() : null;
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Sides.checkPicture(request, factor);
    conditioning.check(request);
    Raster image = request.get(Parameters.IMAGE);
    Raster mask = request.get(Parameters.MASK);
    if (image == null) {
      for (Parameter<?> about : List.of(Parameters.MASK, Parameters.STRENGTH)) {
        if (request.get(about) != null) {
          throw new InvalidRequestException("The request has a %s but no image.".formatted(about));
        }
      }
      return request;
    }
    Sides.checkChannels(Parameters.IMAGE, image, autoencoder().format().inChannels());
    Sides.checkWholeSize(request, factor);
    if (mask != null) {
      Sides.checkChannels(Parameters.MASK, mask, 1);
      Sides.checkSameSize(Parameters.MASK, mask, request);
    }
    return request;
  }

  @Override
  public SamplingPlan plan(GenerationRequest request) {
    if (family.way() == Way.OF_CONFIG) {
      return parts.plans().plan(request);
    }
    Double strength = request.get(Parameters.STRENGTH);
    int tokens = request.width() / factor * (request.height() / factor);
    double made = strength == null ? 1 : strength;
    SamplingPlan plan =
        family.way() == Way.OF_FLOW
            ? parts.plans().planOfFlow(request, tokens, made)
            : parts.plans().planShifted(request, tokens, made);
    if (request.get(Parameters.IMAGE) != null) {
      SamplingPlans.requireMixing(request);
    }
    return plan;
  }

  @Override
  public List<Conditions> conditions(List<GenerationRequest> requests) {
    return conditioning.encode(requests);
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Raster> images = new ArrayList<>();
    for (GenerationRequest request : requests) {
      if (request.get(Parameters.IMAGE) != null) {
        images.add(Sides.resized(request));
      }
    }
    List<Conditions> conditions = conditions(requests);
    Iterator<Autoencoder.Moments> encoded = autoencoder().encode(images).iterator();
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      GenerationRequest request = requests.get(i);
      beginnings.add(
          request.get(Parameters.IMAGE) == null
              ? begin(request, conditions.get(i), noises.get(i))
              : begin(request, conditions.get(i), encoded.next(), noises.get(i)));
    }
    return beginnings;
  }

  private Beginning begin(
      GenerationRequest request,
      Conditions conditions,
      Autoencoder.Moments encoded,
      TrajectoryNoise noises) {
    SampleShape shape = shape(request).orElseThrow();
    float[] image = encoded.sample(noises.shaped(shape));
    float[] noise = noises.gaussian(shape);
    SamplerState state = SamplerState.startFrom(plan(request), image, noise);
    Raster mask = request.get(Parameters.MASK);
    if (mask == null) {
      return new Beginning(shape, state, conditions);
    }
    noises.gaussian(shape);
    return new Beginning(
        shape,
        state,
        conditions,
        Optional.empty(),
        Optional.of(new InpaintMask(mask).known(shape, image, noise)));
  }

  @Override
  public HostTensor.Floats decode(List<Sample> done) {
    for (Sample sample : done) {
      if (family.unshiftedMasks() && sample.request().get(Parameters.MASK) != null) {
        autoencoder().format().takeMeansOff(sample.values());
      }
    }
    return autoencoder().decode(done);
  }

  @Override
  public long encodedPixels(GenerationRequest request) {
    return request.get(Parameters.IMAGE) == null ? 0 : (long) request.width() * request.height();
  }
}
