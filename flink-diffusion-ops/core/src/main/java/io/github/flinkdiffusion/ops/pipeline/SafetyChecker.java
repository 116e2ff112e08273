/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ClipVision;
import io.github.flinkdiffusion.ops.network.ClipVisionConfig;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Finds pictures that should not be shown, as diffusers' StableDiffusionSafetyChecker does: a
 * picture is compared, in the space that CLIP shares between texts and pictures, with concepts that
 * the model folder gives as vectors, each with a threshold of similarity.
 *
 * <p>There are two kinds. A picture that is closer to a concept than its threshold is flagged. A
 * picture that is close to a <em>special</em> one is not flagged for that, but all later thresholds
 * are lowered by 0.01 for it.
 */
final class SafetyChecker implements AutoCloseable {

  /** By how much thresholds are lowered once a special concept was found. */
  private static final float SHARPENING = 0.01f;

  private final ClipImageProcessor processor;
  private final Network network;
  private final Concepts special;
  private final Concepts concepts;

  private SafetyChecker(
      ClipImageProcessor processor, Network network, Concepts special, Concepts concepts) {
    this.processor = processor;
    this.network = network;
    this.special = special;
    this.concepts = concepts;
  }

  /**
   * Loads a checker onto the loader's device.
   *
   * @param checker a component of class StableDiffusionSafetyChecker
   * @param featureExtractor the component beside it, of class CLIPImageProcessor (formerly
   *     CLIPFeatureExtractor), that says how pictures are prepared
   * @param keepOpen takes the weights, and closes them when the loader's checks have been made
   * @throws WeightsException for weights that are missing or do not fit the config
   */
  static SafetyChecker open(
      ModelComponent checker,
      ModelComponent featureExtractor,
      NetworkLoader loader,
      Consumer<TensorStore> keepOpen) {
    ClipVisionConfig config = ClipVisionConfig.fromClip(checker.config());
    ClipImageProcessor processor =
        ClipImageProcessor.from(featureExtractor.config(), config.imageSize());
    TensorStore weights = TensorViews.withSingleVisionPrefix(checker.open());
    keepOpen.accept(weights);
    int size = config.projectionSize();
    Concepts special = Concepts.read(weights, "special_care_embeds", size);
    Concepts concepts = Concepts.read(weights, "concept_embeds", size);
    Network network = loader.load(checker.name(), new ClipVision(config).graph(), weights);
    return new SafetyChecker(processor, network, special, concepts);
  }

  /**
   * Judges pictures, in one network call. Device thread.
   *
   * @param pictures one at least, of any sizes, values 0..1; they are rounded to 256 levels first,
   *     as a viewer would see them
   */
  public List<SafetyVerdict> check(List<Raster> pictures) {
    HostTensor.Floats embeddings = network.call(ClipVision.FORWARD, processor.pixels(pictures));
    int size = embeddings.data().length / pictures.size();
    List<SafetyVerdict> verdicts = new ArrayList<>(pictures.size());
    for (int i = 0; i < pictures.size(); i++) {
      verdicts.add(judge(embeddings.data(), i * size));
    }
    return verdicts;
  }

  private SafetyVerdict judge(float[] embeddings, int offset) {
    float sharpening = 0;
    float[] specialScores = new float[special.count()];
    for (int i = 0; i < specialScores.length; i++) {
      specialScores[i] = special.score(i, embeddings, offset, sharpening);
      if (specialScores[i] > 0) {
        sharpening = SHARPENING;
      }
    }
    boolean flagged = false;
    float[] conceptScores = new float[concepts.count()];
    for (int i = 0; i < conceptScores.length; i++) {
      conceptScores[i] = concepts.score(i, embeddings, offset, sharpening);
      flagged |= conceptScores[i] > 0;
    }
    return new SafetyVerdict(flagged, specialScores, conceptScores);
  }

  @Override
  public void close() {
    network.close();
  }

  /**
   * Vectors of length 1 and the similarity beyond which a picture counts as close to each.
   *
   * @param directions one row of {@code size} values a concept
   */
  private record Concepts(float[][] directions, float[] thresholds) {

    static Concepts read(TensorStore weights, String name, int size) {
      float[] thresholds = weights.floats(name + "_weights");
      float[] rows = weights.floats(name);
      if (rows.length != thresholds.length * size) {
        throw new WeightsException(
            "Weights %s: tensor %s has %d values where %d concepts of projection_dim %d need %d"
                .formatted(
                    weights.source(),
                    name,
                    rows.length,
                    thresholds.length,
                    size,
                    thresholds.length * size));
      }
      float[][] directions = new float[thresholds.length][size];
      for (int i = 0; i < directions.length; i++) {
        double length = length(rows, i * size, size);
        for (int k = 0; k < size; k++) {
          directions[i][k] = (float) (rows[i * size + k] / length);
        }
      }
      return new Concepts(directions, thresholds);
    }

    int count() {
      return thresholds.length;
    }

    /** Similarity less threshold, rounded to thousandths: what the rounding makes 0 is no hit. */
    float score(int concept, float[] embeddings, int offset, float sharpening) {
      float[] direction = directions[concept];
      double length = length(embeddings, offset, direction.length);
      double cosine = 0;
      for (int k = 0; k < direction.length; k++) {
        cosine += direction[k] * (embeddings[offset + k] / length);
      }
      float score = (float) cosine - thresholds[concept] + sharpening;
      return (float) Math.rint(score * 1000f) / 1000f;
    }

    private static double length(float[] values, int offset, int size) {
      double squares = 0;
      for (int k = 0; k < size; k++) {
        squares += (double) values[offset + k] * values[offset + k];
      }
      // The reference's guard against a vector of zeros.
      return Math.max(Math.sqrt(squares), 1e-12);
    }
  }
}
