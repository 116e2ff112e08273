/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.TrainingState;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import io.github.flinkdiffusion.ops.training.Distillation.Consistency;
import io.github.flinkdiffusion.ops.training.Distillation.Guidance;
import io.github.flinkdiffusion.ops.training.Distillation.Progressive;
import io.github.flinkdiffusion.ops.training.Distillation.Pruned;
import io.github.flinkdiffusion.ops.training.Distillation.Row;
import io.github.flinkdiffusion.ops.training.Distillation.Scales;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Losses of students and their gradients, beside torch's with diffusers' networks. */
class DistillationTest {
  private static final ModelFolder MODEL = ModelFolder.open(Fixture.MODELS.resolve("tiny-sd1"));
  private static final TrainingLevels LEVELS = TrainingArithmeticTest.levels("scaled_linear");
  private static final Scales SCALES = new Scales(1, 20);

  /** The fixture's guidance weights, 5 and 12.5, as scales. */
  private static final double[] DRAWN = {6, 13.5};

  private static DistillationObjective.Party party(UnaryOperator<ObjectNode> changes) {
    Config base = MODEL.component("unet").config();
    ObjectNode json = changes.apply(base.node().deepCopy());
    UNet2DConditionConfig config = UNet2DConditionConfig.from(Config.of("student", json));
    return new DistillationObjective.Party(
        DistilledDenoiser.ofContext(new UNet2DCondition(config)), config.guidanceEmbedding());
  }

  private static DistillationObjective.Party embedding() {
    return party(json -> json.put("time_cond_proj_dim", 16));
  }

  private static DistillationObjective.Party same() {
    return party(UnaryOperator.identity());
  }

  private static DistillationObjective objective(
      Distillation distillation,
      DistillationObjective.Party student,
      PredictionTarget target,
      Distance distance) {
    return new DistillationObjective(
        distillation,
        same(),
        student,
        Optional.of(
            new DistillationObjective.Prompts(
                new ClipText(ClipTextConfig.from(MODEL.component("text_encoder").config())), 77)),
        target,
        distance,
        new HuberThreshold(HuberThreshold.Schedule.CONSTANT, 0.001));
  }

