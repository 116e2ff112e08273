/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ControlNetConfig;
import io.github.flinkdiffusion.ops.network.ControlledUNet;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * The ControlNets of a Stable Diffusion model, and what requests ask of them: diffusers'
 * StableDiffusionControlNetPipeline and its relatives. Each ControlNet has its image; one without
 * an image adds nothing, and a request without any is made as if there were none.
 *
 * <p>A row has a scale for each residual of each ControlNet, and zeros where it is not controlled:
 * without an image, outside of the request's share of steps, or for the unconditional row in guess
 * mode. So requests of all these kinds share network calls. A call in which no row is controlled is
 * one of the UNet alone; one that a single ControlNet takes part in leaves the others out.
 */
final class Control {
  /** What a ControlNet's inputs are where it adds nothing. */
  private static final float[] NOTHING = new float[0];

  private static final int CHANNELS = 3;

  /** What a component may be: one network, or the first of several. */
  static final String[] CLASSES = {"ControlNetModel", "MultiControlNetModel"};

  /** One network for several kinds of images. */
  static final String UNION = "ControlNetUnionModel";

  /** Each ControlNet's image. */
  private static final List<Parameter<Raster>> IMAGES =
      List.of(
          Parameters.CONTROL_IMAGE,
          Parameters.CONTROL_IMAGE_2,
          Parameters.CONTROL_IMAGE_3,
          Parameters.CONTROL_IMAGE_4);

  private static final List<Parameter<?>> SETTINGS =
      List.of(
          Parameters.CONTROLNET_CONDITIONING_SCALE,
          Parameters.CONTROL_GUIDANCE_START,
          Parameters.CONTROL_GUIDANCE_END,
          Parameters.GUESS_MODE,
          Parameters.CONTROL_MODE);

  private final List<ControlNetConfig> networks;

  private Control(List<ControlNetConfig> networks) {
    this.networks = networks;
  }

  /**
   * A model's ControlNets; empty where it has none.
   *
   * @param scaleFactor pixels along a side of one pixel of the latent
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException for one that does not fit the
   *     UNet
   */
  static Optional<Control> open(
      Components components, UNet2DConditionConfig unet, int scaleFactor) {
    List<ControlNetConfig> networks = new ArrayList<>();
    while (components.folder().has(ControlledUNet.component(networks.size()))) {
      String component = ControlledUNet.component(networks.size());
      boolean union = networks.isEmpty() && components.className(component).equals(UNION);
      if (!union) {
        components.requireClass(component, CLASSES);
      }
      Config config = components.config(component);
      if (networks.size() == IMAGES.size()) {
        throw components
            .folder()
            .config()
            .unsupported(component, component, "at most %d ControlNets".formatted(IMAGES.size()));
      }
      networks.add(fitting(config, union, unet, scaleFactor));
    }
    return networks.isEmpty() ? Optional.empty() : Optional.of(new Control(networks));
  }

  private static ControlNetConfig fitting(
      Config config, boolean union, UNet2DConditionConfig unet, int scaleFactor) {
    ControlNetConfig network =
        union ? ControlNetConfig.unionFrom(config) : ControlNetConfig.from(config);
    if (!ControlledUNet.fits(unet, network)) {
      throw config.unsupported(
          "block_out_channels",
          network.way().blockOutChannels(),
          "a ControlNet with the UNet's block_out_channels (%s), layers_per_block, cross_attention_dim (%d) and addition_embed_type"
              .formatted(unet.blockOutChannels(), unet.contextSize()));
    }
    if (network.scaleFactor() != scaleFactor) {
      throw config.unsupported(
          "conditioning_embedding_out_channels",
          network.embeddingChannels(),
          "as many numbers as make an image as small as a latent, which is a %dth along each side"
              .formatted(scaleFactor));
    }
    if (network.conditioningChannels() != CHANNELS) {
      throw config.unsupported(
          "conditioning_channels", network.conditioningChannels(), CHANNELS + "");
    }
    return network;
  }

  List<ControlNetConfig> networks() {
    return networks;
  }

