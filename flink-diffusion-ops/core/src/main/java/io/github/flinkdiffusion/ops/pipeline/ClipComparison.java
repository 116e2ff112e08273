/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.Clip;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.ClipVisionConfig;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.ArrayList;
import java.util.List;

/**
 * transformers' CLIPModel: how well images and texts fit together. Both become directions, whose
 * cosine says it. Device thread.
 */
final class ClipComparison {
  private static final String MODEL = "model";

  private final ClipVisionConfig vision;
  private final ClipImageProcessor processor;
  private final ClipTokenizer tokenizer;
  private final Network network;
  private final double scale;

  /**
   * @param components which close the network
   */
  ClipComparison(ModelFolder model, Components components) {
    Config json = components.config(MODEL);
    this.vision = ClipVisionConfig.fromClip(json);
    this.processor =
        ClipImageProcessor.from(
            components.config("image_processor", ClipImageProcessor.CLASSES), vision.imageSize());
    components.requireClass("tokenizer", "CLIPTokenizer", "CLIPTokenizerFast");
    this.tokenizer = ClipTokenizer.load(model.component("tokenizer"));
    ClipTextConfig text = ClipTextConfig.fromClip(json);
    if (tokenizer.maxLength() > text.maxPositions()
        || tokenizer.vocabularySize() > text.vocabSize()) {
      throw json.unsupported(
          "text_config",
          "%d positions, %d tokens".formatted(text.maxPositions(), text.vocabSize()),
          "at least the tokenizer's %d and %d"
              .formatted(tokenizer.maxLength(), tokenizer.vocabularySize()));
    }
    this.scale = scale(model);
    this.network = components.load(MODEL, new Clip(vision, text).graph(tokenizer.maxLength()));
  }

  /** The learned factor of cosines is stored as its logarithm. */
  private static double scale(ModelFolder model) {
    try (TensorStore weights = model.component(MODEL).open()) {
      TensorInfo info = weights.info("logit_scale");
      if (info.elements() != 1) {
        throw new WeightsException(
            "Weights %s: tensor logit_scale has %d elements; expected one"
                .formatted(weights.source(), info.elements()));
      }
      return Math.exp(weights.floats("logit_scale")[0]);
    }
  }

  /** Pixels of an image that the network sees. */
  long imagePixels() {
    return (long) vision.imageSize() * vision.imageSize();
  }

  /**
   * @throws ImageException for an image that the network does not take
   */
  void check(Raster image) {
    processor.check(image);
  }

  /** Most tokens of a text, its start and its end among them. */
  int maxTokens() {
    return tokenizer.maxLength();
  }

  /** Tokens of a text, however many, with its start and its end. */
  int tokens(String text) {
    return tokenizer.tokens(text).length + 2;
  }

  /** Of each image its direction, of length one. */
  List<double[]> images(List<Raster> images) {
    return directions(network.call(Clip.IMAGES, processor.pixels(images)));
  }

  /** Of each text its direction, of length one; what is too long loses its end. */
  List<double[]> texts(List<String> texts) {
    int length = tokenizer.maxLength();
    long[] ids = new long[texts.size() * length];
    for (int i = 0; i < texts.size(); i++) {
      int[] encoded = tokenizer.encode(texts.get(i)).ids();
      for (int j = 0; j < length; j++) {
        ids[i * length + j] = encoded[j];
      }
    }
    return directions(network.call(Clip.TEXTS, new HostTensor.Longs(ids, texts.size(), length)));
  }

  private static List<double[]> directions(HostTensor.Floats embeddings) {
    int count = (int) embeddings.shape()[0];
    int size = embeddings.data().length / count;
    List<double[]> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      double[] row = new double[size];
      double squares = 0;
      for (int k = 0; k < size; k++) {
        row[k] = embeddings.data()[i * size + k];
        squares += row[k] * row[k];
      }
      for (int k = 0; k < size; k++) {
        row[k] /= Math.sqrt(squares);
      }
      rows.add(row);
    }
    return rows;
  }

  /** transformers' {@code logits_per_image} of one image. */
  double[] scores(double[] image, List<double[]> texts) {
    double[] scores = new double[texts.size()];
    for (int i = 0; i < scores.length; i++) {
      for (int k = 0; k < image.length; k++) {
        scores[i] += scale * image[k] * texts.get(i)[k];
      }
    }
    return scores;
  }

  static float[] softmax(double[] scores) {
    double largest = Double.NEGATIVE_INFINITY;
    for (double score : scores) {
      largest = Math.max(largest, score);
    }
    double sum = 0;
    for (double score : scores) {
      sum += Math.exp(score - largest);
    }
    float[] shares = new float[scores.length];
    for (int i = 0; i < shares.length; i++) {
      shares[i] = (float) (Math.exp(scores[i] - largest) / sum);
    }
    return shares;
  }
}
