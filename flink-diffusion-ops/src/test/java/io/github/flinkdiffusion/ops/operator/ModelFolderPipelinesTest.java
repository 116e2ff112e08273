/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The operator on a real (tiny, random) Stable Diffusion model. */
class ModelFolderPipelinesTest {
  private static final String FOLDER = "src/test/resources/fixtures/models/tiny-sd1";

  /** One level of eight bits, since a picture near the middle of two may be rounded either way. */
  private static final Offset<Float> ONE_LEVEL = Offset.offset(1.01f / 255);

  private static List<PromptEvent> prompts() {
    List<PromptEvent> prompts = new ArrayList<>();
    String[] schedulers = {
      "PNDMScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler", null
    };
    for (int i = 0; i < 8; i++) {
      prompts.add(
          PromptEvent.newBuilder()
              .setId("p" + i)
              .setPrompt("a photo of " + i)
              .setScheduler(schedulers[i % schedulers.length])
              .setSteps(4 + i)
              .setGuidanceScale(i % 2 == 0 ? 7.5 : 1.0)
              .build());
    }
    return prompts;
  }

  private static Map<String, float[]> undisturbed(List<PromptEvent> prompts) {
    Map<String, float[]> pictures = new HashMap<>();
    try (DiffusionPipeline pipeline =
        Pipelines.open(Path.of(FOLDER), PipelineSettings.on(DeviceSpec.CPU))) {
      for (PromptEvent prompt : prompts) {
        List<Trajectory> alone =
            pipeline.start(List.of(pipeline.model().prepare(Events.spec(prompt, settings()))));
        while (!alone.get(0).done()) {
          pipeline.step(alone);
        }
        pictures.put(prompt.getId(), pipeline.finish(alone).get(0).image().data());
      }
    }
    return pictures;
  }

  @Test
  void savedMidWayAndRestoredOnTwoSubtasksThePicturesAreEqual() throws Exception {
    List<PromptEvent> prompts = prompts();
    ModelFolderPipelines pipelines = factory();
    DiffusionSettings settings = settings(DiffusionOptions.DEVICE, "cpu");
    List<ImageEvent> images = new ArrayList<>();
    OperatorSubtaskState state;
    ManualDevices before = new ManualDevices();
    try (Subtask subtask = new Subtask(pipelines, settings, before.services).open()) {
      for (PromptEvent prompt : prompts) {
        subtask.harness.processElement(prompt, 0);
      }
      for (int call = 0; call < 9; call++) {
        before.deviceCall();
      }
      while (before.encodeOne()) {}
      subtask.deliverMail();
      images.addAll(subtask.images());
      state = subtask.snapshot();
    }
    assertThat(images).hasSize(1);
    ManualDevices after = new ManualDevices();
    for (int i = 0; i < 2; i++) {
      OperatorSubtaskState share =
          AbstractStreamOperatorTestHarness.repartitionOperatorState(state, 16, 1, 2, i);
      try (Subtask subtask =
          new Subtask(pipelines, settings, after.services, 2, i).restore(share)) {
        subtask.settle(after);
        images.addAll(subtask.images());
      }
    }

    Map<String, float[]> expected = undisturbed(prompts);
    assertThat(images)
        .extracting(ImageEvent::getId)
        .containsExactlyInAnyOrderElementsOf(expected.keySet());
    for (ImageEvent image : images) {
      assertThat(PngCodec.decode(image.getImage().array()).data())
          .as(image.getId())
          .containsExactly(expected.get(image.getId()), ONE_LEVEL);
      assertThat(image.getModel()).isEqualTo("tiny-sd1");
    }
  }

