/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.training.WeightInitializer;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * Stable Diffusion 1.5 in its full size with random weights, in diffusers' layout: how fast a
 * network is does not depend on what it has learned. Made once, into a cache folder.
 */
final class RandomStableDiffusion {
  private static final long SEED = 1;
  private static final int TOKENS = 77;

  /** A tokenizer that comes with the project; loading does not look at how many words it knows. */
  private static final String TOKENIZER =
      "flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1/tokenizer";

  private RandomStableDiffusion() {}

  /**
   * The denoising network alone, in float32 (3.4 GB).
   *
   * @param cache where it is, or is written
   * @return its component folder
   */
  static Path unet(Path cache) throws IOException {
    Path folder = cache.resolve("sd15-float32/unet");
    component(folder, "unet", RandomStableDiffusion::unetGraph, DType.F32);
    return folder;
  }

  /**
   * A whole pipeline (2.1 GB in half precision).
   *
   * @param cache where it is, or is written
   * @param dtype of its weights
   * @return the model folder
   */
  static Path pipeline(Path cache, DType dtype) throws IOException {
    Path folder =
        cache.resolve(
            "sd15-" + (dtype == DType.F16 ? "float16" : dtype.name().toLowerCase(Locale.ROOT)));
    component(folder.resolve("unet"), "unet", RandomStableDiffusion::unetGraph, dtype);
    component(
        folder.resolve("vae"),
        "vae",
        config -> new AutoencoderKL(AutoencoderKLConfig.from(config)).graph(),
        dtype);
    component(
        folder.resolve("text_encoder"),
        "text_encoder",
        config -> new ClipText(ClipTextConfig.from(config)).graph(TOKENS),
        dtype);
    copy("scheduler/scheduler_config.json", folder.resolve("scheduler/scheduler_config.json"));
    copy("model_index.json", folder.resolve("model_index.json"));
    Path tokenizer = folder.resolve("tokenizer");
    Files.createDirectories(tokenizer);
    try (Stream<Path> files = Files.list(RunOptions.home().resolve(TOKENIZER))) {
      for (Path file : files.toList()) {
        Path target = tokenizer.resolve(file.getFileName().toString());
        if (!Files.exists(target)) {
          Files.copy(file, target);
        }
      }
    }
    return folder;
  }

  static Graph unetGraph(Config config) {
    return new UNet2DCondition(UNet2DConditionConfig.from(config)).graph();
  }

  /** The weights' file comes last, whole: where it is, the component is. */
  private static void component(
      Path folder, String name, Function<Config, Graph> network, DType dtype) throws IOException {
    Path weights =
        folder.resolve(
            name.equals("text_encoder")
                ? "model.safetensors"
                : "diffusion_pytorch_model.safetensors");
    if (Files.exists(weights)) {
      return;
    }
    Path config = folder.resolve("config.json");
    copy(name + "/config.json", config);
    Map<String, long[]> shapes = network.apply(Config.read(config)).parameterShapes();
    SafetensorsWriter.write(weights, TensorViews.withFloatsAs(new RandomTensors(shapes), dtype));
  }

  private static void copy(String resource, Path target) throws IOException {
    Files.createDirectories(target.getParent());
    try (InputStream in = RandomStableDiffusion.class.getResourceAsStream("/sd15/" + resource)) {
      Files.write(target, in.readAllBytes());
    }
  }

  /** Tensors that are made when they are asked for, one at a time. */
  private record RandomTensors(Map<String, long[]> shapes) implements TensorStore {
    @Override
    public Set<String> names() {
      return Collections.unmodifiableSet(shapes.keySet());
    }

    @Override
    public TensorInfo info(String name) {
      long[] shape = shapes.get(name);
      if (shape == null) {
        throw new WeightsException(source() + " has no tensor " + name);
      }
      return TensorInfo.of(name, DType.F32, shape);
    }

    @Override
    public List<ByteBuffer> data(String name) {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      try {
        new WeightInitializer(SEED).write(name, info(name).shape(), bytes);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return List.of(
          ByteBuffer.wrap(bytes.toByteArray()).asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN));
    }

    @Override
    public String source() {
      return "random weights of seed " + SEED;
    }

    @Override
    public String digest() {
      throw new UnsupportedOperationException("They are written, not loaded.");
    }

    @Override
    public void close() {
      // Nothing is held.
    }
  }
}
