/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.EfficientNetLite;
import io.github.flinkdiffusion.ops.network.InceptionV3;
import io.github.flinkdiffusion.ops.network.PerceptualNetwork;
import io.github.flinkdiffusion.ops.quality.FeatureDistance;
import io.github.flinkdiffusion.ops.quality.InceptionScore;
import io.github.flinkdiffusion.ops.quality.Manifold;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.data.Offset;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Against torch-fidelity, prdc and lpips, with weights and images that both sides draw: {@code
 * src/test/python/make_measuring_network_fixtures.py}.
 */
class MeasuringNetworksTest {
  /** 1e-4 relative. */
  private static final Percentage CLOSE = Percentage.withPercentage(0.01);

  private static JsonNode expected;

  @TempDir private static Path folder;

  @BeforeAll
  static void read() throws IOException {
    try (InputStream in =
        MeasuringNetworksTest.class.getResourceAsStream("/fixtures/quality/networks.json")) {
      expected = new ObjectMapper().readTree(in);
    }
  }

  private static InceptionFeatures inception() {
    Path file = folder.resolve("inception.safetensors");
    if (!Files.exists(file)) {
      DrawnWeights.write(file, InceptionV3.graph());
    }
    return InceptionFeatures.open(file, DeviceSpec.CPU);
  }

