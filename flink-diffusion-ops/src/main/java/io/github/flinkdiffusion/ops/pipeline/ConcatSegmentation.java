package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;

/**
 * Where in a picture something is (SegDiff, Amit et al. 2021; MedSegDiff): noise becomes a mask,
 * and the network sees the picture as further channels. Each seed gives one plausible mask; their
 * mean is the answer and their spread its uncertainty.
 *
 * <p>The picture is made as large as the network's {@code sample_size} by a bilinear filter, and
 * the mask as large as the picture. Each channel of the mask is 0..1, half and above is inside.
 *
 * <p>diffusers has no such pipeline; the folder is as it would write one. {@code model_index.json}
 * says, beside the components {@code unet} (UNet2DModel) and {@code scheduler}, each with the one
 * value that there is: {@code sample_target}, {@code concatenation}, {@code image_resampling} and
 * {@code value_range}.
 */
final class ConcatSegmentation implements Task {
  private final Components components;
  private final Signature signature;
  private final SamplingPlans plans;
  private final Denoiser denoiser;
  private final SampleShape shape;
  private final int imageChannels;

  private ConcatSegmentation(Components components) {
    this.components = components;
    this.plans = SamplingPlans.open(components);
    Config index = components.folder().config();
    Concatenation.check(index, "bilinear");
    String target = index.string("sample_target", "mask");
    if (!target.equals("mask")) {
      throw index.unsupported("sample_target", target, "mask");
    }
    Config config = components.config("unet");
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
    this.imageChannels = unet.inChannels() - unet.outChannels();
    if (imageChannels < 1) {
      throw config.unsupported(
          "in_channels", unet.inChannels(), "more than out_channels: the mask and the picture");
    }
    this.denoiser = Denoiser.of(components.load("unet", new UNet2D(unet).graph()));
    this.signature =
        Signature.of("ConcatConditionedSegmentationPipeline")
            .required(Parameters.IMAGE)
            .withDefault(Parameters.STEPS, 8L)
            .withDefault(Parameters.SCHEDULER, plans.own())
            .withDefault(Parameters.ETA, 0.0)
            .withDefault(
                Parameters.WIDTH, "the image's", asked -> Sides.imageWidth(asked, shape.width()))
            .withDefault(
                Parameters.HEIGHT,
                "the image's",
                asked -> Sides.imageHeight(asked, shape.height()));
  }

  static Task open(Components components) {
    return new ConcatSegmentation(components);
  }

  @Override
  public Signature signature() {
    return signature;
  }

  @Override
  public int imageChannels() {
    return imageChannels;
  }

  @Override
  public ResultKind resultKind() {
    return ResultKind.MASK;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Raster image = request.get(Parameters.IMAGE);
    Sides.checkChannels(Parameters.IMAGE, image, imageChannels);
    Sides.checkPicture(request, 1);
    Sides.checkFixed(request, image.width(), image.height(), "the mask is as large as the image");
    return request;
  }

  @Override
  public SamplingPlan plan(GenerationRequest request) {
    return plans.plan(request);
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TorchGenerator> generators) {
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      GenerationRequest request = requests.get(i);
      Raster seen =
          FloatResize.resize(
              request.get(Parameters.IMAGE),
              shape.height(),
              shape.width(),
              PilResize.Filter.BILINEAR);
      SamplerState state =
          SamplerState.start(plan(request), generators.get(i).gaussian(shape.size()));
      Row row = Row.of().with(Concatenation.signed(seen));
      beginnings.add(new Beginning(shape, state, List.of(row), Guidance.NONE, false));
    }
    return beginnings;
  }

  @Override
  public Denoiser denoiser() {
    return denoiser;
  }

  @Override
  public HostTensor.Floats decode(List<DenoisingTrajectory> done) {
    SampleShape sample = done.get(0).shape();
    boolean preview = !sample.equals(shape);
    GenerationRequest first = done.get(0).request();
    int height = preview ? sample.height() : first.height();
    int width = preview ? sample.width() : first.width();
    int size = sample.channels() * height * width;
    float[] masks = new float[done.size() * size];
    for (int i = 0; i < done.size(); i++) {
      float[] values = done.get(i).state().sample();
      for (int j = 0; j < values.length; j++) {
        values[j] = values[j] / 2 + 0.5f;
      }
      Raster mask = new Raster(sample.channels(), sample.height(), sample.width(), values);
      Raster whole = FloatResize.resize(mask, height, width, PilResize.Filter.BILINEAR);
      System.arraycopy(whole.data(), 0, masks, i * size, size);
    }
    return new HostTensor.Floats(masks, done.size(), sample.channels(), height, width);
  }

  @Override
  public void close() {
    components.close();
  }
}
