/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ControlledUNet;
import io.github.flinkdiffusion.ops.network.T2IAdapter;
import io.github.flinkdiffusion.ops.network.T2IAdapterConfig;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/**
 * The T2I-Adapters of a Stable Diffusion model, and the images that requests show to them:
 * diffusers' StableDiffusionAdapterPipeline and its relative of XL.
 *
 * <p>An image becomes features before the first step, which rows bring along; those of several
 * adapters are added up. A row without has none, so all kinds share network calls, and a call in
 * which none has any is one of the UNet alone.
 */
final class T2IAdapters {
  /** What a component may be: one network, or the first of several. */
  static final String[] CLASSES = {"T2IAdapter", "MultiAdapter"};

  private static final float[] NOTHING = new float[0];
  private static final float[] OPEN = {1};

  private static final List<Parameter<Raster>> IMAGES =
      List.of(
          Parameters.ADAPTER_IMAGE,
          Parameters.ADAPTER_IMAGE_2,
          Parameters.ADAPTER_IMAGE_3,
          Parameters.ADAPTER_IMAGE_4);

  private final List<T2IAdapterConfig> configs;
  private final List<Network> networks;

  /** Pixels along a side of one pixel of the latent. */
  private final int scaleFactor;

  /** Whether a factor of the steps ends them, as the reference's pipeline for XL has it. */
  private final boolean ends;

  private T2IAdapters(
      List<T2IAdapterConfig> configs, List<Network> networks, int scaleFactor, boolean ends) {
    this.configs = configs;
    this.networks = networks;
    this.scaleFactor = scaleFactor;
    this.ends = ends;
  }

  /** The component of an adapter in a model folder. */
  static String component(int adapter) {
    return adapter == 0 ? "adapter" : "adapter_" + adapter;
  }

  /**
   * A model's T2I-Adapters; empty where it has none.
   *
   * @param scaleFactor pixels along a side of one pixel of the latent
   * @param ends whether a request says in which share of the steps they act
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException for one that does not fit the
   *     UNet, or the others
   */
  static Optional<T2IAdapters> open(
      Components components, UNet2DConditionConfig unet, int scaleFactor, boolean ends) {
    List<T2IAdapterConfig> configs = new ArrayList<>();
    List<Network> networks = new ArrayList<>();
    while (components.folder().has(component(configs.size()))) {
      String component = component(configs.size());
      components.requireClass(component, CLASSES);
      if (configs.size() == IMAGES.size()) {
        throw components
            .folder()
            .config()
            .unsupported(component, component, "at most %d T2I-Adapters".formatted(IMAGES.size()));
      }
      Config config = components.config(component);
      T2IAdapterConfig adapter = T2IAdapterConfig.from(config);
      if (!ControlledUNet.fits(unet, adapter, scaleFactor)) {
        throw config.unsupported(
            "channels",
            adapter.channels(),
            "an adapter whose features have the UNet's block_out_channels (%s) and sizes; with this UNet and autoencoder, an adapter_type and a downscale_factor of its kind of model"
                .formatted(unet.blockOutChannels()));
      }
      if (!configs.isEmpty() && !adapter.features().equals(configs.get(0).features())) {
        throw config.unsupported(
            "channels", adapter.channels(), "features of the sizes that the first adapter's have");
      }
      configs.add(adapter);
      networks.add(components.load(component, new T2IAdapter(adapter).graph()));
    }
    return configs.isEmpty()
        ? Optional.empty()
        : Optional.of(new T2IAdapters(configs, networks, scaleFactor, ends));
  }

  /** Those of all of them, which are alike. */
  List<T2IAdapterConfig.Feature> features() {
    return configs.get(0).features();
  }

  /** How much smaller a feature's side is than the latent's. */
  int divisor(T2IAdapterConfig.Feature feature) {
    return feature.pixels() / scaleFactor;
  }

  /** A signature with what a request may show to them; before what depends on it. */
  Signature describe(Signature signature) {
    Signature images = signature;
    for (Parameter<Raster> image : IMAGES.subList(0, configs.size())) {
      images = images.optional(image);
    }
    Signature scaled =
        images.withDefault(
            Parameters.ADAPTER_CONDITIONING_SCALE,
            "1 with an adapterImage",
            asked -> isIn(asked) ? new Numbers(1) : null);
    return ends
        ? scaled.withDefault(
            Parameters.ADAPTER_CONDITIONING_FACTOR,
            "1 with an adapterImage",
            asked -> isIn(asked) ? 1.0 : null)
        : scaled;
  }

  /** Whether a request has an image for one of them. */
  static boolean isIn(Arguments asked) {
    return first(asked) != null;
  }

  /** The first image of a request, whose size is the result's where nothing else says it. */
  static Raster first(Arguments asked) {
    for (Parameter<Raster> image : IMAGES) {
      if (asked.has(image)) {
        return asked.get(image);
      }
    }
    return null;
  }

