/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.StackedTensor;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.CachingNetwork;
import io.github.flinkdiffusion.ops.network.FluxTransformer;
import io.github.flinkdiffusion.ops.network.FluxTransformerConfig;
import io.github.flinkdiffusion.ops.network.Sd3Transformer;
import io.github.flinkdiffusion.ops.network.Sd3TransformerConfig;
import io.github.flinkdiffusion.ops.network.T5Config;
import io.github.flinkdiffusion.ops.network.T5Encoder;
import io.github.flinkdiffusion.ops.pipeline.ComponentSettings;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A process of its own that calls a network of full size once, for {@code
 * benchmarks/full-size/full_size.py}. Prints the seconds to open the files, to load the network and
 * to call it, and the peaks of resident memory, of all and of the process's own.
 */
final class FullSizeProbe {
  private static final Path STATUS = Path.of("/proc/self/status");

  /** As {@code full_size.py} has it. */
  private static final String PROMPT =
      "a photo of an astronaut riding a horse on mars, highly detailed";

  private FullSizeProbe() {}

  /**
   * @param arguments folder of {@code full_size.py make}; precision; where converted weights are
   *     kept, or nothing; then {@code blocks} for the first blocks of Flux alone, {@code open} to
   *     load the network and not call it, {@code caching} to time its calls with features of an
   *     earlier one, or {@code pipeline} for a whole pipeline, whose T5 is in bfloat16
   */
  public static void main(String[] arguments) throws IOException {
    Path folder = Path.of(arguments[0]);
    Precision precision = Precision.valueOf(arguments[1]);
    Optional<Path> kept =
        arguments.length > 2 && !arguments[2].isEmpty()
            ? Optional.of(Path.of(arguments[2]))
            : Optional.empty();
    String mode = arguments.length > 3 ? arguments[3] : "";
    if (mode.equals("pipeline")) {
      pipeline(folder, precision, kept);
      return;
    }
    long begin = System.nanoTime();
    ModelFolder model = ModelFolder.open(folder);
    ModelComponent component = model.component(model.componentNames().first());
    try (TensorStore weights = component.open();
        Safetensors inputs = Safetensors.open(folder.resolve("inputs.safetensors"))) {
      double opened = seconds(begin);
      Graph graph = graph(component, mode);
      long named =
          weights.names().stream().mapToLong(name -> weights.info(name).byteLength()).sum();
      Program program =
          new Program(
              "full-size",
              graph,
              precision,
              new Stored(weights, graph, precision),
              weights::digest,
              kept,
              check -> {});
      begin = System.nanoTime();
      try (Network network =
          Engines.standard()
              .choose(Engines.AUTO, DeviceSpec.CPU, precision, graph)
              .load(program, DeviceSpec.CPU)) {
        double loaded = seconds(begin);
        if (mode.equals("open")) {
          print(precision, named, opened, loaded, 0);
          return;
        }
        Tensor[] given = inputs(component, inputs);
        if (mode.equals("caching")) {
          caching(network, given);
          return;
        }
        begin = System.nanoTime();
        HostTensor.Floats out = network.call("forward", given);
        double called = seconds(begin);
        print(precision, named, opened, loaded, called);
        SafetensorsWriter.write(
            folder.resolve("ours.safetensors"),
            HeapTensors.builder().add("out", out.data(), out.shape()).build());
      }
    }
  }

  /** Times whole calls and those that take the features of the first block's successors. */
  private static void caching(Network network, Tensor[] given) {
    Tensor[] withFeatures = Arrays.copyOf(given, given.length + 1);
    for (int round = 0; round < 4; round++) {
      long begin = System.nanoTime();
      Network.Kept kept = network.callKeepingRows(CachingNetwork.FORWARD, given);
      double whole = seconds(begin);
      withFeatures[given.length] = new StackedTensor(kept.rows());
      begin = System.nanoTime();
      network.call(CachingNetwork.SHALLOW, withFeatures);
      System.out.printf(
          Locale.ROOT,
          "%s: whole %.3f s, with features %.3f s%n",
          round == 0 ? "warm-up" : "round " + round,
          whole,
          seconds(begin));
      kept.rows().forEach(DeviceTensor::close);
    }
  }

