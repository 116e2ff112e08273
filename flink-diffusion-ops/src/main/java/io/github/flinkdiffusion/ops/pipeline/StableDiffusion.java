package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/**
 * Stable Diffusion 1.x and 2.x as diffusers' StableDiffusionPipeline and
 * StableDiffusionImg2ImgPipeline: from a text alone, or from a picture and a text. What a request
 * says decides, so that both kinds share network calls.
 *
 * <p>The denoising network is called with one row for each trajectory without guidance and two,
 * unconditional first, for each with classifier-free guidance. Noise is drawn from each request's
 * own generator in the reference's order: the sample of the encoded picture if there is one, the
 * starting noise, then whatever the scheduler asks for, step by step.
 */
final class StableDiffusion implements Task {

  /** Keys of a UNet's config that ask for an input beside the prompt. */
  private static final List<String> CONDITIONS_BESIDE_TEXT =
      List.of("class_embed_type", "num_class_embeds", "time_cond_proj_dim", "addition_embed_type");

  private final Components components;
  private final Signature signature;
  private final SamplingPlans plans;
  private final PromptEncoder prompts;
  private final Denoiser denoiser;
  private final Autoencoder autoencoder;

  private StableDiffusion(Components components) {
    this.components = components;
    this.plans = SamplingPlans.open(components);
    Config config = components.config("unet");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    for (String key : CONDITIONS_BESIDE_TEXT) {
      if (config.has(key)) {
        throw config.unsupported(
            key, config.node().get(key), "null in a pipeline that knows the prompt alone");
      }
    }
    this.prompts = PromptEncoder.open(components);
    if (unet.crossAttentionDim() != prompts.hiddenSize()) {
      throw config.unsupported(
          "cross_attention_dim",
          unet.crossAttentionDim(),
          "the text encoder's hidden_size, " + prompts.hiddenSize());
    }
    this.denoiser =
        Denoiser.of(
            components.load("unet", new UNet2DCondition(unet).graph()),
            Denoiser.Input.floats(prompts.length(), prompts.hiddenSize()));
    this.autoencoder = Autoencoder.open(components);
    int latentChannels = autoencoder.config().latentChannels();
    if (unet.inChannels() != latentChannels || unet.outChannels() != latentChannels) {
      throw config.unsupported(
          "in_channels",
          unet.inChannels(),
          "the autoencoder's latent_channels, " + latentChannels + ", for text to image");
    }
    long side = (long) config.integer("sample_size", 64) * autoencoder.config().scaleFactor();
    this.signature =
        Signature.of("StableDiffusionPipeline")
            .required(Parameters.PROMPT)
            .withDefault(Parameters.NEGATIVE_PROMPT, "")
            .optional(Parameters.IMAGE)
            .withDefault(
                Parameters.STRENGTH,
                "0.8 with an image",
                asked -> asked.has(Parameters.IMAGE) ? 0.8 : null)
            .withDefault(Parameters.STEPS, 50L)
            .withDefault(Parameters.GUIDANCE_SCALE, 7.5)
            .withDefault(Parameters.GUIDANCE_RESCALE, 0.0)
            .withDefault(Parameters.SCHEDULER, plans.own())
            .withDefault(Parameters.ETA, 0.0)
            .withDefault(Parameters.WIDTH, "the image's, or " + side, asked -> width(asked, side))
            .withDefault(
                Parameters.HEIGHT, "the image's, or " + side, asked -> height(asked, side));
  }

  static Task open(Components components) {
    return new StableDiffusion(components);
  }

  private static long width(Arguments asked, long fallback) {
    Raster image = asked.get(Parameters.IMAGE);
    return image == null ? fallback : image.width();
  }

  private static long height(Arguments asked, long fallback) {
    Raster image = asked.get(Parameters.IMAGE);
    return image == null ? fallback : image.height();
  }

  @Override
  public Signature signature() {
    return signature;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Sides.checkPicture(request, autoencoder.config().scaleFactor());
    Raster image = request.get(Parameters.IMAGE);
    if (image != null) {
      Sides.checkChannels(Parameters.IMAGE, image, autoencoder.config().inChannels());
      Sides.checkSameSize(Parameters.IMAGE, image, request);
    } else if (request.get(Parameters.STRENGTH) != null) {
      throw new InvalidRequestException(
          "The request has a strength but no image; strength says how much of an image is made anew.");
    }
    return request;
  }

  @Override
  public SamplingPlan plan(GenerationRequest request) {
    return request.get(Parameters.IMAGE) == null
        ? plans.plan(request)
        : plans.planFromImage(request);
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TorchGenerator> generators) {
    List<String> texts = new ArrayList<>();
    List<Raster> images = new ArrayList<>();
    for (GenerationRequest request : requests) {
      texts.add(request.get(Parameters.PROMPT));
      if (guided(request)) {
        texts.add(request.get(Parameters.NEGATIVE_PROMPT));
      }
      if (request.get(Parameters.IMAGE) != null) {
        images.add(request.get(Parameters.IMAGE));
      }
    }
    Map<String, PromptEncoding> encoded = prompts.encode(texts);
    Iterator<Autoencoder.Moments> moments = autoencoder.encode(images).iterator();
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      GenerationRequest request = requests.get(i);
      SampleShape shape = autoencoder.latent(request.width(), request.height());
      PromptEncoding prompt = encoded.get(request.get(Parameters.PROMPT));
      SamplerState state =
          state(
              request,
              shape,
              request.get(Parameters.IMAGE) == null ? null : moments.next(),
              generators.get(i));
      if (guided(request)) {
        PromptEncoding negative = encoded.get(request.get(Parameters.NEGATIVE_PROMPT));
        beginnings.add(
            new Beginning(
                shape,
                state,
                List.of(Row.of(negative.states()), Row.of(prompt.states())),
                Guidance.rescaled(
                    request.guidanceScale(), request.get(Parameters.GUIDANCE_RESCALE)),
                prompt.truncated() || negative.truncated()));
      } else {
        beginnings.add(
            new Beginning(
                shape, state, List.of(Row.of(prompt.states())), Guidance.NONE, prompt.truncated()));
      }
    }
    return beginnings;
  }

  private SamplerState state(
      GenerationRequest request,
      SampleShape shape,
      Autoencoder.Moments image,
      TorchGenerator generator) {
    SamplingPlan plan = plan(request);
    if (image == null) {
      return SamplerState.start(plan, generator.gaussian(shape.size()));
    }
    float[] latent = image.sample(generator);
    return SamplerState.startFrom(plan, latent, generator.gaussian(shape.size()));
  }

  private static boolean guided(GenerationRequest request) {
    return request.guidanceScale() > 1;
  }

  @Override
  public Denoiser denoiser() {
    return denoiser;
  }

  @Override
  public HostTensor.Floats decode(List<DenoisingTrajectory> done) {
    return autoencoder.decode(done);
  }

  @Override
  public void close() {
    components.close();
  }
}
