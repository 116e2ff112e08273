/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;

/**
 * Gradients of tiny networks beside torch's, with the weights of the model fixtures. The fixture
 * keeps of each gradient its length and its products with four waves.
 */
class GradientParityTest {
  private static final double TOLERANCE = 1e-4;
  private static final int TOKENS = 77;

  private static final ModelFolder STABLE_DIFFUSION =
      ModelFolder.open(Fixture.MODELS.resolve("tiny-sd1"));

  /** The graph's text encoder and unet of tiny-sd1. */
  private record StableDiffusion(TensorStore text, TensorStore unet) implements AutoCloseable {
    StableDiffusion() {
      this(
          STABLE_DIFFUSION.component(Denoiser.TEXT_ENCODER).open(),
          STABLE_DIFFUSION.component(Denoiser.UNET).open());
    }

    ParameterSource weights() {
      return new WarmStart(
          Map.of(Denoiser.TEXT_ENCODER + ".", text, Denoiser.UNET + ".", unet),
          (name, shape, out) -> {
            throw new IllegalStateException("no weight " + name);
          });
    }

    static DiffusionObjective objective() {
      return new DiffusionObjective(
          Denoiser.ofText(
              new ClipText(ClipTextConfig.from(config(Denoiser.TEXT_ENCODER))),
              new UNet2DCondition(UNet2DConditionConfig.from(config(Denoiser.UNET))),
              TOKENS),
          4,
          PredictionTarget.V);
    }

    @Override
    public void close() {
      text.close();
      unet.close();
    }
  }

  private static Config config(String component) {
    return STABLE_DIFFUSION.component(component).config();
  }

  @Test
  void ofAnUnconditionalUNet() {
    ModelComponent component =
        ModelFolder.open(Fixture.MODELS.resolve("tiny-ddpm")).component("unet");
    DiffusionObjective objective =
        new DiffusionObjective(
            Denoiser.unconditional(new UNet2D(UNet2DConfig.from(component.config()))),
            3,
            PredictionTarget.EPSILON);
    try (Fixture fixture = new Fixture("gradients.safetensors");
        TensorStore weights = component.open();
        TrainableNetwork network =
            train(objective.graph(), TrainedWeights.source(weights), name -> true)) {
      compare(fixture, "unet2d", network, inputs(fixture, "unet2d", objective));
    }
  }

  @Test
  void ofATextConditionedUNetAndItsTextEncoder() {
    DiffusionObjective objective = StableDiffusion.objective();
    try (Fixture fixture = new Fixture("gradients.safetensors");
        StableDiffusion model = new StableDiffusion();
        TrainableNetwork network = train(objective.graph(), model.weights(), name -> true)) {
      compare(fixture, "text", network, inputs(fixture, "text", objective, fixture.longs("ids")));
    }
  }

  @Test
  void ofAnAutoencoder() {
    ModelComponent component = STABLE_DIFFUSION.component("vae");
    Graph graph =
        new AutoencoderObjective(
                new AutoencoderKL(AutoencoderKLConfig.from(component.config())),
                4,
                new ReconstructionLoss(1, 0.5, 0.25))
            .graph();
    try (Fixture fixture = new Fixture("gradients.safetensors");
        TensorStore weights = component.open();
        TrainableNetwork network = train(graph, TrainedWeights.source(weights), name -> true)) {
      compare(
          fixture,
          "vae",
          network,
          fixture.tensor("vae/image"),
          fixture.tensor("vae/noise"),
          new HostTensor.Floats(new float[] {0.01f}, 1));
    }
  }

  @Test
  void ofLowRankAdaptersOfLinearLayersAndConvolutions() {
    LowRankAdapters adapters =
        new LowRankAdapters(
            path -> path.matches("unet\\..*\\.(to_q|to_k|to_v|to_out\\.0|conv1)"), 4, 8);
    DiffusionObjective objective = StableDiffusion.objective();
    Graph graph = adapters.in(objective.graph());
    try (Fixture fixture = new Fixture("gradients.safetensors");
        StableDiffusion model = new StableDiffusion();
        TrainableNetwork network =
            train(
                graph,
                (name, shape, out) ->
                    (LowRankAdapters.isAdapter(name)
                            ? fixture.weights("lora/weight/")
                            : model.weights())
                        .write(name, shape, out),
                LowRankAdapters::isAdapter)) {
      compare(fixture, "lora", network, inputs(fixture, "text", objective, fixture.longs("ids")));
    }
  }

