/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.AddedFileException;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.Set;
import org.apache.flink.annotation.Internal;

/**
 * What an IP-Adapter's file is (Ye et al. 2023), which has no config: its tensors' names and shapes
 * say it, as diffusers reads them.
 *
 * @param projection how tokens come from an image
 * @param inputSize of the image encoder's vectors
 * @param tokens of one image; 0 where each vector of the image gives one
 * @param contextSize of a token
 * @param hiddenSize of the resampler's vectors, 0 for the others
 * @param heads of the resampler's attention, of 64 channels each; 0 for the others
 */
@Internal
public record IpAdapterShape(
    Projection projection, int inputSize, int tokens, int contextSize, int hiddenSize, int heads) {

  /** How tokens come from what the image encoder gives. */
  public enum Projection {
    /** The image's embedding gives all tokens by one linear layer. */
    LINEAR,
    /** Each hidden vector gives a token by two linear layers: those for whole faces. */
    FULL,
    /** Queries look at the hidden vectors: "plus". */
    RESAMPLER
  }

  /** Of a linear projection. */
  private static final int LINEAR_TOKENS = 4;

  static final int HEAD_SIZE = 64;

  /** Of a resampler; diffusers reads no other number. */
  static final int RESAMPLER_LAYERS = 4;

  private static final String AT = "image_proj.";

  /**
   * Reads an open file.
   *
   * @throws WeightsException if it is no IP-Adapter, or one of a kind that is not supported
   */
  public static IpAdapterShape from(TensorStore file) {
    Set<String> names = file.names();
    if (names.contains(AT + "proj.weight")) {
      long[] shape = shape(file, "proj.weight", 2);
      return new IpAdapterShape(
          Projection.LINEAR, size(shape[1]), LINEAR_TOKENS, size(shape[0] / LINEAR_TOKENS), 0, 0);
    }
    if (names.contains(AT + "proj.3.weight")) {
      return new IpAdapterShape(
          Projection.FULL,
          size(shape(file, "proj.0.weight", 2)[1]),
          0,
          size(shape(file, "proj.3.weight", 1)[0]),
          0,
          0);
    }
    if (names.contains(AT + "perceiver_resampler.proj_in.weight")
        || names.contains(AT + "proj.0.weight")) {
      throw new AddedFileException(
          "IP-Adapter %s is one of FaceID, which takes embeddings of faces; supported: ip-adapter, ip-adapter-plus and ip-adapter-full-face"
              .formatted(file.source()));
    }
    if (!names.contains(AT + "latents")) {
      throw new WeightsException(
          "File %s is no IP-Adapter: it has no tensor image_proj.proj.weight or image_proj.latents; it has %s"
              .formatted(file.source(), names.stream().limit(3).toList()));
    }
    return resampler(file);
  }

  private static IpAdapterShape resampler(TensorStore file) {
    if (!file.names().contains(AT + "layers." + (RESAMPLER_LAYERS - 1) + ".0.to_q.weight")
        || file.names().contains(AT + "layers." + RESAMPLER_LAYERS + ".0.to_q.weight")) {
      throw new AddedFileException(
          "IP-Adapter %s has a resampler of another depth, or under other names; supported: %d layers, the first one's query as image_proj.layers.0.0.to_q.weight"
              .formatted(file.source(), RESAMPLER_LAYERS));
    }
    long[] latents = shape(file, "latents", 3);
    return new IpAdapterShape(
        Projection.RESAMPLER,
        size(shape(file, "proj_in.weight", 2)[1]),
        size(latents[1]),
        size(shape(file, "proj_out.weight", 2)[0]),
        size(latents[2]),
        size(shape(file, "layers.0.0.to_q.weight", 2)[0] / HEAD_SIZE));
  }

  private static int size(long value) {
    return Math.toIntExact(value);
  }

  private static long[] shape(TensorStore file, String name, int rank) {
    long[] shape = file.info(AT + name).shape();
    if (shape.length != rank) {
      throw new AddedFileException(
          "IP-Adapter %s: tensor %s has %d dimensions; supported: %d"
              .formatted(file.source(), AT + name, shape.length, rank));
    }
    for (long side : shape) {
      if (side < 1 || side > ConfigValues.LARGEST_SIZE) {
        throw new AddedFileException(
            "IP-Adapter %s: a side of tensor %s is %d; supported: 1 to %d"
                .formatted(file.source(), AT + name, side, ConfigValues.LARGEST_SIZE));
      }
    }
    return shape;
  }

  /** Whether it sees the image's hidden vectors, and not its embedding. */
  public boolean seesHidden() {
    return projection != Projection.LINEAR;
  }

  /** Tokens of one image. */
  public int tokens(ClipVisionConfig vision) {
    return tokens == 0 ? vision.tokens() : tokens;
  }
}
