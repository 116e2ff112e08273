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
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * Stable Diffusion 1.x and 2.x as diffusers' StableDiffusionPipeline,
 * StableDiffusionImg2ImgPipeline and StableDiffusionInpaintPipeline: from a text alone, from a
 * picture and a text, or a part of a picture anew. What a request says decides, so that all kinds
 * share network calls. A network with channels for a mask and a masked picture does the last alone.
 *
 * <p>The denoising network is called with one row for each trajectory without guidance and two,
 * unconditional first, for each with classifier-free guidance. Noise is drawn from each request's
 * own generator in the reference's order: the sample of the encoded picture if there is one, the
 * starting noise, the sample of the masked picture if there is one, then whatever the scheduler
 * asks for, step by step. A network with channels for a mask that makes everything anew (strength
 * 1) does not need the encoded picture and draws nothing for it.
 */
final class StableDiffusion implements Task {
  private final Components components;
  private final Signature signature;
  private final SamplingPlans plans;
  private final PromptEncoder prompts;
  private final Denoiser denoiser;
  private final Autoencoder autoencoder;

  /** Whether the network itself takes the mask and the masked picture. */
  private final boolean knowsMask;

  private StableDiffusion(Components components) {
    this.components = components;
    this.plans = SamplingPlans.open(components);
    Config config = components.config("unet");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    UNetConditions.textAlone(config);
    this.prompts = PromptEncoder.open(components);
    UNetConditions.fits(config, unet, prompts);
    this.denoiser =
        Denoiser.of(components.load("unet", new UNet2DCondition(unet).graph()), prompts.input());
    this.autoencoder = Autoencoder.open(components);
    int latentChannels = autoencoder.config().latentChannels();
    this.knowsMask = unet.inChannels() == 2 * latentChannels + 1;
    UNetConditions.channels(config, unet, autoencoder, knowsMask ? latentChannels + 1 : 0);
    long side = (long) config.integer("sample_size", 64) * autoencoder.config().scaleFactor();
    this.signature =
        plans
            .listing(
                images(Signature.of("StableDiffusionPipeline").required(Parameters.PROMPT))
                    .withDefault(Parameters.NEGATIVE_PROMPT, "")
                    .optional(Parameters.CLIP_SKIP)
                    .withDefault(
                        Parameters.STRENGTH,
                        "1 with a mask, 0.8 with an image alone",
                        StableDiffusion::strength),
                50)
            .withDefault(Parameters.GUIDANCE_SCALE, 7.5)
            .withDefault(Parameters.GUIDANCE_RESCALE, 0.0)
            .withDefault(
                Parameters.WIDTH, "the image's, or " + side, asked -> Sides.imageWidth(asked, side))
            .withDefault(
                Parameters.HEIGHT,
                "the image's, or " + side,
                asked -> Sides.imageHeight(asked, side));
  }

  private Signature images(Signature signature) {
    return knowsMask
        ? signature.required(Parameters.IMAGE).required(Parameters.MASK)
        : signature.optional(Parameters.IMAGE).optional(Parameters.MASK);
  }

  private static Double strength(Arguments asked) {
    if (asked.has(Parameters.MASK)) {
      return 1.0;
    }
    return asked.has(Parameters.IMAGE) ? 0.8 : null;
  }

  static Task open(Components components) {
    return new StableDiffusion(components);
  }

  @Override
  public Signature signature() {
    return signature;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Sides.checkPicture(request, autoencoder.config().scaleFactor());
    prompts.checkClipSkip(request);
    Raster image = request.get(Parameters.IMAGE);
    Raster mask = request.get(Parameters.MASK);
    if (image == null) {
      if (mask != null || request.get(Parameters.STRENGTH) != null) {
        throw new InvalidRequestException(
            "The request has a %s but no image that it is about."
                .formatted(mask == null ? "strength" : "mask"));
      }
      return request;
    }
    Sides.checkChannels(Parameters.IMAGE, image, autoencoder.config().inChannels());
    Sides.checkSameSize(Parameters.IMAGE, image, request);
    if (mask != null) {
      Sides.checkChannels(Parameters.MASK, mask, 1);
      Sides.checkSameSize(Parameters.MASK, mask, request);
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
    List<Prompt> texts = new ArrayList<>();
    List<Raster> pictures = new ArrayList<>();
    for (GenerationRequest request : requests) {
      texts.add(Prompt.wanted(request));
      if (guided(request)) {
        texts.add(Prompt.unwanted(request));
      }
      if (needsImage(request)) {
        pictures.add(request.get(Parameters.IMAGE));
      }
      if (request.get(Parameters.MASK) != null) {
        pictures.add(mask(request).covered(request.get(Parameters.IMAGE)));
      }
    }
    Map<Prompt, PromptEncoding> encoded = prompts.encodeSkipping(texts);
    Iterator<Autoencoder.Moments> moments = autoencoder.encode(pictures).iterator();
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      beginnings.add(begin(requests.get(i), encoded, moments, generators.get(i)));
    }
    return beginnings;
  }

  private Beginning begin(
      GenerationRequest request,
      Map<Prompt, PromptEncoding> encoded,
      Iterator<Autoencoder.Moments> moments,
      TorchGenerator generator) {
    SampleShape shape = autoencoder.latent(request.width(), request.height());
    SamplingPlan plan = plan(request);
    float[] image = needsImage(request) ? moments.next().sample(generator) : null;
    float[] noise = generator.gaussian(shape.size());
    SamplerState state =
        image == null || allAnew(request)
            ? SamplerState.start(plan, noise)
            : SamplerState.startFrom(plan, image, noise);
    float[] appended = new float[0];
    Consumer<SamplerState> afterStep = after -> {};
    if (request.get(Parameters.MASK) != null) {
      // Drawn for a network that does not know the mask, too, as the reference does.
      float[] covered = moments.next().sample(generator);
      if (knowsMask) {
        float[] mask = mask(request).latent(shape);
        appended = Arrays.copyOf(mask, mask.length + covered.length);
        System.arraycopy(covered, 0, appended, mask.length, covered.length);
      } else {
        afterStep = mask(request).putBack(shape, image, noise);
      }
    }
    PromptEncoding prompt = encoded.get(Prompt.wanted(request));
    Row conditional = Row.of(prompt.states()).with(appended);
    if (!guided(request)) {
      return new Beginning(
          shape, state, List.of(conditional), Guidance.NONE, prompt.truncated(), afterStep);
    }
    PromptEncoding negative = encoded.get(Prompt.unwanted(request));
    return new Beginning(
        shape,
        state,
        List.of(Row.of(negative.states()).with(appended), conditional),
        Guidance.rescaled(request.guidanceScale(), request.get(Parameters.GUIDANCE_RESCALE)),
        prompt.truncated() || negative.truncated(),
        afterStep);
  }

  private static InpaintMask mask(GenerationRequest request) {
    return new InpaintMask(request.get(Parameters.MASK));
  }

  private boolean needsImage(GenerationRequest request) {
    return request.get(Parameters.IMAGE) != null && !(knowsMask && allAnew(request));
  }

  /** Inpainting begins from noise alone at strength 1; image to image never does. */
  private static boolean allAnew(GenerationRequest request) {
    return request.get(Parameters.MASK) != null && request.get(Parameters.STRENGTH) == 1;
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
