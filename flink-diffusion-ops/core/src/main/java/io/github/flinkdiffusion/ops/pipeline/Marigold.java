/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * How far away everything in a picture is, or which way its surfaces look: diffusers'
 * MarigoldDepthPipeline and MarigoldNormalsPipeline (Ke et al. 2024). The encoded picture comes
 * before the noisy latent, and the text is empty.
 *
 * <p>The network works at {@code processingResolution}, the longer side in pixels, and what it says
 * is brought to the picture's size by a bilinear filter. Depths are 0..1; those of a model that
 * does not know scale and shift are comparable within a picture alone. Normals are unit vectors
 * whose numbers -1..1 are 0..1 here.
 */
final class Marigold implements LatentTask {
  private static final double LEAST_LENGTH = 1e-6;

  private final boolean normals;
  private final boolean halfZ;
  private final DepthFreedom freedom;
  private final Parts parts;
  private final PromptEncoder prompts;

  private Marigold(Components components, boolean normals) {
    this.normals = normals;
    Config index = components.folder().config();
    List<String> known = normals ? List.of("normals") : List.of("depth", "disparity");
    String type = index.string("prediction_type", known.get(0));
    if (!known.contains(type)) {
      throw index.unsupported("prediction_type", type, String.join(", ", known));
    }
    this.freedom = freedom(index);
    this.halfZ = normals && !index.flag("use_full_z_range", true);
    SamplingPlans plans = SamplingPlans.open(components);
    Config config = components.config("unet", "UNet2DConditionModel");
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(config);
    UNetConditions.textAlone(config);
    UNetConditions.anySide(config, unet);
    this.prompts = PromptEncoder.open(components);
    UNetConditions.fits(config, unet, prompts);
    Denoiser denoiser =
        Denoiser.of(
                components.load("unet", new UNet2DCondition(unet).graph()),
                Denoiser.Input.floats(PromptEncoder.EMPTY_LENGTH, prompts.hiddenSize()))
            .appendedFirst();
    Autoencoder autoencoder = Autoencoder.open(components);
    UNetConditions.channels(config, unet, autoencoder, autoencoder.format().latentChannels());
    Signature image =
        Signature.of(normals ? "MarigoldNormalsPipeline" : "MarigoldDepthPipeline")
            .required(Parameters.IMAGE);
    Signature steps = declared(image, Parameters.STEPS, index, "default_denoising_steps");
    Signature signature =
        declared(steps, Parameters.PROCESSING_RESOLUTION, index, "default_processing_resolution")
            .withDefault(Parameters.SCHEDULER, plans.own())
            .optional(Parameters.TEMPERATURE)
            .withDefault(Parameters.WIDTH, "the image's", asked -> Sides.imageWidth(asked, 0))
            .withDefault(Parameters.HEIGHT, "the image's", asked -> Sides.imageHeight(asked, 0));
    this.parts =
        new Parts(
            new Description(signature, autoencoder.format().inChannels(), Optional.empty()),
            components,
            plans,
            denoiser,
            Optional.of(autoencoder));
  }

  static Task openDepth(Components components) {
    return new Marigold(components, false);
  }

  static Task openNormals(Components components) {
    return new Marigold(components, true);
  }

  private static DepthFreedom freedom(Config index) {
    boolean scale = index.flag("scale_invariant", true);
    boolean shift = index.flag("shift_invariant", true);
    if (shift && !scale) {
      throw index.unsupported(
          "shift_invariant", true, "false where scale_invariant is, as diffusers has it");
    }
    return shift ? DepthFreedom.SCALE_AND_SHIFT : scale ? DepthFreedom.SCALE : DepthFreedom.NONE;
  }

  /** A value that a folder does not have is each request's to say, as in diffusers. */
  private static Signature declared(
      Signature signature, Parameter<Long> parameter, Config index, String key) {
    if (!index.has(key)) {
      return signature.required(parameter);
    }
    long value = index.integer(key);
    return signature.withDefault(parameter, "the model's", asked -> value);
  }

