/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InstructedResultTest {
  private static final Path MODEL =
      Path.of("src/test/resources/fixtures/models/tiny-instruct-pix2pix");
  private static final InstructedResult PLAIN = model(null);

  private static InstructedResult model(String result) {
    ObjectNode index = JsonNodeFactory.instance.objectNode();
    if (result != null) {
      index.put("result", result);
    }
    return InstructedResult.of(Config.of("model_index.json", index));
  }

  private static Arguments asking(String result) {
    return Arguments.NONE.with(Parameters.RESULT, result);
  }

  @Test
  void aPictureIsAPictureUnlessTheModelOrTheRequestSaysOtherwise() {
    assertThat(PLAIN.meaning(Arguments.NONE)).isEqualTo(ResultMeaning.PICTURE);
    assertThat(model("boxes").meaning(Arguments.NONE).kind()).isEqualTo(ResultKind.BOXES);
    assertThat(model("boxes").meaning(asking("mask")).kind()).isEqualTo(ResultKind.MASK);
  }

  @Test
  void whatIsSegmentedIsWhiteOnBlack() {
    ClassMap map =
        PLAIN.meaning(asking("mask").with(Parameters.LABELS, "dog")).classes().orElseThrow();
    assertThat(map.labels()).containsExactly("background", "dog");
    assertThat(map.isBackground(0)).isTrue();
    Raster sample = new Raster(3, 1, 2, new float[] {0.3f, 0.8f, 0.4f, 0.7f, 0.2f, 0.9f});
    assertThat(map.shares(sample).data()).containsExactly(1, 0, 0, 1);
  }

  @Test
  void whatIsDetectedIsInBlueBoxes() {
    BoxStyle style =
        PLAIN.meaning(asking("boxes").with(Parameters.LABELS, "dog")).boxes().orElseThrow();
    assertThat(style).isEqualTo(new BoxStyle(List.of(new Rgb(0, 0, 255)), List.of("dog")));
  }

  @Test
  void severalLabelsHaveTheirColors() {
    Arguments several =
        asking("boxes")
            .with(Parameters.LABELS, "dog; cat")
            .with(Parameters.COLORS, new Numbers(255, 0, 0, 0, 255, 0));
    assertThat(PLAIN.meaning(several).boxes().orElseThrow())
        .isEqualTo(
            new BoxStyle(List.of(new Rgb(255, 0, 0), new Rgb(0, 255, 0)), List.of("dog", "cat")));
  }

  @ParameterizedTest
  @CsvSource({
    "picture, dog, , labels or colors",
    "mask, 'dog;cat', , 'colors has 0 numbers'",
    "mask, 'dog;;cat', , a blank one",
    "boxes, 'dog;cat', 1;2;3, 'colors has 3 numbers'",
    "boxes, 'dog;cat', 1;2;3;1;2;3, one color twice",
    "mask, dog, 0;0;0, black"
  })
  void whatDoesNotFitIsRefused(String result, String labels, String colors, String message) {
    Arguments request = asking(result).with(Parameters.LABELS, labels);
    if (colors != null) {
      request = request.with(Parameters.COLORS, Parameters.COLORS.parse(colors.replace(';', ',')));
    }
    GenerationRequest asked = new GenerationRequest("one", request);
    assertThatThrownBy(() -> PLAIN.check(asked))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(message);
  }

  @Test
  void aModelsResultThatIsNotKnownIsRefused() {
    assertThatThrownBy(() -> model("keypoints"))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("'result' is \"keypoints\"; supported: picture, mask, boxes");
  }

  @Test
  void aPipelineSaysWhatEachRequestsPictureMeans() {
    try (DiffusionPipeline pipeline = Pipelines.open(MODEL, PipelineSettings.on(DeviceSpec.CPU))) {
      GenerationSpec spec =
          GenerationSpec.of("one")
              .with(Parameters.PROMPT, "detect the dog")
              .with(Parameters.IMAGE, Raster.filled(3, 32, 32, 0.5f));
      assertThat(pipeline.model().result(Arguments.NONE).kind()).isEqualTo(ResultKind.PICTURE);
      assertThat(pipeline.model().result(pipeline.model().prepare(spec).arguments()).kind())
          .isEqualTo(ResultKind.PICTURE);
      GenerationRequest boxes =
          pipeline
              .model()
              .prepare(spec.with(Parameters.RESULT, "boxes").with(Parameters.LABELS, "dog"));
      assertThat(pipeline.model().result(boxes.arguments()).boxes().orElseThrow().labels())
          .containsExactly("dog");
      assertThatThrownBy(() -> pipeline.model().prepare(spec.with(Parameters.RESULT, "points")))
          .hasMessageContaining("result is points; it must be picture, mask or boxes");
      assertThatThrownBy(
              () -> pipeline.model().prepare(spec.with(Parameters.COLORS, new Numbers(1, 2, 300))))
          .hasMessageContaining("three whole numbers from 0 to 255 for each label");
    }
  }
}
