/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.evaluation;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.Clip;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.ClipVisionConfig;
import io.github.flinkdiffusion.ops.pipeline.ClipImageProcessor;
import io.github.flinkdiffusion.ops.pipeline.NetworkLoader;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * Pictures and texts in CLIP's common space, as transformers' CLIPModel puts them there: of CLIP
 * score, R-precision, and whatever compares pictures with words. The vectors have any length;
 * cosines compare them. One thread at a time.
 */
@Internal
public final class ClipEmbeddings implements AutoCloseable {
  private static final String MODEL = "CLIPModel";

  /** Rows of a call. */
  private static final int ROWS = 16;

  private final ClipTokenizer tokenizer;
  private final ClipImageProcessor processor;
  private final Network network;

  private ClipEmbeddings(ClipTokenizer tokenizer, ClipImageProcessor processor, Network network) {
    this.tokenizer = tokenizer;
    this.processor = processor;
    this.network = network;
  }

  /**
   * Loads a whole CLIP, such as {@code openai/clip-vit-base-patch32}.
   *
   * @param folder as transformers writes it: config, weights, tokenizer and {@code
   *     preprocessor_config.json}
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException for a folder of another model, or
   *     files that are missing or do not fit each other
   */
  public static ClipEmbeddings open(Path folder, DeviceSpec device) {
    ModelFolder files = ModelFolder.open(folder);
    ModelComponent model = files.component("model");
    Config config = model.config();
    if (!model.className().equals(MODEL)) {
      throw config.unsupported("architectures", model.className(), MODEL);
    }
    ClipVisionConfig vision = ClipVisionConfig.fromClip(config);
    ClipTextConfig text = ClipTextConfig.fromClip(config);
    ClipTokenizer tokenizer = ClipTokenizer.load(folder);
    if (tokenizer.maxLength() > text.maxPositions()) {
      throw config.unsupported(
          "text_config.max_position_embeddings",
          text.maxPositions(),
          "at least the tokenizer's model_max_length, " + tokenizer.maxLength());
    }
    if (tokenizer.vocabularySize() > text.vocabSize()) {
      throw config.unsupported(
          "text_config.vocab_size",
          text.vocabSize(),
          "at least the tokenizer's vocabulary, " + tokenizer.vocabularySize());
    }
    ClipImageProcessor processor =
        ClipImageProcessor.from(files.component("image_processor").config(), vision.imageSize());
    try (TensorStore store = model.open()) {
      Network network =
          new NetworkLoader(device, Precision.FLOAT32)
              .load("clip", new Clip(vision, text).graph(tokenizer.maxLength()), store);
      return new ClipEmbeddings(tokenizer, processor, network);
    }
  }

  /**
   * A vector for each picture, of any size.
   *
   * @throws io.github.flinkdiffusion.ops.image.ImageException for a picture that cannot be prepared
   */
  public float[][] images(List<Raster> pictures) {
    float[][] rows = new float[pictures.size()][];
    for (int from = 0; from < rows.length; from += ROWS) {
      List<Raster> part = pictures.subList(from, Math.min(from + ROWS, rows.length));
      split(network.call(Clip.IMAGES, processor.pixels(part)), rows, from);
    }
    return rows;
  }

  /** A vector for each text. The end of a text that is too long is left out. */
  public float[][] texts(List<String> texts) {
    float[][] rows = new float[texts.size()][];
    int length = tokenizer.maxLength();
    for (int from = 0; from < rows.length; from += ROWS) {
      List<String> part = texts.subList(from, Math.min(from + ROWS, rows.length));
      long[] ids =
          part.stream()
              .flatMapToInt(text -> Arrays.stream(tokenizer.encode(text).ids()))
              .asLongStream()
              .toArray();
      split(network.call(Clip.TEXTS, new HostTensor.Longs(ids, part.size(), length)), rows, from);
    }
    return rows;
  }

  private static void split(HostTensor.Floats result, float[][] rows, int from) {
    int count = (int) result.shape()[0];
    int size = result.data().length / count;
    for (int i = 0; i < count; i++) {
      rows[from + i] = Arrays.copyOfRange(result.data(), i * size, (i + 1) * size);
    }
  }

  @Override
  public void close() {
    network.close();
  }
}
