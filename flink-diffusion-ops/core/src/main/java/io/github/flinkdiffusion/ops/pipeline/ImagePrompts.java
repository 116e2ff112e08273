/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ClipVisionConfig;
import io.github.flinkdiffusion.ops.network.IpAdapterProjection;
import io.github.flinkdiffusion.ops.network.IpAdapterShape;
import io.github.flinkdiffusion.ops.network.IpAdapters;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.AddedFileException;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The IP-Adapters of a Stable Diffusion model, and the images that requests show to them:
 * diffusers' {@code load_ip_adapter}. One adapter sees all of a request's images; of several, each
 * sees the image of its number.
 *
 * <p>An image becomes tokens before the first step. A row brings them along with a scale, which is
 * zero where it shows an adapter nothing; so requests with and without images share network calls,
 * and a call in which none has any is one of the UNet alone.
 */
final class ImagePrompts {
  /** The image encoder's component. */
  private static final String ENCODER = "image_encoder";

  private static final List<Parameter<Raster>> IMAGES =
      List.of(
          Parameters.IP_ADAPTER_IMAGE,
          Parameters.IP_ADAPTER_IMAGE_2,
          Parameters.IP_ADAPTER_IMAGE_3,
          Parameters.IP_ADAPTER_IMAGE_4);

  /** What requests may say of them. */
  static final List<Parameter<?>> PARAMETERS =
      Stream.<Parameter<?>>concat(IMAGES.stream(), Stream.of(Parameters.IP_ADAPTER_SCALE)).toList();

  private static final float[] ZERO = {0};

  private final List<IpAdapterShape> adapters;
  private final ClipVisionConfig vision;
  private final ClipImageProcessor processor;
  private final Network encoder;

  /** What an adapter sees in a row without guidance of its image; made when first needed. */
  private final List<float[]> blank = new ArrayList<>();

  private ImagePrompts(
      List<IpAdapterShape> adapters,
      ClipVisionConfig vision,
      ClipImageProcessor processor,
      Network encoder) {
    this.adapters = adapters;
    this.vision = vision;
    this.processor = processor;
    this.encoder = encoder;
    this.blank.addAll(Collections.nCopies(adapters.size(), null));
  }