  /**
   * @throws InvalidRequestException for settings of nothing, or what does not go together
   */
  void check(GenerationRequest request) {
    if (!isIn(request.arguments())) {
      for (Parameter<?> setting :
          List.of(Parameters.ADAPTER_CONDITIONING_SCALE, Parameters.ADAPTER_CONDITIONING_FACTOR)) {
        if (request.get(setting) != null) {
          throw new InvalidRequestException(
              "The request has an %s but no adapterImage.".formatted(setting));
        }
      }
      return;
    }
    for (int i = 0; i < configs.size(); i++) {
      Raster image = request.get(IMAGES.get(i));
      if (image != null) {
        Sides.checkChannels(IMAGES.get(i), image, configs.get(i).inChannels());
      }
    }
    if (request.get(Parameters.IMAGE) != null) {
      throw new InvalidRequestException(
          "The request has an image and an adapterImage; it may have one of both.");
    }
    int count = request.get(Parameters.ADAPTER_CONDITIONING_SCALE).size();
    if (count != 1 && count != configs.size()) {
      throw new InvalidRequestException(
          "%s has %d numbers; it must have one, or one for each T2I-Adapter of the model, %d."
              .formatted(Parameters.ADAPTER_CONDITIONING_SCALE, count, configs.size()));
    }
    int multiple = configs.get(0).sideMultiple();
    if (request.width() % multiple != 0 || request.height() % multiple != 0) {
      throw new InvalidRequestException(
          "The image is to have %d x %d pixels; with an adapterImage, both sides must be multiples of %d."
              .formatted(request.width(), request.height(), multiple));
    }
  }

  /** A beginning whose rows have features, at first or always. */
  Beginning of(GenerationRequest request, Beginning beginning) {
    List<Object> nothing =
        new ArrayList<>(Collections.nCopies(features().size() + 1, (Object) NOTHING));
    List<float[]> sums = isIn(request.arguments()) ? sums(request) : List.of();
    Conditions free = beginning.conditions().withRows(row -> row.and(nothing));
    if (sums.isEmpty()) {
      return beginning.conditioned(
          beginning
              .lead()
              .map(
                  lead ->
                      new Beginning.Lead(
                          lead.calls(), lead.conditions().withRows(row -> row.and(nothing)))),
          beginning.phases(),
          free);
    }
    List<Object> shown = new ArrayList<>(sums);
    shown.add(OPEN);
    Conditions adapted = beginning.conditions().withRows(row -> row.and(shown));
    int end = end(request, beginning);
    if (end == 0) {
      return beginning.conditioned(beginning.lead(), beginning.phases(), free);
    }
    return end >= beginning.state().plan().calls()
        ? beginning.conditioned(beginning.lead(), beginning.phases(), adapted)
        : beginning.conditioned(beginning.lead(), List.of(new Beginning.Lead(end, adapted)), free);
  }

  /** The first call that they no longer act in: the reference counts calls, and not steps. */
  private int end(GenerationRequest request, Beginning beginning) {
    return ends
        ? (int)
            (request.get(Parameters.STEPS) * request.get(Parameters.ADAPTER_CONDITIONING_FACTOR))
        : beginning.state().plan().calls();
  }

  /** Of each feature, the sum over all adapters; empty where all scales are zero. */
  private List<float[]> sums(GenerationRequest request) {
    List<float[]> sums = new ArrayList<>();
    Numbers scales = request.get(Parameters.ADAPTER_CONDITIONING_SCALE);
    for (int i = 0; i < configs.size(); i++) {
      Raster image = request.get(IMAGES.get(i));
      float scale = (float) scales.at(scales.size() == 1 ? 0 : i);
      if (image == null || scale == 0) {
        continue;
      }
      Raster resized =
          image.width() == request.width() && image.height() == request.height()
              ? image
              : PilResize.resize(
                  image, request.height(), request.width(), PilResize.Filter.LANCZOS);
      float[] all =
          networks
              .get(i)
              .call(T2IAdapter.FORWARD, unshuffled(resized, configs.get(i).downscale()))
              .data();
      add(sums, all, scale, request);
    }
    return sums;
  }

  private void add(List<float[]> sums, float[] all, float scale, GenerationRequest request) {
    boolean first = sums.isEmpty();
    int at = 0;
    for (int i = 0; i < features().size(); i++) {
      T2IAdapterConfig.Feature feature = features().get(i);
      int size =
          feature.channels()
              * (request.width() / feature.pixels())
              * (request.height() / feature.pixels());
      if (first) {
        sums.add(new float[size]);
      }
      float[] sum = sums.get(i);
      for (int j = 0; j < size; j++) {
        sum[j] += scale * all[at + j];
      }
      at += size;
    }
  }

  /** Squares of pixels as channels, as torch's PixelUnshuffle has them. */
  private static HostTensor.Floats unshuffled(Raster image, int factor) {
    int height = image.height() / factor;
    int width = image.width() / factor;
    float[] data = new float[image.data().length];
    int at = 0;
    for (int c = 0; c < image.channels(); c++) {
      for (int dy = 0; dy < factor; dy++) {
        for (int dx = 0; dx < factor; dx++) {
          for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
              data[at++] = image.at(c, y * factor + dy, x * factor + dx);
            }
          }
        }
      }
    }
    return new HostTensor.Floats(data, 1, (long) image.channels() * factor * factor, height, width);
  }
}