  @Test
  void ofNewTokens() {
    NewTokens tokens =
        new NewTokens("text_encoder.text_model.embeddings.token_embedding.weight", 2);
    DiffusionObjective objective = StableDiffusion.objective();
    try (Fixture fixture = new Fixture("gradients.safetensors");
        StableDiffusion model = new StableDiffusion();
        TrainableNetwork network =
            train(
                tokens.in(objective.graph()),
                (name, shape, out) -> {
                  if (name.equals(tokens.parameter())) {
                    fixture.weights("inversion/").write("rows", shape, out);
                  } else {
                    model.weights().write(name, shape, out);
                  }
                },
                tokens.parameter()::equals)) {
      float loss =
          network.accumulate(1, inputs(fixture, "text", objective, fixture.longs("inversion/ids")));
      assertThat(loss).isCloseTo(fixture.scalar("inversion/loss"), within(1e-5f));
      assertThat(network.gradients()).hasSize(1);
      float[] expected = fixture.floats("inversion/gradient");
      double length = length(expected);
      float[] actual = network.gradients().get(0).value().data();
      assertThat(actual).hasSameSizeAs(expected);
      for (int i = 0; i < expected.length; i++) {
        assertThat((double) actual[i]).isCloseTo(expected[i], within(TOLERANCE * length));
      }
    }
  }

  private static double length(float[] values) {
    double squares = 0;
    for (float value : values) {
      squares += (double) value * value;
    }
    return Math.sqrt(squares);
  }

  private static HostTensor[] inputs(
      Fixture fixture, String name, DiffusionObjective objective, HostTensor... conditions) {
    return new DiffusionInputs(objective, TrainingArithmeticTest.levels("scaled_linear"))
        .at(
            fixture.levels(),
            fixture.tensor(name + "/clean"),
            fixture.tensor(name + "/noise"),
            conditions);
  }

  static TrainableNetwork train(Graph graph, ParameterSource weights, Predicate<String> trained) {
    return Engines.standard()
        .trainer()
        .train(
            Program.of("objective", graph, Precision.FLOAT32, weights),
            DeviceSpec.CPU,
            Arithmetic.AS_STORED,
            trained);
  }

  static void compare(
      Fixture fixture, String name, TrainableNetwork network, HostTensor... inputs) {
    float loss = network.accumulate(1, inputs);
    float expected = fixture.scalar(name + "/loss");
    assertThat(loss).isCloseTo(expected, within(1e-5f * Math.max(1, expected)));
    List<String> compared = new ArrayList<>();
    String prefix = name + "/gradient/";
    double greatest = 0;
    for (String key : fixture.names()) {
      greatest = key.startsWith(prefix) ? Math.max(greatest, fixture.doubles(key)[0]) : greatest;
    }
    for (NamedWeight gradient : network.gradients()) {
      String key = prefix + gradient.name();
      if (!fixture.names().contains(key)) {
        // torch has no gradient where nothing depends on the parameter.
        assertThat(length(gradient.value().data())).as(key).isZero();
        continue;
      }
      compared.add(key);
      double[] summary = fixture.doubles(key);
      double[] actual = summary(gradient.value().data());
      // What softmax cancels, such as biases of keys, has gradients of rounding alone.
      double tolerance = TOLERANCE * summary[0] + 1e-6 * greatest;
      for (int i = 0; i < summary.length; i++) {
        assertThat(actual[i]).as("%s, number %d", key, i).isCloseTo(summary[i], within(tolerance));
      }
    }
    assertThat(compared)
        .containsExactlyInAnyOrderElementsOf(
            fixture.names().stream().filter(key -> key.startsWith(prefix)).toList());
  }

  /** As {@code summary} of make_training_fixtures.py. */
  private static double[] summary(float[] gradient) {
    double[] waves = {0.7, 1.3, 2.1, 2.9};
    double[] summary = new double[1 + waves.length];
    summary[0] = length(gradient);
    for (int k = 0; k < waves.length; k++) {
      for (int i = 0; i < gradient.length; i++) {
        summary[1 + k] += gradient[i] * Math.cos(i * waves[k] + waves[k]);
      }
    }
    return summary;
  }
}