  /** The image that {@code full_size.py reference-pipeline} generates. */
  private static void pipeline(Path folder, Precision precision, Optional<Path> kept)
      throws IOException {
    PipelineSettings settings =
        PipelineSettings.on(DeviceSpec.CPU)
            .withPrecision(precision)
            .withComponents(
                ComponentSettings.of(
                    Files.exists(folder.resolve("text_encoder_3"))
                        ? Map.of("text_encoder_3", Precision.BFLOAT16)
                        : Map.of(),
                    Map.of(),
                    true));
    long begin = System.nanoTime();
    try (DiffusionPipeline pipeline =
        Pipelines.open(folder, kept.map(settings::withArchives).orElse(settings))) {
      double loaded = seconds(begin);
      GenerationSpec spec =
          GenerationSpec.of("full-size")
              .with(Parameters.PROMPT, PROMPT)
              .with(Parameters.SEED, 3L)
              .with(Parameters.STEPS, 1L)
              .with(Parameters.GUIDANCE_SCALE, 1.0)
              .with(Parameters.WIDTH, 256L)
              .with(Parameters.HEIGHT, 256L);
      begin = System.nanoTime();
      List<Trajectory> one = pipeline.start(List.of(pipeline.model().prepare(spec)));
      double encoded = seconds(begin);
      begin = System.nanoTime();
      pipeline.step(one);
      double stepped = seconds(begin);
      float[] latent = one.get(0).snapshot().sample();
      begin = System.nanoTime();
      Raster image = pipeline.finish(one).get(0).image();
      System.out.printf(
          Locale.ROOT,
          "ours: load %.1f s, texts %.1f s, a step %.1f s, decoding %.1f s, peak resident %.0f MiB,"
              + " own %.0f MiB%n",
          loaded,
          encoded,
          stepped,
          seconds(begin),
          status("VmHWM:"),
          status("RssAnon:"));
      SafetensorsWriter.write(
          folder.resolve("ours.safetensors"),
          HeapTensors.builder()
              .add("out", latent, latent.length)
              .add("image", image.data(), image.data().length)
              .build());
    }
  }

  private static void print(
      Precision precision, long bytes, double opened, double loaded, double called)
      throws IOException {
    System.out.printf(
        Locale.ROOT,
        "ours %s: %.2f GB of weights; open %.3f s, load %.2f s, call %.2f s, peak resident %.0f"
            + " MiB, own %.0f MiB%n",
        precision,
        bytes / 1e9,
        opened,
        loaded,
        called,
        status("VmHWM:"),
        status("RssAnon:"));
  }

  private static Graph graph(ModelComponent component, String mode) {
    Config config = component.config();
    if (component.className().equals("T5EncoderModel")) {
      return new T5Encoder(T5Config.from(config)).graph();
    }
    CachingNetwork network =
        component.className().equals("SD3Transformer2DModel")
            ? new Sd3Transformer(Sd3TransformerConfig.from(config))
            : new FluxTransformer(
                FluxTransformerConfig.from(mode.equals("blocks") ? ofOneBlock(config) : config));
    return mode.equals("caching") ? network.cachingGraph(0) : network.graph();
  }

  private static Config ofOneBlock(Config config) {
    ObjectNode json = (ObjectNode) config.node().deepCopy();
    json.put("num_layers", 1).put("num_single_layers", 1);
    return Config.of("one block of each kind", json);
  }

  private static Tensor[] inputs(ModelComponent component, Safetensors inputs) {
    if (component.className().equals("T5EncoderModel")) {
      int tokens = (int) inputs.info("ids").elements();
      long[] buckets = T5Config.from(component.config()).bucketsOf(tokens);
      return new Tensor[] {
        new HostTensor.Longs(inputs.longs("ids"), 1, tokens),
        new HostTensor.Longs(buckets, 1, tokens, tokens)
      };
    }
    return Stream.of("sample", "timestep", "context", "pooled", "kept")
        .filter(inputs.names()::contains)
        .map(name -> new HostTensor.Floats(inputs.floats(name), inputs.info(name).shape()))
        .toArray(Tensor[]::new);
  }

  private static double seconds(long begin) {
    return (System.nanoTime() - begin) / 1e9;
  }

  /** In MiB. */
  private static double status(String key) throws IOException {
    try (Stream<String> lines = Files.lines(STATUS)) {
      return lines
              .filter(line -> line.startsWith(key))
              .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
              .sum()
          / 1024.0;
    }
  }

  /** The weights as they are, where their type is the computed one; else converted. */
  private record Stored(TensorStore store, Graph graph, Precision precision)
      implements ParameterSource {
    @Override
    public Optional<TensorPlace> place(String name) {
      return store.place(name).filter(there -> there.dtype() == graph.type(name, precision));
    }

    @Override
    public void write(String name, long[] shape, OutputStream out) throws IOException {
      if (!Arrays.equals(shape, store.info(name).shape())) {
        throw new IOException(
            "%s has shape %s, not %s"
                .formatted(
                    name, Arrays.toString(store.info(name).shape()), Arrays.toString(shape)));
      }
      store.writeTo(name, graph.type(name, precision), out);
    }
  }
}
