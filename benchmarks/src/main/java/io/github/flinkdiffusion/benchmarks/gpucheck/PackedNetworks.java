/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.gpucheck;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.benchmarks.RunOptions;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.onnx.OnnxEmitter;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.torchscript.Convolutions;
import io.github.flinkdiffusion.ops.weights.Config;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** The networks of a pack: archives and models without weights, and lists of the weights. */
final class PackedNetworks {
  static final String MANIFEST = "manifest.json";
  static final String FOLDER = "networks";

  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
  private static final String FIXTURES = "flink-diffusion-ops/src/test/resources/fixtures/models";

  /** Where weights are used as they are mapped. */
  private static final String MAPPED = "cpu";

  /** Where they are copied to from the mapped files: also on the CPU, so that copying is tried. */
  private static final String COPIED_ON_CPU = "cpu:0";

  private static final String GPU = "cuda:0";

  private final Path pack;
  private final ArrayNode networks;

  private PackedNetworks(Path pack, ArrayNode networks) {
    this.pack = pack;
    this.networks = networks;
  }

  /**
   * A network.
   *
   * @param config resource, or file below the fixtures
   * @param check side of the latents in comparisons
   * @param speed side of the latents where speed is measured
   * @param rows of the calls whose speed is measured
   */
  private record Packed(
      String name,
      NetworkKind kind,
      boolean small,
      String config,
      int check,
      int speed,
      List<Integer> rows) {}

  private static final List<Packed> ALL =
      List.of(
          new Packed(
              "tiny-unet",
              NetworkKind.UNET,
              true,
              "tiny-sd1/unet/config.json",
              8,
              8,
              List.of(1, 2)),
          new Packed(
              "tiny-unet-xl",
              NetworkKind.UNET_XL,
              true,
              "tiny-sdxl/unet/config.json",
              8,
              8,
              List.of(1, 2)),
          new Packed(
              "tiny-dit",
              NetworkKind.DIT,
              true,
              "tiny-dit/transformer/config.json",
              8,
              8,
              List.of(1, 2)),
          new Packed(
              "tiny-vae",
              NetworkKind.AUTOENCODER,
              true,
              "tiny-sd1/vae/config.json",
              8,
              8,
              List.of(1, 2)),
          new Packed(
              "tiny-text",
              NetworkKind.TEXT_ENCODER,
              true,
              "tiny-sd1/text_encoder/config.json",
              8,
              8,
              List.of(2)),
          new Packed(
              "sd15-unet",
              NetworkKind.UNET,
              false,
              "/sd15/unet/config.json",
              8,
              64,
              List.of(1, 2, 4, 8, 16)),
          new Packed(
              "sdxl-unet",
              NetworkKind.UNET_XL,
              false,
              "/gpu-check/sdxl-unet.json",
              8,
              128,
              List.of(1, 2)),
          new Packed(
              "dit-xl-2",
              NetworkKind.DIT,
              false,
              "/gpu-check/dit-xl-2.json",
              32,
              32,
              List.of(1, 8)),
          new Packed(
              "sd15-vae",
              NetworkKind.AUTOENCODER,
              false,
              "/sd15/vae/config.json",
              8,
              64,
              List.of(1, 4)),
          new Packed(
              "sd15-text",
              NetworkKind.TEXT_ENCODER,
              false,
              "/sd15/text_encoder/config.json",
              8,
              8,
              List.of(2)));

  /** Writes the manifest and all that it names. */
  static void write(Path pack, boolean small) throws IOException {
    ObjectNode manifest = JSON.createObjectNode();
    manifest.put("libtorch", PackedProgram.libtorch());
    manifest.put("flavor", PackedProgram.FLAVOR);
    PackedNetworks networks = new PackedNetworks(pack, manifest.putArray("networks"));
    for (Packed each : ALL) {
      if (each.small || !small) {
        networks.add(each);
      }
    }
    JSON.writeValue(pack.resolve(MANIFEST).toFile(), manifest);
  }

  private void add(Packed network) throws IOException {
    String folder = FOLDER + "/" + network.name;
    Path config = pack.resolve(folder).resolve("config.json");
    Files.createDirectories(config.getParent());
    copyConfig(network, config);
    Config read = Config.read(config);
    Graph graph = network.kind.graph(read);
    ObjectNode node = networks.addObject();
    node.put("name", network.name)
        .put("kind", network.kind.toString())
        .put("small", network.small)
        .put("guided", network.kind.isGuided())
        .put("config", folder + "/config.json")
        .put("parameters", graph.parameterCount());
    network.rows.forEach(node.putArray("rows")::add);
    ArrayNode methods = node.putArray("methods");
    for (Method method : network.kind.methods(graph)) {
      ArrayNode inputs = methods.addObject().put("name", method.name()).putArray("inputs");
      for (Value input : method.inputs()) {
        Arguments.describe(input, read, network.check, network.speed, inputs.addObject());
      }
    }
    ObjectNode weights = node.putObject("weights");
    ObjectNode archives = node.putObject("archives");
    ObjectNode onnx = node.putObject("onnx");
    for (Precision precision : precisions(network)) {
      String in = precision.name().toLowerCase(Locale.ROOT);
      String base = folder + "/" + network.name + "-" + in;
      WeightList list = WeightList.of(graph, precision);
      Files.write(pack.resolve(base + ".header"), list.header());
      weights.put(in, base + ".header");
      Path file = Path.of(network.name + "-" + in + ".safetensors");
      for (String device : devices(network, precision)) {
        String archive = base + "-" + device.replace(":", "") + ".pt";
        ArchiveWriter.mapping(
                graph, precision, Convolutions.LIBRARY, name -> list.place(name, file), device)
            .write(pack.resolve(archive));
        archives.put(in + " " + device, archive);
      }
      byte[] model =
          new OnnxEmitter(
                  graph,
                  precision,
                  name -> list.place(name, file),
                  place -> place.file().toString())
              .model(network.kind.methods(graph).get(0));
      Files.write(pack.resolve(base + ".onnx"), model);
      onnx.put(in, base + ".onnx");
    }
  }

  /** SDXL's weights in float32 are 10 GB: its tiny sibling is what is compared. */
  private static List<Precision> precisions(Packed network) {
    return network.kind == NetworkKind.UNET_XL && !network.small
        ? List.of(Precision.FLOAT16)
        : List.of(Precision.FLOAT32, Precision.FLOAT16);
  }

  private static List<String> devices(Packed network, Precision precision) {
    if (network.small) {
      return List.of(MAPPED, COPIED_ON_CPU, GPU);
    }
    return precision == Precision.FLOAT32 ? List.of(MAPPED, GPU) : List.of(GPU);
  }

  private static void copyConfig(Packed network, Path target) throws IOException {
    if (network.small) {
      Files.copy(RunOptions.home().resolve(FIXTURES).resolve(network.config), target);
      return;
    }
    try (InputStream in = PackedNetworks.class.getResourceAsStream(network.config)) {
      Files.write(target, in.readAllBytes());
    }
  }
}