  /**
   * A signature with what a request may say to them; to be added before what depends on it.
   *
   * @param scale of a request with a control image, by default
   * @param scaleText that, for people
   */
  Signature describe(Signature signature, String scaleText, Function<Arguments, Double> scale) {
    Signature images = signature;
    for (Parameter<Raster> image : IMAGES.subList(0, networks.size())) {
      images = images.optional(image);
    }
    if (union().isPresent()) {
      images = images.optional(Parameters.CONTROL_MODE);
    }
    return images
        .withDefault(
            Parameters.CONTROLNET_CONDITIONING_SCALE,
            scaleText + " with a control image",
            asked -> isIn(asked) ? new Numbers(scale.apply(asked)) : null)
        .withDefault(
            Parameters.CONTROL_GUIDANCE_START,
            "0 with a control image",
            asked -> isIn(asked) ? new Numbers(0) : null)
        .withDefault(
            Parameters.CONTROL_GUIDANCE_END,
            "1 with a control image",
            asked -> isIn(asked) ? new Numbers(1) : null)
        .withDefault(
            Parameters.GUESS_MODE, "0 with a control image", asked -> isIn(asked) ? 0L : null);
  }

  private Optional<ControlNetConfig.Union> union() {
    return networks.get(0).union();
  }

  /** Whether a request has a control image. */
  static boolean isIn(Arguments asked) {
    return first(asked) != null;
  }

  /**
   * The first control image of a request, whose size is the result's where nothing else says it.
   */
  static Raster first(Arguments asked) {
    for (Parameter<Raster> image : IMAGES) {
      if (asked.has(image)) {
        return asked.get(image);
      }
    }
    return null;
  }

  /**
   * @throws InvalidRequestException for settings that are about nothing, or do not fit each other
   */
  void check(GenerationRequest request) {
    if (!isIn(request.arguments())) {
      for (Parameter<?> setting : SETTINGS) {
        if (request.get(setting) != null) {
          throw new InvalidRequestException(
              "The request has a %s but no controlImage.".formatted(setting));
        }
      }
      return;
    }
    for (Parameter<Raster> image : IMAGES) {
      if (request.get(image) != null) {
        Sides.checkChannels(image, request.get(image), CHANNELS);
      }
    }
    union().ifPresent(each -> checkMode(each, request));
    checkCount(request, Parameters.CONTROLNET_CONDITIONING_SCALE);
    checkCount(request, Parameters.CONTROL_GUIDANCE_START);
    checkCount(request, Parameters.CONTROL_GUIDANCE_END);
    for (int i = 0; i < networks.size(); i++) {
      double start = of(request, Parameters.CONTROL_GUIDANCE_START, i);
      double end = of(request, Parameters.CONTROL_GUIDANCE_END, i);
      if (start >= end) {
        throw new InvalidRequestException(
            "controlGuidanceStart is %s and controlGuidanceEnd is %s; the start must be less than the end."
                .formatted(start, end));
      }
    }
    if (request.get(Parameters.SOURCE_PROMPT) != null) {
      throw new InvalidRequestException(
          "The request has a sourcePrompt and a controlImage; it may have one of both.");
    }
  }

  private static void checkMode(ControlNetConfig.Union union, GenerationRequest request) {
    Long mode = request.get(Parameters.CONTROL_MODE);
    if (mode == null || mode >= union.kinds()) {
      throw new InvalidRequestException(
          "controlMode is %s; with a controlImage, it must be a whole number from 0 to %d, which says what the image is."
              .formatted(mode == null ? "absent" : mode, union.kinds() - 1));
    }
    if (request.get(Parameters.GUESS_MODE) == 1) {
      throw new InvalidRequestException(
          "guessMode is 1; a ControlNet for several kinds of images knows no guess mode.");
    }
  }

  private void checkCount(GenerationRequest request, Parameter<Numbers> parameter) {
    int count = request.get(parameter).size();
    if (count != 1 && count != networks.size()) {
      throw new InvalidRequestException(
          "%s has %d numbers; it must have one, or one for each ControlNet of the model, %d."
              .formatted(parameter, count, networks.size()));
    }
  }

