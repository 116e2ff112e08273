/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import java.util.Optional;

/**
 * A picture enlarged in pixels, without a text (SR3, Saharia et al. 2021): the network sees the
 * noisy sample and, as further channels, the picture enlarged by a bicubic filter. The sample is
 * either the large picture or what it has and the filter's has not, the residual.
 *
 * <p>diffusers has no such pipeline; the folder is as it would write one. {@code model_index.json}
 * says, beside the components {@code unet} (UNet2DModel) and {@code scheduler}: {@code
 * scale_factor}; {@code sample_target}, {@code residual} or {@code image}; {@code residual_scale},
 * by which the residual of values in -1..1 is multiplied; and, each with the one value that there
 * is, {@code concatenation}, {@code image_resampling} and {@code value_range}.
 */
final class ConcatUpscale implements Task {
  /** Side of a part for networks to which any is the same, in pixels of the result. */
  private static final int LARGE_PART = 256;

  private final Parts parts;
  private final int channels;
  private final int factor;
  private final Tiling tiling;
  private final boolean residual;
  private final double scale;

  private ConcatUpscale(Components components) {
    SamplingPlans plans = SamplingPlans.open(components);
    Config index = components.folder().config();
    this.factor = index.integer("scale_factor");
    if (factor < 1 || factor > 16) {
      throw index.unsupported("scale_factor", factor, "1 to 16");
    }
    Concatenation.check(index, "bicubic");
    String target = index.string("sample_target", "residual");
    this.residual = target.equals("residual");
    if (!residual && !target.equals("image")) {
      throw index.unsupported("sample_target", target, "residual, image");
    }
    this.scale = residual ? index.number("residual_scale", 1) : 1;
    if (!(scale > 0)) {
      throw index.unsupported("residual_scale", scale, "a number above 0");
    }
    Config config = components.config("unet", "UNet2DModel");
    UNet2DConfig unet = Concatenation.unet(config);
    this.channels = unet.outChannels();
    if (unet.inChannels() != 2 * channels) {
      throw config.unsupported(
          "in_channels", unet.inChannels(), "twice out_channels: the sample and the image");
    }
    this.tiling = tiling(config, unet);
    Denoiser denoiser = Denoiser.of(components.load("unet", new UNet2D(unet).graph()));
    Signature signature =
        Sides.enlarged(Concatenation.signature("ConcatConditionedUpscalePipeline", plans), factor);
    this.parts =
        new Parts(
            new Description(signature, channels, Optional.of(tiling)), components, plans, denoiser);
  }

  static Task open(Components components) {
    return new ConcatUpscale(components);
  }

  /**
   * On the grid of the network's coarsest level, so that it does the same in each part. A network
   * that attends is given what it was trained on; to another one a larger part is as good, and
   * fewer pixels are made twice.
   */
  private Tiling tiling(Config config, UNet2DConfig unet) {
    int coarsest = 1 << (unet.blockOutChannels().size() - 1);
    int alignment = coarsest / Math.min(coarsest, Integer.lowestOneBit(factor));
    int trained = config.integersOrOne("sample_size", 2, 0)[0];
    int side = trained > 0 && unet.attends() ? trained : Math.max(trained, LARGE_PART);
    return Tiling.of(factor, alignment, side / factor);
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
    Sides.checkChannels(Parameters.IMAGE, image, channels);
    Sides.checkPicture(request, factor * tiling.alignment());
    Sides.checkEnlarged(request, factor);
    return request;
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    return Concatenation.begin(
        requests,
        noises,
        parts.plans(),
        request -> new SampleShape(channels, request.height(), request.width()),
        PilResize.Filter.BICUBIC);
  }

  @Override
  public HostTensor.Floats decode(List<Sample> done) {
    SampleShape shape = done.get(0).shape();
    float[] pixels = new float[done.size() * shape.size()];
    for (int i = 0; i < done.size(); i++) {
      float[] sample = done.get(i).values();
      float[] base = residual ? enlarged(done.get(i)) : new float[sample.length];
      for (int j = 0; j < sample.length; j++) {
        pixels[i * sample.length + j] = (float) ((sample[j] / scale + base[j]) / 2 + 0.5);
      }
    }
    return new HostTensor.Floats(
        pixels, done.size(), shape.channels(), shape.height(), shape.width());
  }

  /** What the residual is added to, -1..1; a preview's is smaller than the picture. */
  private static float[] enlarged(Sample small) {
    SampleShape shape = small.shape();
    float[] condition = small.rows().get(0).channels();
    if (condition.length == shape.size()) {
      return condition;
    }
    GenerationRequest request = small.request();
    Raster whole = new Raster(shape.channels(), request.height(), request.width(), condition);
    return FloatResize.resize(whole, shape.height(), shape.width(), PilResize.Filter.BOX).data();
  }
}
