/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.ops.image.CannyEdges;
import io.github.flinkdiffusion.ops.image.FilledSize;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.operators.ProcessOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;

/** Control images of images that requests bring. */
class ControlImagesTest {
  private static final PayloadSettings PAYLOADS = PayloadSettings.of(new Configuration());
  private static final List<ControlImageStep> STEPS =
      List.of(
          new ControlImageStep.Fit("controlImage", 16, 16),
          new ControlImageStep.Edges("controlImage", 50, 150),
          new ControlImageStep.Colors("adapterImage", "000000 ff0000"));

  private static Raster photo() {
    float[] values = new float[3 * 20 * 30];
    for (int i = 0; i < values.length; i++) {
      values[i] = i % 30 > 12 && i / 30 % 20 > 7 ? 0.8f : 0.2f;
    }
    return new Raster(3, 20, 30, values);
  }

  private static Payload inline(Raster image) {
    return Payloads.inline(PngCodec.encode(image), "image/png");
  }

  private static Raster raster(Payload payload) {
    return PngCodec.decode(Payloads.inlineBytes(payload).orElseThrow());
  }

  private static <E extends SpecificRecord> OneInputStreamOperatorTestHarness<E, E> harness()
      throws Exception {
    var harness =
        new OneInputStreamOperatorTestHarness<E, E>(
            new ProcessOperator<>(new ControlImageFunction<E>(STEPS, PAYLOADS)));
    harness.open();
    return harness;
  }

  private static PromptEvent prompt(String id, Map<String, Payload> images) {
    return PromptEvent.newBuilder().setId(id).setPrompt("a cat").setImages(images).build();
  }

  @Test
  void stepsAreDoneInTheirOrderOnTheImagesThatAPromptHas() throws Exception {
    try (var harness = ControlImagesTest.<PromptEvent>harness()) {
      Payload other = inline(photo());
      Raster classes = new Raster(1, 1, 2, new float[] {0, 1 / 255f});
      harness.processElement(prompt("plain", Map.of()), 0);
      harness.processElement(
          prompt(
              "all",
              Map.of(
                  "controlImage", inline(photo()),
                  "adapterImage", inline(classes),
                  "ipAdapterImage", other)),
          0);

      assertThat(harness.extractOutputValues().get(0)).isEqualTo(prompt("plain", Map.of()));
      Map<String, Payload> made = harness.extractOutputValues().get(1).getImages();
      Raster expected = CannyEdges.of(FilledSize.of(photo(), 16, 16), 50, 150);
      assertThat(expected.data()).contains(0, 1);
      assertThat(raster(made.get("controlImage")).data()).containsExactly(expected.data());
      assertThat(raster(made.get("adapterImage")).data()).containsExactly(0, 1, 0, 0, 0, 0);
      assertThat(made.get("ipAdapterImage")).isEqualTo(other);
    }
  }

  @Test
  void anImageTaskHasThemMadeOfItsImage() throws Exception {
    try (var harness = ControlImagesTest.<ImageTaskEvent>harness()) {
      ImageTaskEvent task =
          ImageTaskEvent.newBuilder()
              .setId("task")
              .setImage(inline(photo()))
              .setImages(
                  Map.of("adapterImage", inline(new Raster(1, 1, 1, new float[] {1 / 255f}))))
              .build();
      harness.processElement(task, 0);

      ImageTaskEvent made = harness.extractOutputValues().get(0);
      assertThat(made.getImage()).isEqualTo(task.getImage());
      assertThat(made.getImages()).containsOnlyKeys("controlImage", "adapterImage");
      assertThat(raster(made.getImages().get("controlImage")).width()).isEqualTo(16);
    }
  }

  @Test
  void whatCannotBeMadeIsAFailure() throws Exception {
    try (var harness = ControlImagesTest.<PromptEvent>harness()) {
      Payload file =
          Payloads.stored(new PayloadReference("file:///nowhere/at/all", "0".repeat(64), 4L), "");
      harness.processElement(
          prompt("broken", Map.of("controlImage", Payloads.inline(new byte[3], ""))), 0);
      harness.processElement(
          prompt("color", Map.of("adapterImage", inline(Raster.filled(1, 1, 1, 1)))), 0);
      harness.processElement(prompt("forbidden", Map.of("controlImage", file)), 0);

      assertThat(harness.extractOutputValues()).isEmpty();
      List<FailureEvent> failures = new ArrayList<>();
      harness.getSideOutput(DiffusionOperator.FAILURES).stream()
          .map(StreamRecord::getValue)
          .forEach(failures::add);
      assertThat(failures)
          .extracting(FailureEvent::getReason)
          .containsExactly(
              FailureReason.INVALID_REQUEST, FailureReason.INVALID_REQUEST, FailureReason.PAYLOAD);
      assertThat(failures.get(0).getMessage()).startsWith("The request's controlImage: ");
      assertThat(failures.get(1).getMessage())
          .isEqualTo(
              "The request's adapterImage: Class 255 has no color; there are 2, for classes from"
                  + " 0");
      assertThat(EventCodec.prompts().decode(failures.get(2).getOriginal().array()).getId())
          .isEqualTo("forbidden");
    }
  }

  @Test
  void whatIsAskedForIsChecked() {
    assertThatThrownBy(() -> Diffusion.controlImages().addEdges("image", 1, 2))
        .isInstanceOf(DiffusionException.class)
        .hasMessageStartingWith("A control image 'image'; expected one of image2,")
        .hasMessageContaining("controlImage, controlImage2");
    assertThatThrownBy(() -> Diffusion.controlImages().addEdges("controlImage", Double.NaN, 2))
        .hasMessageContaining("NaN");
    assertThatThrownBy(() -> Diffusion.controlImages().addFit("controlImage", 0, 2))
        .hasMessageContaining("0 x 2");
    assertThatThrownBy(() -> Diffusion.controlImages().addClassColors("controlImage", "blue"))
        .hasMessageContaining("'blue'");
  }
}