  @Override
  public Parts parts() {
    return parts;
  }

  @Override
  public ResultMeaning result(Arguments request) {
    return normals ? ResultMeaning.NORMALS : ResultMeaning.depth(freedom);
  }

  @Override
  public String name(Arguments request) {
    return normals ? "normals" : "depth";
  }

  @Override
  public GenerationRequest check(GenerationRequest request) {
    Raster image = request.get(Parameters.IMAGE);
    Sides.checkChannels(Parameters.IMAGE, image, autoencoder().format().inChannels());
    Sides.checkPicture(request, 1);
    Sides.checkFixed(request, image.width(), image.height(), "the result is as large as the image");
    long resolution = request.get(Parameters.PROCESSING_RESOLUTION);
    int factor = autoencoder().format().scaleFactor();
    if (resolution % factor != 0) {
      throw new InvalidRequestException(
          "processingResolution is %d; it must be a multiple of %d, or 0."
              .formatted(resolution, factor));
    }
    Processing size = Processing.of(image, resolution, factor);
    if (size.width() < 1 || size.height() < 1) {
      throw new InvalidRequestException(
          "image is %d x %d pixels, too narrow for a processingResolution of %d."
              .formatted(image.width(), image.height(), resolution));
    }
    return request;
  }

  /**
   * The size at which a picture is worked on.
   *
   * @param width of the resized picture
   * @param height of the resized picture
   * @param paddedWidth with the margin that makes it a multiple of a latent pixel
   * @param paddedHeight with that margin
   */
  private record Processing(int width, int height, int paddedWidth, int paddedHeight) {
    static Processing of(Raster image, long resolution, int factor) {
      int longer = Math.max(image.width(), image.height());
      long scale = resolution == 0 ? longer : resolution;
      int width = (int) (image.width() * scale / longer);
      int height = (int) (image.height() * scale / longer);
      return new Processing(width, height, up(width, factor), up(height, factor));
    }

    private static int up(int side, int factor) {
      return (side + factor - 1) / factor * factor;
    }

    /** The picture at that size, continued by its last row and column. */
    Raster prepared(Raster image) {
      Raster resized = FloatResize.resize(image, height, width, PilResize.Filter.BILINEAR);
      if (width == paddedWidth && height == paddedHeight) {
        return resized;
      }
      float[] padded = new float[image.channels() * paddedHeight * paddedWidth];
      int to = 0;
      for (int c = 0; c < image.channels(); c++) {
        for (int y = 0; y < paddedHeight; y++) {
          for (int x = 0; x < paddedWidth; x++) {
            padded[to++] = resized.at(c, Math.min(y, height - 1), Math.min(x, width - 1));
          }
        }
      }
      return new Raster(image.channels(), paddedHeight, paddedWidth, padded);
    }
  }

  private Processing processing(GenerationRequest request) {
    return Processing.of(
        request.get(Parameters.IMAGE),
        request.get(Parameters.PROCESSING_RESOLUTION),
        autoencoder().format().scaleFactor());
  }

  @Override
  public List<Conditions> conditions(List<GenerationRequest> requests) {
    Row empty = Row.of((Object) prompts.encodeEmpty());
    List<Raster> images = new ArrayList<>();
    for (GenerationRequest request : requests) {
      images.add(processing(request).prepared(request.get(Parameters.IMAGE)));
    }
    return autoencoder().encode(images).stream()
        .map(moments -> Conditions.of(empty.with(moments.mode())))
        .toList();
  }

  /** Of the size that the network works at, not of the result's. */
  @Override
  public Optional<SampleShape> shape(GenerationRequest request) {
    Processing size = processing(request);
    return Optional.of(autoencoder().latent(size.paddedWidth(), size.paddedHeight()));
  }