  @Test
  void whatTheModelRefusesBecomesAFailureAndTheRestGoesOn() throws Exception {
    ManualDevices devices = new ManualDevices();
    try (Subtask subtask =
        new Subtask(
                factory(),
                settings(DiffusionOptions.DEVICE, "cpu", DiffusionOptions.DEFAULT_STEPS, 2),
                devices.services)
            .open()) {
      PromptEvent good = PromptEvent.newBuilder().setId("good").setPrompt("a cat").build();
      subtask.harness.processElement(good, 0);
      subtask.harness.processElement(with(good, "width").setWidth(7).build(), 0);
      subtask.harness.processElement(with(good, "zero").setSteps(0).build(), 0);
      subtask.harness.processElement(with(good, "many").setSteps(10_000).build(), 0);
      subtask.harness.processElement(with(good, "scheduler").setScheduler("Magic").build(), 0);
      subtask.harness.processElement(with(good, "nan").setGuidanceScale(Double.NaN).build(), 0);
      subtask.harness.processElement(with(good, "long").setPrompt("cat ".repeat(500)).build(), 0);
      subtask.settle(devices);

      assertThat(subtask.failures())
          .extracting(FailureEvent::getId)
          .containsExactly("width", "zero", "many", "scheduler", "nan");
      assertThat(subtask.failures())
          .extracting(FailureEvent::getMessage)
          .anyMatch(message -> message.contains("width is 7"))
          .anyMatch(message -> message.contains("Magic"));
      assertThat(subtask.imageIds()).containsExactlyInAnyOrder("good", "long");
      assertThat(subtask.images())
          .filteredOn(ImageEvent::getPromptTruncated)
          .extracting(ImageEvent::getId)
          .containsExactly("long");
    }
  }

