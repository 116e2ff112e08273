/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.ClipTextProjection;
import io.github.flinkdiffusion.ops.network.ClipVision;
import io.github.flinkdiffusion.ops.network.ClipVisionConfig;
import io.github.flinkdiffusion.ops.network.VitClassifier;
import io.github.flinkdiffusion.ops.network.VitConfig;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.flink.annotation.Internal;

/**
 * Says what images show, by a folder as transformers writes it: {@code ViTForImageClassification},
 * whose classes are in its config, or {@code CLIPModel}, which compares images with texts
 * (zero-shot). Not thread-safe.
 *
 * <pre>{@code
 * try (ImageClassifier faces = ImageClassifier.open(folder, List.of(), DeviceSpec.CPU)) {
 *   float[] shares = faces.shares(List.of(image)).get(0);
 * }
 * }</pre>
 */
@Internal
public final class ImageClassifier implements AutoCloseable {
  private static final String VIT = "ViTForImageClassification";
  private static final String CLIP = "CLIPModel";
  private static final String[] VIT_PROCESSORS = {
    "ViTImageProcessor", "ViTFeatureExtractor", "ViTImageProcessorFast", "ViTImageProcessorPil"
  };

  private final ModelFolder folder;
  private final ModelCheck check;
  private final Components components;
  private final ClipImageProcessor processor;
  private final Network network;
  private final String method;
  private final List<String> labels;

  /** Directions of the texts, for CLIP; empty for others. */
  private final List<double[]> texts;

  /** Factor of the cosines, for CLIP. */
  private final double scale;

  private ImageClassifier(
      ModelFolder folder,
      ModelCheck check,
      Components components,
      ClipImageProcessor processor,
      Network network,
      String method,
      List<String> labels,
      List<double[]> texts,
      double scale) {
    this.folder = folder;
    this.check = check;
    this.components = components;
    this.processor = processor;
    this.network = network;
    this.method = method;
    this.labels = labels;
    this.texts = texts;
    this.scale = scale;
  }

  /**
   * Loads a classifier.
   *
   * @param folder as transformers writes it
   * @param texts one for each class, for CLIP; none for a classifier with classes of its own
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException naming the file and key that is
   *     missing, damaged or not supported
   * @throws IllegalArgumentException for texts where none are taken, or none where they are needed
   */
  public static ImageClassifier open(Path folder, List<String> texts, DeviceSpec device) {
    ModelFolder model = ModelFolder.open(folder);
    String kind = model.pipelineClass();
    if (!Set.of(VIT, CLIP).contains(kind)) {
      throw model.config().unsupported("architectures", kind, VIT + " or " + CLIP);
    }
    if (kind.equals(CLIP) == texts.isEmpty()) {
      throw new IllegalArgumentException(
          kind.equals(CLIP)
              ? "The classifier %s is a CLIP, which compares images with texts; none are given"
                  .formatted(folder)
              : "The classifier %s has classes of its own; texts are taken by CLIP only"
                  .formatted(folder));
    }
    ModelCheck check = ModelCheck.begin(model, failure -> failure);
    PipelineSettings settings = PipelineSettings.on(device);
    Components components = new Components(model, settings, check);
    try {
      ImageClassifier classifier =
          kind.equals(CLIP)
              ? clip(model, components, check, settings, texts)
              : vit(model, components, check);
      check.allAreAdded();
      return classifier;
    } catch (RuntimeException e) {
      components.close();
      check.close();
      throw e;
    }
  }

  private static ImageClassifier vit(ModelFolder model, Components components, ModelCheck check) {
    VitConfig config = VitConfig.from(components.config("model"));
    Config processor = components.config("image_processor", VIT_PROCESSORS);
    for (String key : List.of("image_mean", "image_std", "resample")) {
      if (!processor.has(key)) {
        throw processor.unsupported(key, "missing", "what the network was trained with");
      }
    }
    return new ImageClassifier(
        model,
        check,
        components,
        ClipImageProcessor.blip(processor, config.imageSize()),
        components.load("model", new VitClassifier(config).graph()),
        VitClassifier.FORWARD,
        config.labels(),
        List.of(),
        1);
  }