  @Override
  public long encodedPixels(GenerationRequest request) {
    Processing size = processing(request);
    return (long) size.paddedWidth() * size.paddedHeight();
  }

  @Override
  public HostTensor.Floats decode(List<Sample> done) {
    GenerationRequest first = done.get(0).request();
    return stacked(
        decoded(done).stream()
            .map(predicted -> result(predicted, processing(first), first))
            .toList());
  }

  @Override
  public HostTensor.Floats decodePreview(List<Sample> rough) {
    return stacked(decoded(rough).stream().map(this::told).toList());
  }

  /** What the autoencoder makes of the samples, 0..1, for each of them. */
  private List<Raster> decoded(List<Sample> samples) {
    HostTensor.Floats all = autoencoder().decode(samples);
    int channels = (int) all.shape()[1];
    int height = (int) all.shape()[2];
    int width = (int) all.shape()[3];
    int size = channels * height * width;
    List<Raster> pictures = new ArrayList<>();
    for (int i = 0; i < samples.size(); i++) {
      float[] values = Arrays.copyOfRange(all.data(), i * size, (i + 1) * size);
      pictures.add(predicted(new Raster(channels, height, width, values)));
    }
    return pictures;
  }

  /** A decoded picture as the prediction: one channel of depths 0..1, or unit vectors. */
  private Raster predicted(Raster decoded) {
    int plane = decoded.height() * decoded.width();
    if (normals) {
      float[] vectors = new float[3 * plane];
      for (int i = 0; i < vectors.length; i++) {
        float value = Math.min(1, Math.max(-1, 2 * decoded.data()[i] - 1));
        vectors[i] = halfZ && i >= 2 * plane ? value / 2 + 0.5f : value;
      }
      return unit(new Raster(3, decoded.height(), decoded.width(), vectors));
    }
    float[] depths = new float[plane];
    for (int i = 0; i < plane; i++) {
      float sum = 0;
      for (int c = 0; c < decoded.channels(); c++) {
        sum += decoded.data()[c * plane + i];
      }
      depths[i] = Math.min(1, Math.max(0, sum / decoded.channels()));
    }
    return new Raster(1, decoded.height(), decoded.width(), depths);
  }

  private Raster result(Raster predicted, Processing size, GenerationRequest request) {
    Raster inside = predicted.crop(new Window(0, 0, size.width(), size.height()));
    Raster whole = FloatResize.interpolate(inside, request.height(), request.width());
    return told(normals ? unit(whole) : whole);
  }

  /** Vectors as a picture's values. */
  private Raster told(Raster prediction) {
    if (!normals) {
      return prediction;
    }
    float[] values = prediction.data().clone();
    for (int i = 0; i < values.length; i++) {
      values[i] = values[i] / 2 + 0.5f;
    }
    return new Raster(3, prediction.height(), prediction.width(), values);
  }

  private static Raster unit(Raster vectors) {
    int plane = vectors.height() * vectors.width();
    float[] units = vectors.data().clone();
    for (int i = 0; i < plane; i++) {
      double x = units[i];
      double y = units[plane + i];
      double z = units[2 * plane + i];
      double length = Math.max(LEAST_LENGTH, Math.sqrt(x * x + y * y + z * z));
      units[i] = (float) (x / length);
      units[plane + i] = (float) (y / length);
      units[2 * plane + i] = (float) (z / length);
    }
    return new Raster(3, vectors.height(), vectors.width(), units);
  }

  private static HostTensor.Floats stacked(List<Raster> pictures) {
    Raster first = pictures.get(0);
    int size = first.data().length;
    float[] all = new float[pictures.size() * size];
    for (int i = 0; i < pictures.size(); i++) {
      System.arraycopy(pictures.get(i).data(), 0, all, i * size, size);
    }
    return new HostTensor.Floats(
        all, pictures.size(), first.channels(), first.height(), first.width());
  }
}
