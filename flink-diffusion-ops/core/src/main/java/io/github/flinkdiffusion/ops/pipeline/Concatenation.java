/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** What tasks have in common whose network sees a picture as channels behind the noisy sample. */
final class Concatenation {
  private static final String ORDER = "sample, image";

  private Concatenation() {}

  /**
   * Checks the keys of {@code model_index.json} that name the one way there is, so that a model
   * that was made otherwise is refused and not run to nonsense.
   *
   * @param resampling how the image is brought to the sample's size
   */
  static void check(Config index, String resampling) {
    String order = index.string("concatenation", ORDER);
    if (!order.equals(ORDER)) {
      throw index.unsupported("concatenation", order, ORDER);
    }
    String filter = index.string("image_resampling", resampling);
    if (!filter.equals(resampling)) {
      throw index.unsupported("image_resampling", filter, resampling);
    }
    double[] range = index.numbers("value_range", new double[] {-1, 1});
    if (range.length != 2 || range[0] != -1 || range[1] != 1) {
      throw index.unsupported("value_range", index.node().get("value_range"), "[-1, 1]");
    }
  }

  /** The network's config, which asks for no class labels. */
  static UNet2DConfig unet(Config config) {
    UNet2DConfig unet = UNet2DConfig.from(config);
    unet.requireNoClasses(config, "that is conditioned on an image alone");
    return unet;
  }

  /** What requests of both say, but for the size of the result. */
  static Signature signature(String pipeline, SamplingPlans plans) {
    return Signature.of(pipeline)
        .required(Parameters.IMAGE)
        .optional(Parameters.TILE_TOP_LEFT)
        .withDefault(Parameters.STEPS, 8L)
        .withDefault(Parameters.SCHEDULER, plans.own())
        .withDefault(Parameters.ETA, 0.0)
        .optional(Parameters.TEMPERATURE);
  }

  /**
   * Begins with noise, beside which the image is seen.
   *
   * @param shapes of each request's sample
   * @param filter by which the image is brought to the sample's size
   */
  static List<Beginning> begin(
      List<GenerationRequest> requests,
      List<TrajectoryNoise> noises,
      SamplingPlans plans,
      Function<GenerationRequest, SampleShape> shapes,
      PilResize.Filter filter) {
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      GenerationRequest request = requests.get(i);
      SampleShape shape = shapes.apply(request);
      Raster seen =
          FloatResize.resize(request.get(Parameters.IMAGE), shape.height(), shape.width(), filter);
      SamplerState state = SamplerState.start(plans.plan(request), noises.get(i).gaussian(shape));
      Row row = Row.of().with(signed(seen));
      beginnings.add(new Beginning(shape, state, Conditions.of(row)));
    }
    return beginnings;
  }

  /** A picture of 0..1 as values of -1..1. */
  private static float[] signed(Raster picture) {
    float[] signed = new float[picture.data().length];
    for (int i = 0; i < signed.length; i++) {
      signed[i] = 2 * picture.data()[i] - 1;
    }
    return signed;
  }
}
