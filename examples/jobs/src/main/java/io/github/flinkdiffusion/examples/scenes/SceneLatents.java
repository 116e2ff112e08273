/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.examples.training.SmallStableDiffusion;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;

/**
 * Latents of the training's scenes, encoded once and kept in files: the encoder costs as much as a
 * training step of the denoiser. A scene is seen many times, each time with other noise.
 */
final class SceneLatents {
  /** Scenes in a file. */
  static final int CHUNK = 5000;

  private static final int BATCH = 20;
  private static final String TENSOR = "latents";
  private static final int SIZE =
      SmallStableDiffusion.LATENT_CHANNELS * SceneModel.LATENT_SIDE * SceneModel.LATENT_SIDE;

  private final List<float[]> chunks;
  private final double scalingFactor;

  private SceneLatents(List<float[]> chunks) {
    this.chunks = chunks;
    double squares = 0;
    // Of the first file alone, so that more scenes change nothing.
    for (float value : chunks.get(0)) {
      squares += (double) value * value;
    }
    this.scalingFactor = 1 / Math.sqrt(squares / chunks.get(0).length);
    for (float[] chunk : chunks) {
      for (int i = 0; i < chunk.length; i++) {
        chunk[i] *= (float) scalingFactor;
      }
    }
  }

  /**
   * Reads the latents, after encoding those that are missing.
   *
   * @param folder of the files
   * @param weights the autoencoder's
   * @param scenes how many, rounded up to whole files
   */
  static SceneLatents open(Path folder, Path weights, IconLibrary icons, int scenes)
      throws Exception {
    Files.createDirectories(folder);
    int files = Math.max(1, (scenes + CHUNK - 1) / CHUNK);
    List<Integer> missing = new ArrayList<>();
    for (int i = 0; i < files; i++) {
      if (!Files.exists(file(folder, i))) {
        missing.add(i);
      }
    }
    if (!missing.isEmpty()) {
      encode(folder, weights, icons, missing);
    }
    List<float[]> chunks = new ArrayList<>();
    for (int i = 0; i < files; i++) {
      try (TensorStore store = Safetensors.open(file(folder, i))) {
        chunks.add(store.floats(TENSOR));
      }
    }
    return new SceneLatents(chunks);
  }

  private static Path file(Path folder, int chunk) {
    return folder.resolve("scenes-%05d.safetensors".formatted(chunk));
  }

  private static void encode(Path folder, Path weights, IconLibrary icons, List<Integer> missing)
      throws Exception {
    Graph graph = new AutoencoderKL(SceneModel.MODEL.autoencoder()).graph();
    try (TensorStore store = Safetensors.open(weights);
        Network network =
            Engines.standard()
                .trainer()
                .load(
                    Program.of("vae", graph, Precision.FLOAT32, TrainedWeights.source(store)),
                    DeviceSpec.CPU);
        ProgressBar bar =
            new ProgressBarBuilder()
                .setTaskName("latents")
                .setInitialMax((long) missing.size() * CHUNK)
                .build()) {
      for (int chunk : missing) {
        float[] values = new float[CHUNK * SIZE];
        for (int begin = 0; begin < CHUNK; begin += BATCH) {
          encode(network, icons, (long) chunk * CHUNK + begin, values, begin);
          bar.stepBy(BATCH);
        }
        write(file(folder, chunk), values);
      }
    }
  }

  /** Encodes a batch; the mean of what the encoder says is the latent. */
  private static void encode(
      Network network, IconLibrary icons, long first, float[] values, int to) {
    int side = SceneModel.SIDE;
    int pixels = 3 * side * side;
    float[] images = new float[BATCH * pixels];
    for (int i = 0; i < BATCH; i++) {
      float[] image =
          SceneVocabulary.training(first + i).draw(icons, side, SceneVocabulary.drawing(first + i));
      System.arraycopy(image, 0, images, i * pixels, pixels);
    }
    float[] moments =
        network
            .call(AutoencoderKL.ENCODE, new HostTensor.Floats(images, BATCH, 3, side, side))
            .data();
    for (int i = 0; i < BATCH; i++) {
      System.arraycopy(moments, i * 2 * SIZE, values, (to + i) * SIZE, SIZE);
    }
  }

  private static void write(Path file, float[] values) throws IOException {
    SafetensorsWriter.write(
        file,
        TensorViews.withFloatsAs(
            HeapTensors.builder()
                .add(
                    TENSOR,
                    values,
                    CHUNK,
                    SmallStableDiffusion.LATENT_CHANNELS,
                    SceneModel.LATENT_SIDE,
                    SceneModel.LATENT_SIDE)
                .build(),
            DType.F16),
        Map.of());
  }

  /** Scenes that there are. */
  int count() {
    return chunks.size() * CHUNK;
  }

  /** What latents were multiplied by, so that their mean square is 1: the VAE config's field. */
  double scalingFactor() {
    return scalingFactor;
  }

  /** Copies a scene's scaled latent. */
  void copy(int scene, float[] to, int offset) {
    System.arraycopy(chunks.get(scene / CHUNK), scene % CHUNK * SIZE, to, offset, SIZE);
  }
}
