/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.EfficientNetLite;
import io.github.flinkdiffusion.ops.network.InceptionV3;
import io.github.flinkdiffusion.ops.network.PerceptualNetwork;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MeasureToolTest {
  private static final Path CLIP =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/quality/tiny-clip");

  @TempDir private Path folder;
  private Path made;
  private Path real;

  private record Ended(int exit, String out, String error) {}

  @BeforeEach
  void write() throws IOException {
    made = Files.createDirectory(folder.resolve("made"));
    real = Files.createDirectory(folder.resolve("real"));
    Random random = new Random(3);
    for (int i = 0; i < 12; i++) {
      Files.write(made.resolve(i + ".png"), png(random, 0.9f));
      Files.write(real.resolve(i + ".png"), png(random, 1));
    }
    Files.writeString(made.resolve("report.html"), "no image");
  }

  private static byte[] png(Random random, float white) {
    float[] data = new float[3 * 40 * 40];
    for (int i = 0; i < data.length; i++) {
      data[i] = white * random.nextFloat();
    }
    return Images.write(new Raster(3, 40, 40, data), "image/png");
  }

  /** Weights near 1 for norms, and small ones for layers. */
  private Path weights(Graph graph, String name) {
    HeapTensors.Builder tensors = HeapTensors.builder();
    Random random = new Random(5);
    graph
        .parameterShapes()
        .forEach(
            (parameter, shape) -> {
              float[] values = new float[(int) Graph.elements(shape)];
              double size = Math.sqrt(6.0 * shape[0] / values.length);
              for (int i = 0; i < values.length; i++) {
                float drawn = random.nextFloat();
                values[i] = shape.length > 1 ? (float) (size * (2 * drawn - 1)) : 0.5f + drawn;
              }
              tensors.add(parameter, values, shape);
            });
    Path file = folder.resolve(name + ".safetensors");
    SafetensorsWriter.write(file, tensors.build());
    return file;
  }

  private static Ended run(Object... arguments) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream error = new ByteArrayOutputStream();
    PrintStream stdout = System.out;
    PrintStream stderr = System.err;
    System.setOut(new PrintStream(out, true, UTF_8));
    System.setErr(new PrintStream(error, true, UTF_8));
    try {
      String[] texts = new String[arguments.length];
      for (int i = 0; i < texts.length; i++) {
        texts[i] = arguments[i].toString();
      }
      int exit = MeasureTool.run(texts);
      return new Ended(exit, out.toString(UTF_8), error.toString(UTF_8));
    } finally {
      System.setOut(stdout);
      System.setErr(stderr);
    }
  }

  @Test
  void imagesAndPromptsAreMeasuredWithIntervals() throws IOException {
    Path alex = weights(PerceptualNetwork.ALEX.graph(), "alex");
    Path prompts =
        Files.writeString(
            folder.resolve("prompts.tsv"), "0.png\ta red cat\n1.png\ta dog\n2.png\ttwo birds\n");
    Object[] arguments = {
      made, real, "--lpips", alex, "--clip", CLIP, "--prompts", prompts, "--device=cpu", "--json"
    };
    Ended ended = run(arguments);
    assertThat(ended.error()).isEmpty();
    assertThat(ended.exit()).isZero();
    JsonNode json = new ObjectMapper().readTree(ended.out());
    assertThat(json.get("generated").intValue()).isEqualTo(12);
    assertThat(json.get("real").intValue()).isEqualTo(12);
    assertThat(json.get("measures").fieldNames())
        .toIterable()
        .containsExactly("lpipsDiversity", "lpips", "clipScore", "rPrecision");
    JsonNode lpips = json.get("measures").get("lpips");
    assertThat(lpips.get("value").doubleValue())
        .isBetween(lpips.get("low").doubleValue(), lpips.get("high").doubleValue());
    assertThat(json.get("notes").toString()).contains("are of 3 images");
    assertThat(run(arguments).out()).as("again").isEqualTo(ended.out());
    assertThat(run(made, "--lpips", alex).out())
        .startsWith("12 generated images")
        .contains("lpipsDiversity")
        .doesNotContain("lpips ");
  }

  @Test
  void twoFoldersAreMeasuredByFeaturesOfEfficientNet() throws IOException {
    Path weights = weights(EfficientNetLite.graph(), "efficientnet");
    Ended ended =
        run(made, real, "--efficientnet", weights, "--device=cpu", "--resamples=10", "--json");
    assertThat(ended.error()).isEmpty();
    JsonNode json = new ObjectMapper().readTree(ended.out());
    assertThat(json.get("measures").fieldNames())
        .toIterable()
        .containsExactly("vendiScore", "fid", "kid", "precision", "recall", "density", "coverage");
    assertThat(json.get("measures").get("kid").has("low")).isTrue();
    assertThat(json.get("notes").toString()).contains("EfficientNet-Lite0");
    assertThat(run(made, real, "--efficientnet", weights, "--inception", weights).error())
        .contains("measure with one of them at a time");
  }

  @Tag("nightly")
  @Test
  void twoFoldersAreMeasuredByInception() throws IOException {
    Ended ended =
        run(made, real, "--inception", weights(InceptionV3.graph(), "inception"), "--json");
    assertThat(ended.error()).isEmpty();
    JsonNode figures = new ObjectMapper().readTree(ended.out()).get("measures");
    assertThat(figures.fieldNames())
        .toIterable()
        .containsExactly(
            "inceptionScore",
            "vendiScore",
            "fid",
            "kid",
            "precision",
            "recall",
            "density",
            "coverage");
    assertThat(figures).allMatch(figure -> figure.has("low"));
    assertThat(figures.get("fid").get("value").doubleValue()).isPositive();
    assertThat(figures.get("inceptionScore").get("value").doubleValue()).isBetween(1.0, 1008.0);
  }

  @Test
  void whatIsMissingIsNamed() throws IOException {
    assertThat(run(made).error())
        .contains("give --inception FILE, --efficientnet FILE, --lpips FILE or --clip FOLDER");
    assertThat(run(made, "--clip", CLIP).error()).contains("--clip and --prompts need each other");
    Path empty = Files.createDirectory(folder.resolve("empty"));
    assertThat(run(empty, "--lpips", "x").error()).contains("has no image");
    assertThat(run(made, "--lpips", folder.resolve("none.safetensors")).exit()).isEqualTo(1);
    Path prompts = Files.writeString(folder.resolve("prompts.tsv"), "0.png a red cat\n");
    assertThat(run(made, "--clip", CLIP, "--prompts", prompts).error())
        .contains("line 1: a file name, a tab and a prompt are needed");
    Files.writeString(prompts, "other.png\ta red cat\n");
    assertThat(run(made, "--clip", CLIP, "--prompts", prompts).error()).contains("names no file");
    Files.writeString(made.resolve("broken.png"), "no image");
    assertThat(run(made, "--lpips", weights(PerceptualNetwork.ALEX.graph(), "alex")).error())
        .contains("broken.png");
    assertThat(run(made, "--lpips", "x", "--device=tpu").error()).contains("it takes cpu, gpu:0");
  }
}
