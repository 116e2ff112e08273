/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
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
 * A picture enlarged without a text: diffusers' LDMSuperResolutionPipeline. The small picture is
 * appended to the latent, which is as large as it, and scaled with it; a VQModel's decoder
 * enlarges.
 *
 * <p>As the reference does, a picture whose sides are no multiples of 32 is made smaller first.
 */
final class LatentSuperResolution implements Task {
  private static final int MULTIPLE = 32;

  private final Parts parts;
  private final Network decoder;
  private final VQModelConfig vq;
  private final int pictureChannels;

  private LatentSuperResolution(Components components) {
    SamplingPlans plans = SamplingPlans.open(components);
    Config config = components.config("unet", "UNet2DModel");
    UNet2DConfig unet = UNet2DConfig.from(config);
    unet.requireNoClasses(config, "that is conditioned on an image alone");
    this.vq = VQModelConfig.from(components.config("vqvae", "VQModel"));
    this.pictureChannels = unet.inChannels() - vq.codeChannels();
    if (pictureChannels < 1) {
      throw config.unsupported(
          "in_channels",
          unet.inChannels(),
          "the vqvae's vq_embed_dim, %d, and the small image's".formatted(vq.codeChannels()));
    }
    if (unet.outChannels() != vq.codeChannels()) {
      throw config.unsupported(
          "out_channels", unet.outChannels(), "the vqvae's vq_embed_dim, " + vq.codeChannels());
    }
    Denoiser denoiser =
        Denoiser.of(components.load("unet", new UNet2D(unet).graph())).scalingAppended();
    this.decoder = components.load("vqvae", new VQModel(vq).graph());
    int factor = vq.scaleFactor();
    Tiling tiling = Tiling.of(factor, MULTIPLE, SampleSize.of(config, 64).smallerSide());
    Signature signature =
        Signature.of("LDMSuperResolutionPipeline")
            .required(Parameters.IMAGE)
            .optional(Parameters.TILE_TOP_LEFT)
            .withDefault(Parameters.STEPS, 100L)
            .withDefault(Parameters.SCHEDULER, plans.own())
            .withDefault(Parameters.ETA, 0.0)
            .optional(Parameters.TEMPERATURE)
            .withDefault(
                Parameters.WIDTH,
                factor + " times the image's",
                asked -> factor * whole(Sides.imageWidth(asked, 0)))
            .withDefault(
                Parameters.HEIGHT,
                factor + " times the image's",
                asked -> factor * whole(Sides.imageHeight(asked, 0)));
    this.parts =
        new Parts(
            new Description(signature, pictureChannels, Optional.of(tiling)),
            components,
            plans,
            denoiser);
  }

  static Task open(Components components) {
    return new LatentSuperResolution(components);
  }

  /** The side's multiple of 32 that the reference works on. */
  private static long whole(long side) {
    return side - side % MULTIPLE;
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public String name(Arguments request) {
    return "super-resolution";
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Raster image = request.get(Parameters.IMAGE);
    Sides.checkChannels(Parameters.IMAGE, image, pictureChannels);
    if (image.width() < MULTIPLE || image.height() < MULTIPLE) {
      throw new InvalidRequestException(
          "image is %d x %d pixels; each side must be %d or more."
              .formatted(image.width(), image.height(), MULTIPLE));
    }
    int factor = vq.scaleFactor();
    Sides.checkPicture(request, factor);
    Sides.checkFixed(
        request,
        (int) (factor * whole(image.width())),
        (int) (factor * whole(image.height())),
        "the result is %d times as large as the image, whose sides count as multiples of %d"
            .formatted(factor, MULTIPLE));
    return request;
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      Raster image = resized(requests.get(i).get(Parameters.IMAGE));
      SampleShape shape = new SampleShape(vq.codeChannels(), image.height(), image.width());
      SamplerState state = SamplerState.start(plan(requests.get(i)), noises.get(i).gaussian(shape));
      float[] picture = new float[image.data().length];
      for (int j = 0; j < picture.length; j++) {
        picture[j] = 2 * image.data()[j] - 1;
      }
      beginnings.add(new Beginning(shape, state, Conditions.of(Row.of().with(picture))));
    }
    return beginnings;
  }

  private static Raster resized(Raster image) {
    int height = (int) whole(image.height());
    int width = (int) whole(image.width());
    return height == image.height() && width == image.width()
        ? image
        : PilResize.resize(image, height, width, PilResize.Filter.LANCZOS);
  }

  @Override
  public HostTensor.Floats decode(List<Sample> done) {
    HostTensor.Floats decoded = decoder.call(VQModel.DECODE, Sample.batch(done));
    float[] pixels = decoded.data();
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = pixels[i] / 2 + 0.5f;
    }
    return decoded;
  }
}