  private static double of(GenerationRequest request, Parameter<Numbers> parameter, int network) {
    Numbers numbers = request.get(parameter);
    return numbers.at(numbers.size() == 1 ? 0 : network);
  }

  /** A beginning whose rows have images and scales, which change where a share of steps ends. */
  Beginning of(GenerationRequest request, Beginning texts) {
    int calls = texts.state().plan().calls();
    List<float[]> images = new ArrayList<>();
    for (Parameter<Raster> image : IMAGES.subList(0, networks.size())) {
      Raster given = request.get(image);
      images.add(given == null ? NOTHING : Sides.resized(request, image).data());
    }
    List<Beginning.Lead> phases = new ArrayList<>();
    List<Boolean> active = active(request, images, 0, calls);
    for (int call = 1; call < calls; call++) {
      List<Boolean> next = active(request, images, call, calls);
      if (!next.equals(active)) {
        phases.add(
            new Beginning.Lead(call, conditions(request, texts.conditions(), images, active)));
        active = next;
      }
    }
    // The inversion of an image has a lead, and no control.
    return texts.conditioned(
        texts
            .lead()
            .map(
                lead ->
                    new Beginning.Lead(
                        lead.calls(), conditions(request, lead.conditions(), images, List.of()))),
        phases,
        conditions(request, texts.conditions(), images, active));
  }

  /** Which ControlNets take part in a call; none for a request without control. */
  private List<Boolean> active(
      GenerationRequest request, List<float[]> images, int call, int calls) {
    List<Boolean> active = new ArrayList<>();
    for (int i = 0; i < networks.size(); i++) {
      active.add(
          images.get(i) != NOTHING
              && (double) call / calls >= of(request, Parameters.CONTROL_GUIDANCE_START, i)
              && (double) (call + 1) / calls <= of(request, Parameters.CONTROL_GUIDANCE_END, i)
              && of(request, Parameters.CONTROLNET_CONDITIONING_SCALE, i) != 0);
    }
    return active;
  }

  /**
   * @param active by ControlNet; empty if none is
   */
  private Conditions conditions(
      GenerationRequest request, Conditions texts, List<float[]> images, List<Boolean> active) {
    boolean guesses = active.contains(true) && guesses(request);
    List<Object> controlled = new ArrayList<>();
    List<Object> free = new ArrayList<>();
    for (int i = 0; i < networks.size(); i++) {
      boolean acts = !active.isEmpty() && active.get(i);
      controlled.add(acts ? images.get(i) : NOTHING);
      if (union().isPresent()) {
        controlled.add(acts ? kind(request) : NOTHING);
        free.add(NOTHING);
      }
      controlled.add(acts ? scales(request, i, guesses) : NOTHING);
      free.add(NOTHING);
      free.add(NOTHING);
    }
    return texts.withRows(row -> row.and(guesses ? free : controlled), row -> row.and(controlled));
  }

  private float[] kind(GenerationRequest request) {
    float[] kind = new float[union().orElseThrow().kinds()];
    kind[Math.toIntExact(request.get(Parameters.CONTROL_MODE))] = 1;
    return kind;
  }

  /** As in the reference, the first ControlNet decides for all. */
  private boolean guesses(GenerationRequest request) {
    return request.get(Parameters.GUESS_MODE) == 1 || networks.get(0).pooled();
  }

  /** In guess mode from a tenth to all, evenly by their logarithms. */
  private float[] scales(GenerationRequest request, int network, boolean guesses) {
    double scale = of(request, Parameters.CONTROLNET_CONDITIONING_SCALE, network);
    float[] scales = new float[networks.get(network).residuals()];
    for (int i = 0; i < scales.length; i++) {
      double exponent = -1 + (double) i / (scales.length - 1);
      boolean falls = guesses && !networks.get(network).pooled();
      scales[i] = (float) (falls ? Math.pow(10, exponent) * scale : scale);
    }
    return scales;
  }
}
