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
 * What in a picture is where (SegDiff, Amit et al. 2021; MedSegDiff): noise becomes a picture of
 * classes, and the network sees the picture as further channels. Each seed gives one that is
 * plausible; what most of them say is the answer, and how many others say its uncertainty.
 *
 * <p>The picture is made as large as the network's {@code sample_size} by a bilinear filter, and
 * the result as large as the picture. Colors of classes are not filtered, for between two of them
 * there may be a third class's: the classes' shares are, and painted anew.
 *
 * <p>diffusers has no such pipeline; the folder is as it would write one. {@code model_index.json}
 * says, beside the components {@code unet} (UNet2DModel) and {@code scheduler}, what the classes
 * are, see {@link DeclaredClasses}, and, each with the one value that there is, {@code
 * concatenation}, {@code image_resampling} and {@code value_range}.
 */
final class ConcatSegmentation implements Task {
  private final Parts parts;
  private final SampleShape shape;
  private final int imageChannels;
  private final ClassMap classes;

  private ConcatSegmentation(Components components) {
    SamplingPlans plans = SamplingPlans.open(components);
    Config index = components.folder().config();
    Concatenation.check(index, "bilinear");
    Config config = components.config("unet", "UNet2DModel");
    UNet2DConfig unet = Concatenation.unet(config);
    int[] side = config.integersOrOne("sample_size", 2, 0);
    int multiple = 1 << (unet.blockOutChannels().size() - 1);
    if (side[0] < 1 || side[1] < 1 || side[0] % multiple != 0 || side[1] % multiple != 0) {
      throw config.unsupported(
          "sample_size",
          config.node().get("sample_size"),
          "height and width, multiples of " + multiple);
    }
    this.shape = new SampleShape(unet.outChannels(), side[0], side[1]);
    this.classes = DeclaredClasses.of(index, config, unet.outChannels());
    this.imageChannels = unet.inChannels() - unet.outChannels();
    if (imageChannels < 1) {
      throw config.unsupported(
          "in_channels", unet.inChannels(), "more than out_channels: the mask and the image");
    }
    Denoiser denoiser = Denoiser.of(components.load("unet", new UNet2D(unet).graph()));
    Signature signature =
        Concatenation.signature("ConcatConditionedSegmentationPipeline", plans)
            .withDefault(
                Parameters.WIDTH, "the image's", asked -> Sides.imageWidth(asked, shape.width()))
            .withDefault(
                Parameters.HEIGHT,
                "the image's",
                asked -> Sides.imageHeight(asked, shape.height()));
    // Parts are as large as the network's sample, if that is square, so that nothing is resized.
    this.parts =
        new Parts(
            new Description(
                signature,
                imageChannels,
                Optional.of(shape.width())
                    .filter(width -> width == shape.height())
                    .map(width -> new Tiling(1, 1, width))),
            components,
            plans,
            denoiser);
  }

  static Task open(Components components) {
    return new ConcatSegmentation(components);
  }

  @Override
  public ResultMeaning result(Arguments request) {
    return ResultMeaning.classes(classes);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public String name(Arguments request) {
    return "segmentation";
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Raster image = request.get(Parameters.IMAGE);
    Sides.checkChannels(Parameters.IMAGE, image, imageChannels);
    Sides.checkPicture(request, 1);
    Sides.checkFixed(request, image.width(), image.height(), "the mask is as large as the image");
    if (request.get(Parameters.TILE_TOP_LEFT) != null) {
      Sides.checkFixed(
          request, shape.width(), shape.height(), "a part is as large as the network's sample");
    }
    return request;
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    return Concatenation.begin(
        requests, noises, parts.plans(), request -> shape, PilResize.Filter.BILINEAR);
  }

  @Override
  public HostTensor.Floats decode(List<Sample> done) {
    GenerationRequest first = done.get(0).request();
    return results(done, first.height(), first.width(), false);
  }

  /** Classes are in their colors: what is previewed is looked at. */
  @Override
  public HostTensor.Floats decodePreview(List<Sample> rough) {
    SampleShape sample = rough.get(0).shape();
    return results(rough, sample.height(), sample.width(), true);
  }

  private HostTensor.Floats results(List<Sample> samples, int height, int width, boolean preview) {
    boolean colors = classes.encoding() == ClassMap.Encoding.PALETTE;
    boolean paints = colors || preview && classes.encoding() == ClassMap.Encoding.ONE_HOT;
    int channels = paints ? 3 : shape.channels();
    int size = channels * height * width;
    float[] results = new float[samples.size() * size];
    for (int i = 0; i < samples.size(); i++) {
      SampleShape sample = samples.get(i).shape();
      float[] values = samples.get(i).values();
      for (int j = 0; j < values.length; j++) {
        values[j] = values[j] / 2 + 0.5f;
      }
      Raster result = new Raster(sample.channels(), sample.height(), sample.width(), values);
      Raster whole =
          FloatResize.resize(
              colors ? classes.shares(result) : result, height, width, PilResize.Filter.BILINEAR);
      Raster shown = paints ? classes.painted(whole) : whole;
      System.arraycopy(shown.data(), 0, results, i * size, size);
    }
    return new HostTensor.Floats(results, samples.size(), channels, height, width);
  }
}
