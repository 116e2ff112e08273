/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.ShortBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/**
 * A model folder that is described, not stored, and what diffusers makes of it: see {@code
 * src/test/python/folder_cases.py}, whose formulas are repeated here.
 */
public record FolderCase(JsonNode json) {
  private static final Path TOKENIZER =
      Path.of("src/test/resources/fixtures/models/tiny-sd1/tokenizer");
  private static final Path ADDED = Path.of("src/test/resources/fixtures/folders/added");
  private static final Path DIFFERENCES = Path.of("../docs/DIFFERENCES.md");
  private static final double ROOT_3 = Math.sqrt(3);

  /** What became of one seed. */
  record Outcome(Raster image, String refusal) {}

  static List<FolderCase> read(Path file) throws IOException {
    try (InputStream in =
        file.toString().endsWith(".gz")
            ? new GZIPInputStream(Files.newInputStream(file))
            : Files.newInputStream(file)) {
      List<FolderCase> cases = new ArrayList<>();
      new ObjectMapper().readTree(in).forEach(json -> cases.add(new FolderCase(json)));
      return cases;
    }
  }

  /** The first case of a pipeline among those of newer classes, if it is one of them. */
  public static Optional<FolderCase> ofPipeline(String name) throws IOException {
    try (Stream<Path> files = Files.list(ADDED)) {
      for (Path file : files.sorted().toList()) {
        for (FolderCase each : read(file)) {
          if (each.json().get("pipeline").asText().equals(name)) {
            return Optional.of(each);
          }
        }
      }
    }
    return Optional.empty();
  }

  String name() {
    return json.get("name").asText();
  }

  /**
   * The row of docs/DIFFERENCES.md that the case stands under, if we are known to differ.
   *
   * @throws IllegalStateException if there is no such row
   */
  Optional<String> listed() throws IOException {
    if (!json.has("listed")) {
      return Optional.empty();
    }
    String place = json.get("listed").asText();
    if (!Files.readString(DIFFERENCES).contains("\n| " + place + " |")) {
      throw new IllegalStateException("%s has no row '%s'".formatted(DIFFERENCES, place));
    }
    return Optional.of(place);
  }

  JsonNode expected() {
    return json.get("expected");
  }

  /** Writes the folder; what was there is gone then. */
  public void write(Path folder) throws IOException {
    write(folder.resolve("model_index.json"), json.get("index").toString());
    for (Map.Entry<String, JsonNode> file : json.get("files").properties()) {
      write(folder.resolve(file.getKey()), file.getValue().asText());
    }
    for (Map.Entry<String, JsonNode> weights : json.get("weights").properties()) {
      Path component = Files.createDirectories(folder.resolve(weights.getKey()));
      writeWeights(
          component, json.get("seed").asText() + "/" + weights.getKey(), weights.getValue());
    }
    for (JsonNode component : json.get("tokenizers")) {
      Path target = Files.createDirectories(folder.resolve(component.asText()));
      try (Stream<Path> files = Files.list(TOKENIZER)) {
        for (Path file : files.toList()) {
          Files.copy(file, target.resolve(file.getFileName()));
        }
      }
    }
  }

  /** One file, or several and the index that says what is where. */
  private static void writeWeights(Path component, String seed, JsonNode weights)
      throws IOException {
    String file = weights.get("file").asText();
    List<String> names = new ArrayList<>();
    weights.get("tensors").fieldNames().forEachRemaining(names::add);
    if (file.endsWith(".bin")) {
      write(component.resolve(file), "pickled, and nobody shall read it");
    } else if (!weights.has("shards")) {
      writeTensors(component.resolve(file), seed, weights, names);
    } else {
      names.sort(Comparator.naturalOrder());
      writeShards(component, seed, weights, names);
    }
  }

