package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.AttentionType;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Text to image with objects in their places: diffusers' StableDiffusionGLIGENPipeline (Li et al.
 * 2023). In the first calls of a trajectory the network sees its objects, in the rest the prompt
 * alone. Requests with objects, at any step, and without share network calls: a row that sees none
 * has its gate closed, and a call in which no gate is open leaves that part of the network out.
 *
 * <p>A request without objects is made as StableDiffusionPipeline makes it with the same networks.
 */
final class GroundedStableDiffusion implements LatentTask {
  private static final String NAME = "StableDiffusionGLIGENPipeline";

  private final Parts parts;
  private final PromptEncoder prompts;

  /** What an image's sides are multiples of. */
  private final int sideFactor;

  private final int leastSide;

  private GroundedStableDiffusion(Components components) {
    SamplingPlans plans = SamplingPlans.open(components);
    Config config = components.config("unet", "UNet2DConditionModel");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    if (unet.attentionType() != AttentionType.GATED) {
      throw config.unsupported(
          "attention_type",
          config.string("attention_type", "default"),
          "gated: the network is told phrases and boxes");
    }
    UNetConditions.textAlone(config);
    this.prompts = PromptEncoder.open(components);
    UNetConditions.fits(config, unet, prompts);
    int size = prompts.hiddenSize();
    if (unet.crossAttentionDim() != size) {
      throw config.unsupported(
          "cross_attention_dim",
          unet.crossAttentionDim(),
          "the text encoder's hidden_size, %d, which is that of phrases".formatted(size));
    }
    Denoiser denoiser =
        Denoiser.of(
                components.load("unet", new UNet2DCondition(unet).groundedGraph()),
                prompts.input(),
                Denoiser.Input.floats(GroundedObject.MOST, GroundedObject.SIDES),
                Denoiser.Input.floats(GroundedObject.MOST),
                Denoiser.Input.floats(GroundedObject.MOST, size),
                Denoiser.Input.floats())
            .gated(UNet2DCondition.UNGROUNDED, 1);
    Autoencoder autoencoder = Autoencoder.openDecoder(components);
    UNetConditions.channels(config, unet, autoencoder, 0);
    SampleSize sample = SampleSize.of(config, 64);
    int factor = autoencoder.format().scaleFactor();
    this.sideFactor = factor * unet.sideMultiple();
    this.leastSide = Math.max(sideFactor, factor * unet.leastSide());
    Signature signature =
        Signature.of(NAME)
            .required(Parameters.PROMPT)
            .withDefault(Parameters.NEGATIVE_PROMPT, "")
            .optional(Parameters.CLIP_SKIP)
            .optional(Parameters.GLIGEN_OBJECTS)
            .withDefault(
                Parameters.GLIGEN_SCHEDULED_SAMPLING_BETA,
                "0.3 with gligenObjects",
                asked -> asked.has(Parameters.GLIGEN_OBJECTS) ? 0.3 : null)
            .withDefault(Parameters.STEPS, 50L)
            .withDefault(Parameters.GUIDANCE_SCALE, 7.5)
            .withDefault(Parameters.SCHEDULER, plans.own())
            .withDefault(Parameters.ETA, 0.0)
            .optional(Parameters.TEMPERATURE)
            .withDefault(Parameters.WIDTH, (long) sample.width() * factor)
            .withDefault(Parameters.HEIGHT, (long) sample.height() * factor);
    this.parts = new Parts(new Description(signature), components, plans, denoiser, autoencoder);
  }