  /** Restored in the middle of its text, too; a text alone is nothing that this operator emits. */
  @Test
  void aTextThatIsGeneratedWithAnImageGoesAlongAsItsAttribute() throws Exception {
    Path folder = Path.of("src/test/resources/fixtures/models/tiny-unidiffuser");
    ModelFolderPipelines pipelines =
        new ModelFolderPipelines(
            ModelSettings.of(
                Configuration.fromMap(Map.of("diffusion.model.folder", folder.toString()))));
    DiffusionSettings settings = settings(DiffusionOptions.DEVICE, "cpu");
    PromptEvent both =
        PromptEvent.newBuilder()
            .setId("both")
            .setPrompt("")
            .setSteps(2)
            .setSeed(5L)
            .setAttributes(Map.of("user", "ada"))
            .build();
    String expected;
    try (DiffusionPipeline pipeline = Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU))) {
      List<Trajectory> alone =
          pipeline.start(List.of(pipeline.model().prepare(Events.spec(both, settings))));
      while (!alone.get(0).done()) {
        pipeline.step(alone);
      }
      expected = pipeline.finish(alone).get(0).text().orElseThrow().text();
    }
    OperatorSubtaskState state;
    ManualDevices before = new ManualDevices();
    try (Subtask subtask = new Subtask(pipelines, settings, before.services).open()) {
      subtask.harness.processElement(both, 0);
      subtask.harness.processElement(
          with(both, "image").setPrompt("a cat").setAttributes(Map.of()).build(), 0);
      subtask.harness.processElement(
          with(both, "text").setParameters(Map.of("mode", "text")).build(), 0);
      for (int call = 0; call < 5; call++) {
        before.deviceCall();
      }
      subtask.deliverMail();
      assertThat(subtask.failures())
          .extracting(FailureEvent::getMessage)
          .containsExactly(
              "Model tiny-unidiffuser writes texts, which this operator does not emit.");
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    try (Subtask subtask = new Subtask(pipelines, settings, after.services).restore(state)) {
      subtask.settle(after);
      assertThat(subtask.meters().restoredTrajectories.getCount()).isPositive();
      Map<String, ImageEvent> images = new HashMap<>();
      subtask.images().forEach(image -> images.put(image.getId(), image));
      assertThat(images.get("both").getAttributes())
          .containsExactlyInAnyOrderEntriesOf(Map.of("user", "ada", "diffusion-text", expected));
      assertThat(images.get("both").getAudit().getTask()).isEqualTo("joint-generation");
      assertThat(images.get("image").getAttributes()).isEmpty();
    }
  }

  private static PromptEvent.Builder with(PromptEvent prompt, String id) {
    return PromptEvent.newBuilder(prompt).setId(id);
  }

  private static ModelFolderPipelines factory() {
    return factory("FLOAT32");
  }

  private static ModelFolderPipelines factory(String precision) {
    return new ModelFolderPipelines(
        ModelSettings.of(
            Configuration.fromMap(
                Map.of("diffusion.model.folder", FOLDER, "diffusion.model.precision", precision))));
  }

  /** Another job of the task manager holds the model when its weights are replaced by a rename. */
  @Test
  void afterItsWeightsAreReplacedAFolderIsAnotherModelForJobsThatComeThen(@TempDir Path folder)
      throws Exception {
    Path model = folder.resolve("model");
    copy(Path.of(FOLDER), model);
    ModelFolderPipelines pipelines =
        new ModelFolderPipelines(
            ModelSettings.of(
                Configuration.fromMap(Map.of("diffusion.model.folder", model.toString()))));
    DiffusionSettings settings = settings(DiffusionOptions.DEVICE, "cpu");
    PromptEvent prompt =
        PromptEvent.newBuilder().setId("a").setPrompt("a photo").setSteps(2).setSeed(1L).build();
    ManualDevices devices = new ManualDevices();
    try (Subtask first = new Subtask(pipelines, settings, devices.services).open()) {
      Path weights = model.resolve("unet/diffusion_pytorch_model.safetensors");
      byte[] bytes = Files.readAllBytes(weights);
      for (int i = bytes.length - 1; i > bytes.length - 4_000; i -= 4) {
        bytes[i] ^= (byte) 0x80; // signs of the last tensor's numbers
      }
      Path other = Files.write(folder.resolve("new"), bytes);
      Files.move(other, weights, StandardCopyOption.REPLACE_EXISTING);
      try (Subtask second = new Subtask(pipelines, settings, devices.services).open()) {
        first.harness.processElement(prompt, 0);
        second.harness.processElement(prompt, 0);
        first.settle(devices);
        second.settle(devices);
        ImageEvent before = first.images().get(0);
        ImageEvent after = second.images().get(0);

        assertThat(after.getModelDigest())
            .isNotEqualTo(before.getModelDigest())
            .isEqualTo(pipelines.digest());
        assertThat(after.getImage()).isNotEqualTo(before.getImage());
        assertThat(devices.services.models().size()).isEqualTo(2);
      }
    }
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(from.relativize(file).toString()));
      }
    }
  }

  @Test
  void savedInOnePrecisionAndRestoredInAnotherARequestBeginsAnew() throws Exception {
    PromptEvent prompt =
        PromptEvent.newBuilder().setId("a").setPrompt("a photo").setSteps(4).build();
    DiffusionSettings settings = settings(DiffusionOptions.DEVICE, "cpu");
    OperatorSubtaskState state;
    ManualDevices before = new ManualDevices();
    try (Subtask subtask = new Subtask(factory("FLOAT32"), settings, before.services).open()) {
      subtask.harness.processElement(prompt, 0);
      for (int call = 0; call < 3; call++) {
        before.deviceCall();
      }
      state = subtask.snapshot();
    }
    byte[] undisturbed;
    ManualDevices alone = new ManualDevices();
    try (Subtask subtask = new Subtask(factory("BFLOAT16"), settings, alone.services).open()) {
      subtask.harness.processElement(prompt, 0);
      subtask.settle(alone);
      undisturbed = subtask.images().get(0).getImage().array();
    }
    ManualDevices after = new ManualDevices();
    try (Subtask subtask =
        new Subtask(factory("BFLOAT16"), settings, after.services).restore(state)) {
      subtask.settle(after);

      assertThat(subtask.meters().restartedTrajectories.getCount()).isEqualTo(1);
      assertThat(subtask.images().get(0).getImage().array()).isEqualTo(undisturbed);
      assertThat(subtask.images().get(0).getAudit().getParameters())
          .containsEntry("model.precision", "BFLOAT16")
          .containsKey("model.engine");
    }
  }
}