  private static void writeShards(Path component, String seed, JsonNode weights, List<String> names)
      throws IOException {
    String file = weights.get("file").asText();
    int shards = weights.get("shards").asInt();
    String stem = file.substring(0, file.lastIndexOf('.'));
    ObjectNode index = new ObjectMapper().createObjectNode();
    ObjectNode places = index.putObject("weight_map");
    for (int shard = 0; shard < shards; shard++) {
      String name = "%s-%05d-of-%05d.safetensors".formatted(stem, shard + 1, shards);
      List<String> part = new ArrayList<>();
      for (int i = shard; i < names.size(); i += shards) {
        part.add(names.get(i));
        places.put(names.get(i), name);
      }
      writeTensors(component.resolve(name), seed, weights, part);
    }
    int dot = stem.indexOf('.');
    String start = dot < 0 ? stem : stem.substring(0, dot);
    String variant = dot < 0 ? "" : stem.substring(dot);
    write(
        component.resolve("%s.safetensors.index%s.json".formatted(start, variant)),
        index.toString());
  }

  private static void writeTensors(Path file, String seed, JsonNode weights, List<String> names) {
    HeapTensors.Builder tensors = HeapTensors.builder();
    for (String name : names) {
      JsonNode sides = weights.get("tensors").get(name);
      long[] shape = new long[sides.size()];
      for (int i = 0; i < shape.length; i++) {
        shape[i] = sides.get(i).asLong();
      }
      tensors.add(name, values(seed, name, shape), shape);
    }
    SafetensorsWriter.write(
        file,
        TensorViews.withFloatsAs(
            tensors.build(), DType.valueOf(weights.path("dtype").asText("F32"))));
  }

  private static void write(Path file, String text) throws IOException {
    Files.createDirectories(file.getParent());
    Files.writeString(file, text);
  }

  /** Opens the folder and makes a picture for each expected seed; refusals are outcomes, too. */
  List<Outcome> run(Path folder) {
    PipelineSettings settings = settings(folder);
    if (json.has("variant")) {
      settings = settings.withVariant(json.get("variant").asText());
    }
    try (DiffusionPipeline pipeline =
        json.has("as")
            ? Pipelines.openAs(json.get("as").asText(), folder, settings)
            : Pipelines.open(folder, settings)) {
      List<Outcome> outcomes = new ArrayList<>();
      for (JsonNode each : expected()) {
        outcomes.add(picture(pipeline, each.path("seed").asLong()));
      }
      return outcomes;
    } catch (RuntimeException e) {
      return refusals(e);
    }
  }

  /** With the case's IP-Adapters. */
  PipelineSettings settings(Path folder) {
    List<Path> adapters = new ArrayList<>();
    json.path("ip_adapters").forEach(file -> adapters.add(folder.resolve(file.asText())));
    return PipelineSettings.on(DeviceSpec.CPU).withIpAdapters(adapters, Optional.empty());
  }

  private List<Outcome> refusals(RuntimeException reason) {
    requireDeliberate(reason);
    List<Outcome> outcomes = new ArrayList<>();
    expected().forEach(each -> outcomes.add(new Outcome(null, reason.getMessage())));
    return outcomes;
  }

  private Outcome picture(DiffusionPipeline pipeline, long seed) {
    try {
      List<Trajectory> trajectory = pipeline.start(List.of(pipeline.model().prepare(spec(seed))));
      while (!trajectory.get(0).done()) {
        pipeline.step(trajectory);
      }
      return new Outcome(pipeline.finish(trajectory).get(0).image(), null);
    } catch (RuntimeException e) {
      requireDeliberate(e);
      return new Outcome(null, e.getMessage());
    }
  }

  /** An accident is not a refusal. */
  private static void requireDeliberate(RuntimeException e) {
    if (!e.getClass().getPackageName().startsWith("io.github.flinkdiffusion")) {
      throw e;
    }
  }

  GenerationSpec spec(long seed) {
    GenerationSpec spec = GenerationSpec.of(name()).with(Parameters.SEED, seed);
    if (json.has("scheduler")) {
      spec = spec.with(Parameters.SCHEDULER, json.get("scheduler").asText());
    }
    for (Map.Entry<String, JsonNode> argument : json.get("arguments").properties()) {
      spec =
          ReferenceCalls.with(
              spec, ReferenceCalls.parameter(argument.getKey()), argument.getValue());
    }
    for (Map.Entry<String, JsonNode> input : json.get("inputs").properties()) {
      spec =
          ReferenceCalls.with(
              spec,
              ReferenceCalls.parameter(input.getKey(), json.get("inputs")),
              picture(input.getValue()));
    }
    return spec;
  }