  /** As {@code student_of} of make_training_fixtures.py. */
  private static void write(
      TensorStore unet, TensorStore text, String name, long[] shape, java.io.OutputStream out)
      throws IOException {
    if (name.startsWith("text_encoder.")) {
      text.writeTo(name.substring("text_encoder.".length()), DType.F32, out);
      return;
    }
    if (name.startsWith("teacher.")) {
      unet.writeTo(name.substring("teacher.unet.".length()), DType.F32, out);
      return;
    }
    String stored = name.substring(name.indexOf("unet.") + "unet.".length());
    float[] values = new float[(int) Graph.elements(shape)];
    if (unet.contains(stored) && Arrays.equals(unet.info(stored).shape(), shape)) {
      float[] known = unet.floats(stored);
      for (int i = 0; i < values.length; i++) {
        values[i] = known[i] * 1.05f;
      }
    } else {
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (0.1 * Math.sin(i));
      }
    }
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    out.write(bytes.array());
  }

  /**
   * @param average what the student's average is multiplied by
   */
  private static void compare(
      String name, DistillationObjective objective, double average, Row... rows) {
    try (Fixture fixture = new Fixture("distillation.safetensors");
        TensorStore unet = MODEL.component("unet").open();
        TensorStore text = MODEL.component("text_encoder").open()) {
      ParameterSource source = (each, shape, out) -> write(unet, text, each, shape, out);
      try (TrainableNetwork network =
          GradientParityTest.train(objective.graph(), source, DistillationObjective::isStudent)) {
        network.restore(withAverage(network.state(), average));
        HostTensor[] inputs =
            objective.at(
                rows,
                DRAWN,
                LEVELS,
                fixture.tensor("clean"),
                fixture.tensor("noise"),
                fixture.longs("ids"),
                fixture.longs("empty_ids"));
        GradientParityTest.compare(fixture, name, network, inputs);
      }
    }
  }

  private static TrainingState withAverage(TrainingState state, double factor) {
    List<WeightState> weights = new ArrayList<>();
    for (WeightState weight : state.weights()) {
      float[] values = weight.value().data().clone();
      for (int i = 0; i < values.length; i++) {
        values[i] *= (float) factor;
      }
      Map<String, HostTensor.Floats> parts = new LinkedHashMap<>(weight.tensors());
      parts.put(WeightState.AVERAGE, new HostTensor.Floats(values, weight.value().shape()));
      weights.add(new WeightState(weight.name(), parts));
    }
    return new TrainingState(state.updates(), weights);
  }

  @ParameterizedTest
  @EnumSource(
      value = Distance.class,
      names = {"SQUARED", "SMOOTH_ABSOLUTE"})
  void latentConsistencyFollowsDiffusersTrainingProgram(Distance distance) {
    Consistency consistency = new Consistency(50, 10, SCALES);
    compare(
        "consistency/" + distance,
        objective(consistency, embedding(), PredictionTarget.EPSILON, distance),
        0.9,
        consistency.row(LEVELS, 0),
        consistency.row(LEVELS, 30));
  }

  @ParameterizedTest
  @ValueSource(strings = {"v", "sample"})
  void twoStepsOfTheTeacherAreOneOfTheStudent(String name) {
    PredictionTarget target = name.equals("v") ? PredictionTarget.V : PredictionTarget.SAMPLE;
    Progressive progressive = new Progressive(4, Scales.NONE);
    compare(
        "progressive/" + name,
        objective(progressive, same(), target, Distance.SQUARED),
        1,
        progressive.row(LEVELS, target, 1),
        progressive.row(LEVELS, target, 3));
  }

  @Test
  void twoCallsOfTheTeacherAreOneOfTheStudent() {
    Guidance guidance = new Guidance(SCALES, LossWeight.UNIFORM);
    compare(
        "guidance",
        objective(guidance, embedding(), PredictionTarget.EPSILON, Distance.SQUARED),
        1,
        at(40),
        at(700));
  }

  @Test
  void aNarrowerStudentLearnsDataPredictionsAndBlocks() {
    Pruned pruned = new Pruned(1, 0.5, 0.25, LossWeight.UNIFORM);
    DistillationObjective.Party student =
        party(
            json -> {
              json.putArray("block_out_channels").add(16).add(16).add(16).add(32);
              return json;
            });
    compare(
        "pruned",
        objective(pruned, student, PredictionTarget.EPSILON, Distance.SQUARED),
        1,
        at(40),
        at(700));
  }

  private static Row at(int level) {
    return new Row(level, 1, new Distillation.Point[] {Distillation.Point.of(LEVELS, level)});
  }

  /** The average is a parameter of the graph: an update has to be seen by the next loss. */
  @Test
  void theLossSeesTheAverageOfTheLastUpdate() throws IOException {
    Consistency consistency = new Consistency(50, 10, SCALES);
    DistillationObjective objective =
        objective(consistency, embedding(), PredictionTarget.EPSILON, Distance.SQUARED);
    try (Fixture fixture = new Fixture("distillation.safetensors");
        TensorStore unet = MODEL.component("unet").open();
        TensorStore text = MODEL.component("text_encoder").open();
        TrainableNetwork network =
            GradientParityTest.train(
                objective.graph(),
                new DistillationWeights(unet, text, 1),
                DistillationObjective::isStudent)) {
      HostTensor[] inputs =
          objective.inputs(
              new SplittableRandom(1),
              LEVELS,
              fixture.tensor("clean"),
              fixture.longs("ids"),
              fixture.longs("empty_ids"));
      TrainingState before = network.state();
      float first = network.accumulate(1, inputs);
      network.discard();
      network.restore(withAverage(before, 0.5));
      float moved = network.accumulate(1, inputs);
      network.discard();
      network.restore(before);
      assertThat(network.accumulate(1, inputs)).isEqualTo(first).isNotEqualTo(moved);
    }
  }

  /** Its embedding of the scale adds nothing yet. */
  @Test
  void aStudentOfTheSameSizeBeginsAsItsTeacher() throws IOException {
    try (TensorStore unet = MODEL.component("unet").open();
        TensorStore text = MODEL.component("text_encoder").open()) {
      DistillationWeights weights = new DistillationWeights(unet, text, 1);
      for (String name : List.of("unet.conv_in.weight", "average.unet.conv_in.weight")) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream known = new ByteArrayOutputStream();
        weights.write(name, unet.info("conv_in.weight").shape(), out);
        unet.writeTo("conv_in.weight", DType.F32, known);
        assertThat(out.toByteArray()).isEqualTo(known.toByteArray());
      }
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      weights.write("unet.time_embedding.cond_proj.weight", new long[] {4, 2}, out);
      assertThat(out.toByteArray()).isEqualTo(new byte[32]);
    }
  }

  @Test
  void whatCannotBeDistilledIsRefused() {
    Progressive seven = new Progressive(7, Scales.NONE);
    assertThatThrownBy(() -> seven.row(LEVELS, PredictionTarget.V, 1))
        .hasMessageContaining("to 7 steps")
        .hasMessageContaining("1000");
    assertThatThrownBy(
            () -> new Progressive(4, Scales.NONE).row(LEVELS, PredictionTarget.EPSILON, 1))
        .hasMessageContaining("epsilon");
    assertThatThrownBy(
            () ->
                objective(
                    new Guidance(SCALES, LossWeight.UNIFORM),
                    same(),
                    PredictionTarget.V,
                    Distance.SQUARED))
        .hasMessageContaining("embeds none");
    assertThatThrownBy(() -> new Guidance(Scales.NONE, LossWeight.UNIFORM))
        .hasMessageContaining("no guidance");
  }
}