  static Task open(Components components) {
    return new GroundedStableDiffusion(components);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Sides.checkPicture(request, sideFactor, leastSide);
    prompts.checkClipSkip(request);
    List<GroundedObject> objects = GroundedObject.of(request);
    if (objects.isEmpty() && request.get(Parameters.GLIGEN_SCHEDULED_SAMPLING_BETA) != null) {
      throw new InvalidRequestException(
          "The request has a gligenScheduledSamplingBeta but no gligenObjects that it is about.");
    }
    for (int i = 0; i < objects.size(); i++) {
      if (prompts.truncates(objects.get(i).phrase())) {
        throw new InvalidRequestException(
            "gligenObjects has an object %d whose phrase has more tokens than the text encoder takes, %d with begin and end; say it in fewer words."
                .formatted(i, prompts.length()));
      }
    }
    return request;
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Prompt> texts = new ArrayList<>();
    List<List<GroundedObject>> objects = new ArrayList<>();
    List<String> phrases = new ArrayList<>();
    for (GenerationRequest request : requests) {
      texts.add(Prompt.wanted(request));
      if (guided(request)) {
        texts.add(Prompt.unwanted(request));
      }
      objects.add(GroundedObject.of(request));
      objects.get(objects.size() - 1).forEach(object -> phrases.add(object.phrase()));
    }
    Map<Prompt, PromptEncoding> encoded = prompts.encodeSkipping(texts);
    Map<String, float[]> ends = prompts.encodeEnds(phrases);
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      beginnings.add(begin(requests.get(i), objects.get(i), ends, encoded, noises.get(i)));
    }
    return beginnings;
  }

  private Beginning begin(
      GenerationRequest request,
      List<GroundedObject> objects,
      Map<String, float[]> ends,
      Map<Prompt, PromptEncoding> encoded,
      TrajectoryNoise noise) {
    SampleShape shape = parts.autoencoder().latent(request.width(), request.height());
    SamplingPlan plan = plan(request);
    SamplerState state = SamplerState.start(plan, noise.gaussian(shape));
    PromptEncoding prompt = encoded.get(Prompt.wanted(request));
    boolean guided = guided(request);
    PromptEncoding negative = guided ? encoded.get(Prompt.unwanted(request)) : prompt;
    Guidance guidance = guided ? Guidance.classifierFree(request.guidanceScale()) : Guidance.NONE;
    Places none = places(List.of(), ends);
    List<Row> rows = rows(guided ? negative : null, none, prompt, none, 0);
    // The unconditional row sees that there are none.
    List<Row> leading = rows(guided ? negative : null, none, prompt, places(objects, ends), 1);
    int calls = groundedCalls(request, plan);
    return new Beginning(
        shape,
        state,
        rows,
        guidance,
        prompt.truncated() || negative.truncated(),
        calls == 0 ? Optional.empty() : Optional.of(new Beginning.Lead(calls, leading, guidance)),
        Optional.empty());
  }

  /** How many of the first calls see objects, rounded down as in the reference. */
  private static int groundedCalls(GenerationRequest request, SamplingPlan plan) {
    Double share = request.get(Parameters.GLIGEN_SCHEDULED_SAMPLING_BETA);
    return share == null ? 0 : (int) (share * plan.calls());
  }

  /** A request's objects as the network takes them; zeros where there are none. */
  private record Places(float[] boxes, float[] masks, float[] phrases) {}

  private Places places(List<GroundedObject> objects, Map<String, float[]> ends) {
    int size = prompts.hiddenSize();
    float[] boxes = new float[GroundedObject.MOST * GroundedObject.SIDES];
    float[] masks = new float[GroundedObject.MOST];
    float[] phrases = new float[GroundedObject.MOST * size];
    for (int i = 0; i < objects.size(); i++) {
      GroundedObject object = objects.get(i);
      System.arraycopy(object.box(), 0, boxes, i * GroundedObject.SIDES, GroundedObject.SIDES);
      masks[i] = 1;
      System.arraycopy(ends.get(object.phrase()), 0, phrases, i * size, size);
    }
    return new Places(boxes, masks, phrases);
  }

  /**
   * @param negative of the unconditional row, null where there is none
   * @param gate 1 where the network looks for objects, 0 where it does not
   */
  private static List<Row> rows(
      PromptEncoding negative, Places none, PromptEncoding prompt, Places places, int gate) {
    Row conditional = row(prompt, places, gate);
    return negative == null
        ? List.of(conditional)
        : List.of(row(negative, none, gate), conditional);
  }

  private static Row row(PromptEncoding text, Places places, int gate) {
    return Row.of(
        text.states(), places.boxes(), places.masks(), places.phrases(), new float[] {gate});
  }

  private static boolean guided(GenerationRequest request) {
    return request.guidanceScale() > 1;
  }
}