  private static Raster picture(JsonNode spec) {
    int width = spec.get("width").asInt();
    int height = spec.get("height").asInt();
    boolean hole = spec.get("kind").asText().equals("hole");
    int channels = hole ? 1 : 3;
    float[] values = new float[channels * height * width];
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
          int value;
          if (hole) {
            boolean inside =
                y >= height / 4 && y < 3 * height / 4 && x >= width / 4 && x < 3 * width / 4;
            value = inside ? 255 : 0;
          } else {
            int seed = spec.get("seed").asInt();
            value = (x * (5 + c) + y * (3 + 2 * c) + seed * 29 + (x * y * (c + 1)) % 23) % 256;
          }
          values[(c * height + y) * width + x] = value / 255f;
        }
      }
    }
    return new Raster(channels, height, width, values);
  }

  /** A picture that diffusers made, of 65,536 levels. */
  static Raster expectedPicture(JsonNode expected) {
    JsonNode shape = expected.get("shape");
    ShortBuffer levels =
        ByteBuffer.wrap(Base64.getDecoder().decode(expected.get("pixels").asText()))
            .order(ByteOrder.LITTLE_ENDIAN)
            .asShortBuffer();
    float[] values = new float[levels.remaining()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (levels.get(i) & 0xFFFF) / 65535f;
    }
    return new Raster(shape.get(0).asInt(), shape.get(1).asInt(), shape.get(2).asInt(), values);
  }

  /** Largest difference of two pictures; infinite where they differ in size. */
  static double distance(Raster actual, Raster expected) {
    if (actual.channels() != expected.channels()
        || actual.height() != expected.height()
        || actual.width() != expected.width()) {
      return Double.POSITIVE_INFINITY;
    }
    double worst = 0;
    for (int i = 0; i < actual.data().length; i++) {
      worst = Math.max(worst, Math.abs(actual.data()[i] - expected.data()[i]));
    }
    return worst;
  }

  private static float[] values(String seed, String name, long[] shape) {
    long state = 0xCBF29CE484222325L;
    for (byte each : (seed + "/" + name).getBytes(StandardCharsets.UTF_8)) {
      state = (state ^ (each & 0xFF)) * 0x100000001B3L;
    }
    long count = 1;
    for (long side : shape) {
      count *= side;
    }
    double[] role = role(name, shape);
    float[] values = new float[Math.toIntExact(count)];
    for (int i = 0; i < values.length; i++) {
      state += 0x9E3779B97F4A7C15L;
      long z = state;
      z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
      z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
      z = z ^ (z >>> 31);
      double even = (z >>> 40) * 0x1p-23 - 1;
      values[i] = (float) (even * role[1] + role[0]);
    }
    return values;
  }

  /** Middle and spread. */
  private static double[] role(String name, long[] shape) {
    double spread;
    boolean table =
        Stream.of(
                "token_embedding.weight",
                "position_embedding.weight",
                "quantize.embedding.weight",
                "class_embedding.weight",
                "embedding_table.weight")
            .anyMatch(name::endsWith);
    if (table && shape.length == 2) {
      spread = 0.7 * ROOT_3;
    } else if (shape.length >= 2) {
      long inputs = 1;
      for (int i = 1; i < shape.length; i++) {
        inputs *= shape[i];
      }
      spread = ROOT_3 / Math.sqrt(inputs);
    } else if (name.endsWith("bias")) {
      spread = 0.1 * ROOT_3;
    } else if (name.endsWith("weight")) {
      return new double[] {1, 0.2 * ROOT_3};
    } else {
      spread = 0.7 * ROOT_3;
    }
    if (Stream.of("to_q.weight", "to_k.weight", "q_proj.weight", "k_proj.weight")
        .anyMatch(name::endsWith)) {
      spread *= 1.5;
    }
    if (Stream.of("conv2.", "to_out.0.", "ff.net.2.", "out_proj.", "mlp.fc2.")
        .anyMatch(name::contains)) {
      spread *= 0.5;
    }
    if (name.contains("decoder.conv_out.")) {
      spread *= 0.5;
    }
    return new double[] {0, spread};
  }

  @Override
  public String toString() {
    return name();
  }
}
