/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.VitClassifier;
import io.github.flinkdiffusion.ops.network.VitConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.IntStream;
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

  /** Numbers before softmax, a row for each image. */
  private final Function<List<Raster>, List<double[]>> scores;

  private final List<String> labels;

  private ImageClassifier(
      ModelFolder folder,
      ModelCheck check,
      Components components,
      Function<List<Raster>, List<double[]>> scores,
      List<String> labels) {
    this.folder = folder;
    this.check = check;
    this.components = components;
    this.scores = scores;
    this.labels = labels;
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
          kind.equals(CLIP) ? clip(model, components, check, texts) : vit(model, components, check);
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
    ClipImageProcessor pixels = ClipImageProcessor.blip(processor, config.imageSize());
    Network network = components.load("model", new VitClassifier(config).graph());
    return new ImageClassifier(
        model,
        check,
        components,
        images -> rows(network.call(VitClassifier.FORWARD, pixels.pixels(images)), images.size()),
        config.labels());
  }

  private static List<double[]> rows(HostTensor.Floats scores, int count) {
    int size = scores.data().length / count;
    return IntStream.range(0, count)
        .mapToObj(
            row ->
                IntStream.range(row * size, (row + 1) * size)
                    .mapToDouble(i -> scores.data()[i])
                    .toArray())
        .toList();
  }

  private static ImageClassifier clip(
      ModelFolder model, Components components, ModelCheck check, List<String> texts) {
    ClipComparison clip = new ClipComparison(model, components);
    List<double[]> directions = clip.texts(texts);
    return new ImageClassifier(
        model,
        check,
        components,
        images ->
            clip.images(images).stream().map(image -> clip.scores(image, directions)).toList(),
        List.copyOf(texts));
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
    return scores.apply(images).stream().map(ClipComparison::softmax).toList();
  }

  @Override
  public void close() {
    components.close();
    check.close();
  }
}