  /**
   * A model's IP-Adapters; empty where it has none.
   *
   * @throws WeightsException for one that does not fit the UNet or the image encoder
   */
  static Optional<ImagePrompts> open(Components components, UNet2DConditionConfig unet) {
    int count = components.ipAdapters();
    if (count == 0) {
      return Optional.empty();
    }
    if (!IpAdapters.takesAny(unet)) {
      throw components
          .config("unet")
          .unsupported(
              "encoder_hid_dim_type, attention_type, only_cross_attention or down_block_types",
              "others",
              "for IP-Adapters a UNet of DownBlock2D, CrossAttnDownBlock2D, UpBlock2D and"
                  + " CrossAttnUpBlock2D that sees texts alone, with attention of the image to"
                  + " itself");
    }
    if (count > IMAGES.size()) {
      throw new AddedFileException(
          "%d IP-Adapters are to be loaded; supported: up to %d".formatted(count, IMAGES.size()));
    }
    ClipVisionConfig vision =
        ClipVisionConfig.from(components.config(ENCODER, "CLIPVisionModelWithProjection"));
    List<IpAdapterShape> adapters = new ArrayList<>();
    List<String> names = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      names.add(IpAdapters.component(i));
      try (TensorStore file = components.folder().component(names.get(i)).open()) {
        adapters.add(fitting(file, unet, vision));
      }
    }
    Network encoder =
        components.loadJoined(ENCODER, names, new IpAdapterProjection(vision, adapters).graph());
    return Optional.of(new ImagePrompts(adapters, vision, processor(components, vision), encoder));
  }

  private static IpAdapterShape fitting(
      TensorStore file, UNet2DConditionConfig unet, ClipVisionConfig vision) {
    IpAdapterShape adapter = IpAdapterShape.from(file);
    if (!IpAdapters.fits(unet, adapter)) {
      throw new AddedFileException(
          "IP-Adapter %s gives tokens of %d numbers; the UNet's cross_attention_dim is %d. It is for another kind of model"
              .formatted(file.source(), adapter.contextSize(), unet.crossAttentionDim()));
    }
    int given = adapter.seesHidden() ? vision.hiddenSize() : vision.projectionSize();
    if (adapter.inputSize() != given) {
      throw new AddedFileException(
          "IP-Adapter %s takes vectors of %d numbers; the image encoder's %s is %d. Set diffusion.model.image-encoder to the encoder that it was trained with"
              .formatted(
                  file.source(),
                  adapter.inputSize(),
                  adapter.seesHidden() ? "hidden_size" : "projection_dim",
                  given));
    }
    return adapter;
  }

  /** A model without one has CLIP's, as in the reference. */
  private static ClipImageProcessor processor(Components components, ClipVisionConfig vision) {
    if (components.folder().componentNames().contains("feature_extractor")) {
      return ClipImageProcessor.from(
          components.config("feature_extractor", ClipImageProcessor.CLASSES), vision.imageSize());
    }
    return ClipImageProcessor.from(
        Config.of(
            "of the IP-Adapters",
            JsonNodeFactory.instance
                .objectNode()
                .put("size", vision.imageSize())
                .put("crop_size", vision.imageSize())),
        vision.imageSize());
  }

  List<IpAdapterShape> adapters() {
    return adapters;
  }

  /** Images that a request may have. */
  private List<Parameter<Raster>> images() {
    return adapters.size() == 1 ? IMAGES : IMAGES.subList(0, adapters.size());
  }

  /** A signature with what a request may show to them. */
  Signature describe(Signature signature) {
    Signature described = signature;
    for (Parameter<Raster> image : images()) {
      described = described.optional(image);
    }
    return described.withDefault(
        Parameters.IP_ADAPTER_SCALE,
        "1 with an ipAdapterImage",
        asked -> IMAGES.stream().anyMatch(asked::has) ? new Numbers(1) : null);
  }

  private boolean isIn(GenerationRequest request) {
    return images().stream().anyMatch(image -> request.get(image) != null);
  }

  /**
   * @throws InvalidRequestException for a scale of nothing, or images that cannot be shown
   */
  void check(GenerationRequest request) {
    if (!isIn(request)) {
      if (request.get(Parameters.IP_ADAPTER_SCALE) != null) {
        throw new InvalidRequestException(
            "The request has a %s but no ipAdapterImage.".formatted(Parameters.IP_ADAPTER_SCALE));
      }
      return;
    }
    for (Parameter<Raster> image : images()) {
      if (request.get(image) != null) {
        check(image, request.get(image));
      }
    }
    int scales = request.get(Parameters.IP_ADAPTER_SCALE).size();
    if (scales != 1 && scales != adapters.size()) {
      throw new InvalidRequestException(
          "%s has %d numbers; it must have one, or one for each IP-Adapter of the model, %d."
              .formatted(Parameters.IP_ADAPTER_SCALE, scales, adapters.size()));
    }
    if (request.get(Parameters.SOURCE_PROMPT) != null) {
      throw new InvalidRequestException(
          "The request has a sourcePrompt and an ipAdapterImage; it may have one of both.");
    }
  }

  private void check(Parameter<Raster> image, Raster given) {
    Sides.checkChannels(image, given, vision.channels());
    try {
      processor.check(given);
    } catch (ImageException e) {
      throw new InvalidRequestException("%s: %s".formatted(image, e.getMessage()));
    }
  }

  /** Beginnings whose rows have tokens and scales. All images are encoded together. */
  List<Beginning> of(List<GenerationRequest> requests, List<Beginning> beginnings) {
    List<Raster> all = new ArrayList<>();
    List<List<List<Integer>>> seen = new ArrayList<>();
    for (GenerationRequest request : requests) {
      List<List<Integer>> own = new ArrayList<>();
      for (int i = 0; i < adapters.size(); i++) {
        own.add(new ArrayList<>());
      }
      for (int i = 0; i < images().size(); i++) {
        Raster image = request.get(images().get(i));
        if (image != null) {
          own.get(adapters.size() == 1 ? 0 : i).add(all.size());
          all.add(image);
        }
      }
      seen.add(own);
    }
    Encoded encoded = all.isEmpty() ? null : encoded(all);
    List<Beginning> shown = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      shown.add(of(requests.get(i), beginnings.get(i), encoded, seen.get(i)));
    }
    return shown;
  }

  /**
   * Of all images.
   *
   * @param embeddings null where no adapter needs them, as the hidden vectors
   */
  private record Encoded(HostTensor.Floats embeddings, HostTensor.Floats hidden) {
    HostTensor.Floats of(IpAdapterShape adapter) {
      return adapter.seesHidden() ? hidden : embeddings;
    }
  }

  private Encoded encoded(List<Raster> images) {
    return encoded(processor.pixels(images));
  }

  private Encoded encoded(HostTensor.Floats pixels) {
    return new Encoded(
        adapters.stream().allMatch(IpAdapterShape::seesHidden)
            ? null
            : encoder.call(IpAdapterProjection.EMBEDDING, pixels),
        adapters.stream().anyMatch(IpAdapterShape::seesHidden)
            ? encoder.call(IpAdapterProjection.HIDDEN, pixels)
            : null);
  }

  /** The images of those numbers alone, for one adapter. */
  private static HostTensor.Floats picked(HostTensor.Floats all, List<Integer> numbers) {
    long[] shape = all.shape().clone();
    int size = all.data().length / Math.toIntExact(shape[0]);
    float[] data = new float[numbers.size() * size];
    for (int i = 0; i < numbers.size(); i++) {
      System.arraycopy(all.data(), numbers.get(i) * size, data, i * size, size);
    }
    shape[0] = numbers.size();
    return new HostTensor.Floats(data, shape);
  }

  private Beginning of(
      GenerationRequest request, Beginning beginning, Encoded encoded, List<List<Integer>> seen) {
    List<Object> shown = new ArrayList<>();
    List<Object> unguided = new ArrayList<>();
    for (int i = 0; i < adapters.size(); i++) {
      List<Integer> images = seen.get(i);
      double scale = images.isEmpty() ? 0 : scale(request, i);
      if (scale == 0) {
        List<Object> nothing = List.of(new float[adapters.get(i).contextSize()], ZERO, ZERO);
        shown.addAll(nothing);
        unguided.addAll(nothing);
        continue;
      }
      float[] tokens =
          encoder
              .call(IpAdapterProjection.tokens(i), picked(encoded.of(adapters.get(i)), images))
              .data();
      float[] there = new float[tokens.length / adapters.get(i).contextSize()];
      Arrays.fill(there, 1);
      List<Object> weight = List.of(there, new float[] {(float) scale});
      shown.add(tokens);
      shown.addAll(weight);
      unguided.add(repeated(blank(i), images.size()));
      unguided.addAll(weight);
    }
    return beginning.conditioned(
        beginning
            .lead()
            .map(
                lead -> new Beginning.Lead(lead.calls(), with(lead.conditions(), unguided, shown))),
        beginning.phases().stream()
            .map(
                phase ->
                    new Beginning.Lead(phase.calls(), with(phase.conditions(), unguided, shown)))
            .toList(),
        with(beginning.conditions(), unguided, shown));
  }

  private static Conditions with(Conditions conditions, List<Object> unguided, List<Object> shown) {
    return conditions.withRows(row -> row.and(unguided), row -> row.and(shown));
  }

  private static float[] repeated(float[] values, int times) {
    float[] all = new float[values.length * times];
    IntStream.range(0, times)
        .forEach(i -> System.arraycopy(values, 0, all, i * values.length, values.length));
    return all;
  }

  private static double scale(GenerationRequest request, int adapter) {
    Numbers scales = request.get(Parameters.IP_ADAPTER_SCALE);
    return scales.at(scales.size() == 1 ? 0 : adapter);
  }

  /** The tokens of an unguided row: of an embedding of zeros, or of an image of zeros. */
  private float[] blank(int adapter) {
    if (blank.get(adapter) == null) {
      IpAdapterShape config = adapters.get(adapter);
      HostTensor.Floats given;
      if (config.seesHidden()) {
        int side = vision.imageSize();
        given =
            encoder.call(
                IpAdapterProjection.HIDDEN,
                new HostTensor.Floats(
                    new float[vision.channels() * side * side], 1, vision.channels(), side, side));
      } else {
        given = new HostTensor.Floats(new float[config.inputSize()], 1, config.inputSize());
      }
      blank.set(adapter, encoder.call(IpAdapterProjection.tokens(adapter), given).data());
    }
    return blank.get(adapter);
  }
}