  private static ImageClassifier clip(
      ModelFolder model,
      Components components,
      ModelCheck check,
      PipelineSettings settings,
      List<String> texts) {
    Config json = components.config("model");
    ClipVisionConfig vision = ClipVisionConfig.fromClip(json);
    ClipImageProcessor processor =
        ClipImageProcessor.from(
            components.config("image_processor", ClipImageProcessor.CLASSES), vision.imageSize());
    components.requireClass("tokenizer", "CLIPTokenizer", "CLIPTokenizerFast");
    ModelComponent tokens = model.component("tokenizer");
    List<double[]> directions = directions(components, json, ClipTokenizer.load(tokens), texts);
    return new ImageClassifier(
        model,
        check,
        components,
        processor,
        components.load("model", new ClipVision(vision).graph()),
        ClipVision.FORWARD,
        List.copyOf(texts),
        directions,
        scale(model));
  }

  /** The learned factor is stored as its logarithm. */
  private static double scale(ModelFolder model) {
    try (TensorStore weights = model.component("model").open()) {
      TensorInfo info = weights.info("logit_scale");
      if (info.elements() != 1) {
        throw new io.github.flinkdiffusion.ops.weights.WeightsException(
            "Weights %s: tensor logit_scale has %d elements; expected one"
                .formatted(weights.source(), info.elements()));
      }
      return Math.exp(weights.floats("logit_scale")[0]);
    }
  }

  private static List<double[]> directions(
      Components components, Config json, ClipTokenizer tokenizer, List<String> texts) {
    // The text network's own section has no projection_dim that counts.
    ClipTextConfig section = ClipTextConfig.from(ClipTextConfig.section(json));
    ClipTextConfig config =
        new ClipTextConfig(
            section.vocabSize(),
            section.hiddenSize(),
            section.intermediateSize(),
            section.layers(),
            section.heads(),
            section.maxPositions(),
            section.activation(),
            section.epsilon(),
            section.eosTokenId(),
            json.integer("projection_dim", 512));
    if (tokenizer.maxLength() > config.maxPositions()
        || tokenizer.vocabularySize() > config.vocabSize()) {
      throw json.unsupported(
          "text_config",
          "%d positions, %d tokens".formatted(config.maxPositions(), config.vocabSize()),
          "at least the tokenizer's %d and %d"
              .formatted(tokenizer.maxLength(), tokenizer.vocabularySize()));
    }
    int length = tokenizer.maxLength();
    long[] ids = new long[texts.size() * length];
    for (int i = 0; i < texts.size(); i++) {
      int[] encoded = tokenizer.encode(texts.get(i)).ids();
      for (int j = 0; j < length; j++) {
        ids[i * length + j] = encoded[j];
      }
    }
    Network text = components.load("model", new ClipTextProjection(config).graph(length));
    return rows(text.call(ClipText.POOLED, new HostTensor.Longs(ids, texts.size(), length)));
  }

  private static List<double[]> rows(HostTensor.Floats embeddings) {
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

  /** The classes, in the order of {@link #shares}. */
  public List<String> labels() {
    return labels;
  }

  /** Name of the folder and its class, for people. */
  public String name() {
    return folder.name() + " (" + folder.pipelineClass() + ")";
  }

  /** SHA-256 over weights and configs. */
  public String digest() {
    return check.digest();
  }

  /**
   * How sure it is of each class, softmax over the classes: one row for each image.
   *
   * @param images of any sizes, values 0..1; they are rounded to 256 levels first
   */
  public List<float[]> shares(List<Raster> images) {
    return scores(images).stream().map(ImageClassifier::softmax).toList();
  }

  /** Numbers before softmax. */
  private List<double[]> scores(List<Raster> images) {
    HostTensor.Floats out = network.call(method, processor.pixels(images));
    if (!texts.isEmpty()) {
      return rows(out).stream().map(this::similarities).toList();
    }
    int size = labels.size();
    List<double[]> scores = new ArrayList<>();
    for (int i = 0; i < images.size(); i++) {
      double[] row = new double[size];
      for (int k = 0; k < size; k++) {
        row[k] = out.data()[i * size + k];
      }
      scores.add(row);
    }
    return scores;
  }

  private double[] similarities(double[] image) {
    double[] similarities = new double[texts.size()];
    for (int i = 0; i < similarities.length; i++) {
      for (int k = 0; k < image.length; k++) {
        similarities[i] += scale * image[k] * texts.get(i)[k];
      }
    }
    return similarities;
  }

  private static float[] softmax(double[] scores) {
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

  @Override
  public void close() {
    components.close();
    check.close();
  }
}
