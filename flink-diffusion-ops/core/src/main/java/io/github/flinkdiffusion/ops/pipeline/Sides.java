/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;

/** Checks of sizes that several tasks make. */
final class Sides {
  /** Pixels of a side beyond which a request is a mistake rather than a wish. */
  private static final int MAX = 8192;

  private Sides() {}

  /** Width of the asked picture's image, or the fallback without one. */
  static long imageWidth(Arguments asked, long fallback) {
    Raster image = asked.get(Parameters.IMAGE);
    return image == null ? fallback : image.width();
  }

  /** Height of the asked picture's image, or the fallback without one. */
  static long imageHeight(Arguments asked, long fallback) {
    Raster image = asked.get(Parameters.IMAGE);
    return image == null ? fallback : image.height();
  }

  /**
   * The largest multiple of the factor that is not wider than the asked picture's image, without
   * one than its first control image, or the fallback without either: the reference makes an image
   * with other sides that much smaller first.
   */
  static long wholeWidth(Arguments asked, int factor, long fallback) {
    Raster image = sizing(asked);
    return image == null ? fallback : whole(asked, image.width(), factor);
  }

  /** The same for the height. */
  static long wholeHeight(Arguments asked, int factor, long fallback) {
    Raster image = sizing(asked);
    return image == null ? fallback : whole(asked, image.height(), factor);
  }

  private static Raster sizing(Arguments asked) {
    if (asked.has(Parameters.IMAGE)) {
      return asked.get(Parameters.IMAGE);
    }
    Raster control = Control.first(asked);
    return control == null ? T2IAdapters.first(asked) : control;
  }

  /** An image that has a mask, which is as large, or a place in a larger one, stays as it is. */
  private static long whole(Arguments asked, int side, int factor) {
    boolean fixed = asked.has(Parameters.MASK) || asked.has(Parameters.TILE_TOP_LEFT);
    return fixed || side < factor ? side : side - side % factor;
  }

  /**
   * The request's image as large as the picture, by Lanczos as the reference's VaeImageProcessor
   * does it.
   */
  static Raster resized(GenerationRequest request) {
    return resized(request, Parameters.IMAGE);
  }

  /** The same for another of its images. */
  static Raster resized(GenerationRequest request, Parameter<Raster> parameter) {
    Raster image = request.get(parameter);
    return image.width() == request.width() && image.height() == request.height()
        ? image
        : PilResize.resize(image, request.height(), request.width(), PilResize.Filter.LANCZOS);
  }

  /**
   * Checks that the image is as large as the picture to be made, or has been made smaller to a
   * multiple of the factor.
   *
   * @throws InvalidRequestException otherwise
   */
  static void checkWholeSize(GenerationRequest request, int factor) {
    if (request.width() != wholeWidth(request.arguments(), factor, 0)
        || request.height() != wholeHeight(request.arguments(), factor, 0)) {
      checkSameSize(Parameters.IMAGE, request.get(Parameters.IMAGE), request);
    }
  }

  /**
   * @param factor pixels that one pixel of the sample stands for
   * @throws InvalidRequestException unless both sides of the picture are multiples of it in range
   */
  static void checkPicture(GenerationRequest request, int factor) {
    checkPicture(request, factor, factor);
  }

  /**
   * @param factor pixels that one pixel of the sample stands for
   * @param least the smallest side, a multiple of the factor
   * @throws InvalidRequestException unless both sides of the picture are multiples of the factor in
   *     range
   */
  static void checkPicture(GenerationRequest request, int factor, int least) {
    check("width", request.width(), factor, least);
    check("height", request.height(), factor, least);
  }

  private static void check(String name, int side, int factor, int least) {
    if (side < least || side > MAX || side % factor != 0) {
      throw new InvalidRequestException(
          "%s is %d; it must be a multiple of %d from %d to %d."
              .formatted(name, side, factor, least, MAX));
    }
  }

  /**
   * @throws InvalidRequestException unless the image has that many channels
   */
  static void checkChannels(Parameter<Raster> parameter, Raster image, int channels) {
    if (image.channels() != channels) {
      throw new InvalidRequestException(
          "%s has %d channels; it must have %d.".formatted(parameter, image.channels(), channels));
    }
  }

  /**
   * @throws InvalidRequestException unless the image is as large as the picture to be made
   */
  static void checkSameSize(Parameter<Raster> parameter, Raster image, GenerationRequest request) {
    if (image.width() != request.width() || image.height() != request.height()) {
      throw new InvalidRequestException(
          "%s is %d x %d pixels; it must be as large as the result, %d x %d."
              .formatted(
                  parameter, image.width(), image.height(), request.width(), request.height()));
    }
  }

  /**
   * @param why there is one size only, such as "the model makes pictures of one size"
   * @throws InvalidRequestException unless exactly that size is asked for
   */
  static void checkFixed(GenerationRequest request, int width, int height, String why) {
    if (request.width() != width || request.height() != height) {
      throw new InvalidRequestException(
          "width and height are %d x %d; %s, %d x %d."
              .formatted(request.width(), request.height(), why, width, height));
    }
  }

  /** A signature that has the image, with the size of one so many times as large. */
  static Signature enlarged(Signature signature, int factor) {
    String told = factor + " times the image's";
    return signature
        .withDefault(Parameters.WIDTH, told, asked -> factor * imageWidth(asked, 0))
        .withDefault(Parameters.HEIGHT, told, asked -> factor * imageHeight(asked, 0));
  }

  /**
   * @throws InvalidRequestException unless exactly the image's size times the factor is asked for
   */
  static void checkEnlarged(GenerationRequest request, int factor) {
    Raster image = request.get(Parameters.IMAGE);
    checkFixed(
        request,
        factor * image.width(),
        factor * image.height(),
        "the result is " + factor + " times as large as the image");
  }
}