  private static List<Raster> pictures(String set, int count) {
    List<Raster> pictures = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int height = i == 2 ? 320 : 5 + 7 * i % 9;
      int width = i == 2 ? 400 : 4 + 5 * i % 9;
      pictures.add(DrawnWeights.picture(set + i, height, width, set.equals("pale")));
    }
    return pictures;
  }

  /** 1e-4 of the greatest of them. */
  private static void assertSame(float[] actual, JsonNode values) {
    double greatest = 0;
    for (JsonNode value : values) {
      greatest = Math.max(greatest, Math.abs(value.doubleValue()));
    }
    for (int i = 0; i < values.size(); i++) {
      assertThat((double) actual[64 * i])
          .as("number %d", 64 * i)
          .isCloseTo(values.get(i).doubleValue(), Offset.offset(1e-4 * greatest));
    }
  }

  private static double sum(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += value;
    }
    return sum;
  }

  @Test
  void inceptionSeesWhatTorchFidelitysDoesInEnlargedAndReducedImages() {
    JsonNode of = expected.get("inception");
    try (InceptionFeatures inception = inception()) {
      InceptionFeatures.Seen seen = inception.see(pictures("clear", 3));
      for (int i = 0; i < 3; i++) {
        assertSame(seen.features()[i], of.get("features").get(i));
        assertSame(seen.logits()[i], of.get("logits").get(i));
        assertThat(sum(seen.features()[i]))
            .isCloseTo(of.get("featureSums").get(i).doubleValue(), CLOSE);
      }
    }
  }

  @Tag("nightly")
  @Test
  void setsMeasureAsTorchFidelityAndPrdcSay() {
    JsonNode of = expected.get("inception");
    int count = of.get("images").intValue();
    InceptionFeatures.Seen clear;
    InceptionFeatures.Seen pale;
    try (InceptionFeatures inception = inception()) {
      clear = inception.see(pictures("clear", count));
      pale = inception.see(pictures("pale", count));
    }
    InceptionScore score = InceptionScore.of(TorchFidelityOrder.shuffled(clear.logits()), 10);
    assertClose(score.mean(), of, "inceptionScore");
    assertClose(score.deviation(), of, "inceptionDeviation");
    assertClose(FeatureDistance.frechet(clear.features(), pale.features()), of, "fid");
    assertClose(FeatureDistance.kernel(clear.features(), pale.features()), of, "kid");
    Manifold manifold =
        Manifold.of(clear.features(), pale.features(), of.get("nearest").intValue());
    assertClose(manifold.precision(), of, "precision");
    assertClose(manifold.recall(), of, "recall");
    assertClose(manifold.density(), of, "density");
    assertClose(manifold.coverage(), of, "coverage");
  }

  private static void assertClose(double actual, JsonNode of, String name) {
    assertThat(actual).as(name).isCloseTo(of.required(name).doubleValue(), CLOSE);
  }

  private static void comparePairs(PerceptualNetwork kind, String name) {
    Path file = folder.resolve(name + ".safetensors");
    DrawnWeights.write(file, kind.graph());
    JsonNode of = expected.get(name);
    List<Raster> first = new ArrayList<>();
    List<Raster> second = new ArrayList<>();
    List<Raster> seeds = new ArrayList<>();
    for (int i = 0; i < of.get("sizes").size(); i++) {
      JsonNode size = of.get("sizes").get(i);
      int height = size.get(0).intValue();
      int width = size.get(1).intValue();
      first.add(DrawnWeights.picture("first" + i, height, width, false));
      second.add(DrawnWeights.picture("second" + i, height, width, false));
      seeds.add(DrawnWeights.picture("seed" + i, 48, 48, false));
    }
    try (PerceptualDistance distance = PerceptualDistance.open(file, DeviceSpec.CPU)) {
      assertThat(distance.kind()).isEqualTo(kind);
      double[] distances = distance.between(first, second);
      for (int i = 0; i < distances.length; i++) {
        assertThat(distances[i]).isCloseTo(of.get("distances").get(i).doubleValue(), CLOSE);
      }
      assertClose(distance.meanPairwise(seeds), of, "diversity");
      assertThat(distance.between(first, first)).containsOnly(0);
    }
  }

  @Test
  void efficientNetSeesWhatItsPythonPackageDoes() throws IOException {
    Path file = folder.resolve("efficientnet.safetensors");
    DrawnWeights.write(file, EfficientNetLite.graph());
    List<Raster> pictures = new ArrayList<>();
    JsonNode cases;
    try (InputStream in =
        MeasuringNetworksTest.class.getResourceAsStream("/fixtures/quality/efficientnet.json")) {
      cases = new ObjectMapper().readTree(in);
    }
    for (JsonNode one : cases) {
      int number = pictures.size();
      pictures.add(
          DrawnWeights.picture(
              "seen" + number, one.get("height").intValue(), one.get("width").intValue(), false));
    }
    try (EfficientNetFeatures network = EfficientNetFeatures.open(file, DeviceSpec.CPU)) {
      float[][] features = network.of(pictures);
      for (int i = 0; i < features.length; i++) {
        JsonNode values = cases.get(i).get("features");
        double greatest = 0;
        for (JsonNode value : values) {
          greatest = Math.max(greatest, value.doubleValue());
        }
        for (int j = 0; j < values.size(); j++) {
          assertThat((double) features[i][16 * j])
              .as("image %d, feature %d", i, 16 * j)
              .isCloseTo(values.get(j).doubleValue(), Offset.offset(1e-4 * greatest));
        }
        assertThat(sum(features[i])).isCloseTo(cases.get(i).get("sum").doubleValue(), CLOSE);
      }
    }
    assertThatThrownBy(() -> EfficientNetFeatures.open(folder.resolve("no"), DeviceSpec.CPU))
        .isInstanceOf(WeightsException.class);
  }

  @Test
  void perceptualDistancesAreLpipsWithAlexNet() {
    comparePairs(PerceptualNetwork.ALEX, "alex");
  }

  @Tag("nightly")
  @Test
  void perceptualDistancesAreLpipsWithVgg() {
    comparePairs(PerceptualNetwork.VGG, "vgg");
  }

  @Test
  void whatCannotBeComparedIsRefused() {
    Path file = folder.resolve("refusing.safetensors");
    DrawnWeights.write(file, PerceptualNetwork.ALEX.graph());
    Raster small = Raster.filled(3, 30, 40, 0.5f);
    Raster large = Raster.filled(3, 40, 40, 0.5f);
    try (PerceptualDistance distance = PerceptualDistance.open(file, DeviceSpec.CPU)) {
      assertThatThrownBy(() -> distance.between(List.of(small), List.of(large)))
          .isInstanceOf(ImageException.class)
          .hasMessageContaining("40 x 30 and 40 x 40 pixels; both must have the same size");
      assertThatThrownBy(() -> distance.between(List.of(small), List.of(small)))
          .hasMessageContaining("needs sides of at least 31");
      assertThatThrownBy(() -> distance.meanPairwise(List.of(large)))
          .hasMessage("The mean distance of 1 images; at least 2 are needed");
    }
  }

  @Test
  void weightsOfAnotherNetworkAreRefused(@TempDir Path other) {
    assertThatThrownBy(() -> InceptionFeatures.open(other, DeviceSpec.CPU))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("the folder holds 0 files that end in .safetensors; one is needed");
    SafetensorsWriter.write(
        other.resolve("squeeze.safetensors"),
        HeapTensors.builder()
            .add("net.slice1.0.weight", new float[64 * 3 * 9], 64, 3, 3, 3)
            .build());
    assertThatThrownBy(() -> PerceptualDistance.open(other, DeviceSpec.CPU))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(
            "not LPIPS weights of alex (which have a tensor net.slice5.10.weight)");
    assertThatThrownBy(() -> InceptionFeatures.open(other, DeviceSpec.CPU))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("Conv2d_1a_3x3");
  }
}
