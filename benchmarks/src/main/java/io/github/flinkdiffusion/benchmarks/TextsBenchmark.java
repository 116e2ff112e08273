/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** How fast texts are written, token by token, beside transformers. */
@Command(
    name = "texts",
    mixinStandardHelpOptions = true,
    description =
        "Tokens a second of captions by a BLIP of full size with random weights, beside"
            + " transformers' generate. The peer makes the model, so all but --smoke needs"
            + " --python.")
final class TextsBenchmark extends BenchmarkCommand {
  private static final String PEER = "transformers";

  /** Whose model is used without a peer. */
  private static final String TINY =
      "flink-diffusion-ops/src/test/resources/fixtures/text/tiny-blip-caption";

  @Option(
      names = "--batches",
      paramLabel = "N",
      split = ",",
      description = "Texts under way at a time (default: ${DEFAULT-VALUE}).")
  private List<Integer> batches = List.of(1, 8);

  @Option(
      names = "--tokens",
      paramLabel = "N",
      description = "Tokens of a text (default: ${DEFAULT-VALUE}).")
  private int tokens = 20;

  @Option(
      names = "--engines",
      paramLabel = "NAME",
      split = ",",
      description = "Engines of ours (default: ${DEFAULT-VALUE}).")
  private List<String> engines = List.of(Engines.ONNX_RUNTIME);

  @Option(
      names = "--cache",
      paramLabel = "FOLDER",
      description =
          "Where the random model (0.9 GB) is kept (default: benchmarks/target/models/blip-base).")
  private Path cache = RunOptions.home().resolve("benchmarks/target/models/blip-base");

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().python().isEmpty()) {
      if (!options().smoke()) {
        throw new BenchmarkException(
            "The model is made by the peer; name a Python with torch and transformers by"
                + " --python.");
      }
      tokens = 3;
      batches = List.of(2);
      BenchmarkResult.Builder result = result();
      measure(result, RunOptions.home().resolve(TINY), 32, null);
      return result;
    }
    try (PythonPeer peer =
        PythonPeer.start(options().python().get(), RunInfo.configuredThreads())) {
      peer.versions().forEach(this::version);
      BenchmarkResult.Builder result = result();
      int side = options().smoke() ? 32 : 384;
      peer.ask(
          "open_captions",
          Map.of("name", PEER, "folder", cache.toString(), "tiny", options().smoke()));
      measure(result, cache, side, peer);
      return result;
    }
  }

  private BenchmarkResult.Builder result() {
    return new BenchmarkResult.Builder(
        "Captions: tokens a second",
        """
        A BLIP in the shape of `Salesforce/blip-image-captioning-base` (a vision transformer over 384 x 384 pixels, 577 states an
        image; a text transformer of 12 layers and 30,524 tokens) with random weights in float32 on the CPU, greedy, %d tokens a
        text, which never end early. Tokens: after the image has been encoded, on both sides. Captions: from pixels to text.
        """
            .formatted(tokens));
  }

  private void measure(BenchmarkResult.Builder result, Path folder, int side, PythonPeer peer)
      throws Exception {
    Map<String, DiffusionPipeline> ours = new LinkedHashMap<>();
    try {
      for (String engine : engines) {
        ours.put(
            engine, Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU).withEngine(engine)));
      }
      for (int batch : batches) {
        List<Raster> images = images(batch, side);
        if (peer != null) {
          Path file = Files.createTempFile("images", ".f32");
          try {
            Files.write(file, bytes(images));
            peer.ask(
                "see_images",
                Map.of("name", PEER, "path", file.toString(), "batch", batch, "side", side));
          } finally {
            Files.delete(file);
          }
        }
        measure(result, ours, batch, images, peer);
      }
    } finally {
      ours.values().forEach(DiffusionPipeline::close);
    }
  }

  private void measure(
      BenchmarkResult.Builder result,
      Map<String, DiffusionPipeline> ours,
      int batch,
      List<Raster> images,
      PythonPeer peer)
      throws Exception {
    Map<String, List<String>> texts = new LinkedHashMap<>();
    for (boolean whole : new boolean[] {false, true}) {
      Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
      int work = whole ? batch : batch * tokens;
      ours.forEach(
          (name, pipeline) ->
              subjects.put(
                  name,
                  () ->
                      work
                          / write(
                              pipeline,
                              images,
                              whole,
                              texts.computeIfAbsent(name, key -> new ArrayList<>()))));
      if (peer != null) {
        subjects.put(
            PEER,
            () ->
                work
                    / peer.seconds(
                        "write_captions", Map.of("name", PEER, "tokens", tokens, "whole", whole)));
      }
      String scenario = (whole ? "captions, " : "tokens, ") + batch + " at a time";
      Map<String, Measurement> measured =
          options().rounds().alternate(scenario, whole ? "captions/s" : "tokens/s", subjects);
      measured.values().forEach(result::add);
      for (String name : ours.keySet()) {
        if (peer != null) {
          result.add(
              Finding.ratio(
                  "speed of %s over %s".formatted(name, PEER),
                  measured.get(name),
                  measured.get(PEER),
                  Goal.atLeast(1.0)));
        }
      }
    }
    if (peer != null) {
      JsonNode theirs = peer.ask("read_captions", Map.of("name", PEER));
      texts.forEach(
          (name, each) ->
              result.note(
                  "%d at a time, %s: %d of %d texts are transformers'."
                      .formatted(
                          batch,
                          name,
                          IntStream.range(0, batch)
                              .filter(i -> each.get(i).equals(theirs.get(i).asText()))
                              .count(),
                          batch)));
    }
  }

  /**
   * @param whole whether encoding the images counts
   * @param texts which get what is written
   * @return seconds
   */
  private double write(
      DiffusionPipeline pipeline, List<Raster> images, boolean whole, List<String> texts) {
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < images.size(); i++) {
      requests.add(
          pipeline
              .model()
              .prepare(
                  GenerationSpec.of("text " + i)
                      .with(Parameters.IMAGE, images.get(i))
                      .with(Parameters.MAX_NEW_TOKENS, (long) tokens)));
    }
    long begin = System.nanoTime();
    List<Trajectory> trajectories = pipeline.start(requests);
    if (!whole) {
      begin = System.nanoTime();
    }
    List<Trajectory> left = new ArrayList<>(trajectories);
    while (!left.isEmpty()) {
      pipeline.step(left);
      left.removeIf(Trajectory::done);
    }
    List<GeneratedImage> results = pipeline.finish(trajectories);
    double seconds = (System.nanoTime() - begin) / 1e9;
    texts.clear();
    results.forEach(each -> texts.add(each.text().orElseThrow().text()));
    return seconds;
  }

  private static List<Raster> images(int count, int side) {
    Random random = new Random(1);
    List<Raster> images = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      float[] values = new float[3 * side * side];
      for (int j = 0; j < values.length; j++) {
        values[j] = random.nextInt(256) / 255f;
      }
      images.add(new Raster(3, side, side, values));
    }
    return images;
  }

  private static byte[] bytes(List<Raster> images) throws IOException {
    ByteBuffer bytes =
        ByteBuffer.allocate(images.size() * images.get(0).data().length * Float.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN);
    for (Raster image : images) {
      for (float value : image.data()) {
        bytes.putFloat(value);
      }
    }
    return bytes.array();
  }
}
