/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.AttentionType;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
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

  private final SideLimits sides;

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
    this.sides = SideLimits.of(autoencoder, unet);
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
    this.parts =
        new Parts(
            new Description(signature), components, plans, denoiser, Optional.of(autoencoder));
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
    sides.check(request);
    prompts.checkClipSkip(request);
    List<GroundedObject> objects = GroundedObject.of(request);
    if (objects.isEmpty() && request.get(Parameters.GLIGEN_SCHEDULED_SAMPLING_BETA) != null) {
      throw new InvalidRequestException(
          "The request has a gligenScheduledSamplingBeta but no gligenObjects.");
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
  public List<Conditions> conditions(List<GenerationRequest> requests) {
    return TextConditioning.guided(prompts, requests, TextConditioning::row);
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Conditions> texts = conditions(requests);
    List<List<GroundedObject>> objects = requests.stream().map(GroundedObject::of).toList();
    Map<String, float[]> ends =
        prompts.encodeEnds(
            objects.stream().flatMap(List::stream).map(GroundedObject::phrase).toList());
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      beginnings.add(
          begin(requests.get(i), places(objects.get(i), ends), texts.get(i), noises.get(i)));
    }
    return beginnings;
  }

  private Beginning begin(
      GenerationRequest request, Places places, Conditions texts, TrajectoryNoise noise) {
    Places none = places(List.of(), Map.of());
    Beginning plain = begin(request, texts.withRows(row -> row(row, none, 0)), noise);
    int calls = groundedCalls(request, plain.state().plan());
    if (calls == 0) {
      return plain;
    }
    // The unconditional row sees that there are none.
    Conditions leading =
        texts.withRows(row -> row(row, row == texts.conditional() ? places : none, 1));
    return new Beginning(
        plain.shape(),
        plain.state(),
        plain.conditions(),
        Optional.of(new Beginning.Lead(calls, leading)),
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
   * @param gate 1 where the network looks for objects, 0 where it does not
   */
  private static Row row(Row text, Places places, int gate) {
    return Row.of(
        text.inputs().get(0), places.boxes(), places.masks(), places.phrases(), new float[] {gate});
  }
}
