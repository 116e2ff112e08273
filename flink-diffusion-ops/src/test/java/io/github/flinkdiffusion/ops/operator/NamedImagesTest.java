/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.FolderCase;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Images of the field {@code images}, of prompts and of image tasks, with a tiny ControlNet. */
class NamedImagesTest {
  private static final double ROUNDING = 1e-4;

  @TempDir private static Path temp;
  private static Path folder;

  private final ManualDevices devices = new ManualDevices();

  @BeforeAll
  static void write() throws IOException {
    folder = temp.resolve("control");
    FolderCase.ofPipeline("StableDiffusionControlNetPipeline").orElseThrow().write(folder);
  }

  private static Configuration config() {
    return Configuration.fromMap(
        Map.of(
            "diffusion.model.folder", folder.toString(), "diffusion.model.precision", "FLOAT32"));
  }

  private static PipelineFactory model() {
    return new ModelFolderPipelines(ModelSettings.of(config()));
  }

  private static Raster painted(int channels, int side) {
    float[] values = new float[channels * side * side];
    for (int i = 0; i < values.length; i++) {
      values[i] = i * 7 % 29 > 14 ? 1 : 0;
    }
    return new Raster(channels, side, side, values);
  }

  private static Payload inline(Raster image) {
    return Payloads.inline(PngCodec.encode(image), "image/png");
  }

  private static PromptEvent prompt(String id, Map<String, Payload> images) {
    return PromptEvent.newBuilder()
        .setId(id)
        .setPrompt("a table")
        .setSteps(3)
        .setSeed(5L)
        .setImages(images)
        .build();
  }

  private static GenerationSpec spec() {
    return GenerationSpec.of("spec")
        .with(Parameters.PROMPT, "a table")
        .with(Parameters.STEPS, 3L)
        .with(Parameters.SEED, 5L);
  }

  private static Raster generated(GenerationSpec spec) {
    try (DiffusionPipeline pipeline = Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU))) {
      List<Trajectory> trajectory = pipeline.start(List.of(pipeline.model().prepare(spec)));
      while (!trajectory.get(0).done()) {
        pipeline.step(trajectory);
      }
      return pipeline.finish(trajectory).get(0).image();
    }
  }

  private static Raster image(ImageEvent event) {
    return Images.read(
        Payloads.inlineBytes(Payloads.image(event)).orElseThrow(), ReadOptions.DEFAULT);
  }

  private static void assertClose(Raster actual, Raster expected) {
    assertThat(actual.data()).hasSameSizeAs(expected.data());
    double largest = 0;
    for (int i = 0; i < expected.data().length; i++) {
      largest = Math.max(largest, Math.abs(actual.data()[i] - expected.data()[i]));
    }
    // Of eight bits.
    assertThat(largest).isLessThan(0.5 / 255 + ROUNDING);
  }

  @Test
  void promptsWithAndWithoutControlImagesShareCallsAndGiveWhatThePipelineGives() throws Exception {
    Payload edges = inline(painted(1, 16));
    try (Subtask subtask = new Subtask(model(), settings(), devices.services).open()) {
      subtask.harness.processElement(prompt("edges", Map.of("controlImage", edges)), 1);
      PromptEvent plain = prompt("plain", Map.of());
      plain.setWidth(16);
      plain.setHeight(16);
      subtask.harness.processElement(plain, 1);
      subtask.settle(devices);

      assertThat(subtask.failures()).isEmpty();
      ImageEvent controlled = byId(subtask, "edges");
      assertThat(controlled.getWidth()).isEqualTo(16);
      assertThat(controlled.getAudit().getInputDigests())
          .containsExactly(Map.entry("controlImage", digest(edges)));
      // A gray image is one with three equal bands.
      Raster gray = painted(1, 16);
      Raster seen = new Raster(3, 16, 16, new float[3 * 256]);
      for (int c = 0; c < 3; c++) {
        System.arraycopy(gray.data(), 0, seen.data(), c * 256, 256);
      }
      assertClose(image(controlled), generated(spec().with(Parameters.CONTROL_IMAGE, seen)));
      assertClose(
          image(byId(subtask, "plain")),
          generated(spec().with(Parameters.WIDTH, 16L).with(Parameters.HEIGHT, 16L)));

      Audit audit = AuditRecords.audit(controlled.getAudit());
      PromptEvent again = Replay.prompt(audit, "again", Map.of("controlImage", edges));
      subtask.harness.processElement(again, 1);
      subtask.settle(devices);
      assertClose(image(byId(subtask, "again")), image(controlled));
    }
  }

  private static ImageEvent byId(Subtask subtask, String id) {
    return subtask.images().stream()
        .filter(image -> image.getId().equals(id))
        .findFirst()
        .orElseThrow();
  }

  private static String digest(Payload payload) {
    return Payloads.sha256(Payloads.inlineBytes(payload).orElseThrow());
  }

  @Test
  void aRequestGoesOnWithItsImageAfterARestart() throws Exception {
    PromptEvent request = prompt("edges", Map.of("controlImage", inline(painted(3, 16))));
    OperatorSubtaskState begun;
    OperatorSubtaskState waiting;
    try (Subtask subtask = new Subtask(model(), settings(), devices.services).open()) {
      subtask.harness.processElement(request, 1);
      waiting = subtask.snapshot();
      while (devices.encodeOne() || subtask.deliverMail()) {}
      devices.deviceCall();
      devices.deviceCall();
      begun = subtask.snapshot();
    }
    Raster expected = generated(spec().with(Parameters.CONTROL_IMAGE, painted(3, 16)));
    for (OperatorSubtaskState state : List.of(waiting, begun)) {
      ManualDevices others = new ManualDevices();
      try (Subtask subtask = new Subtask(model(), settings(), others.services).restore(state)) {
        subtask.settle(others);
        assertClose(image(byId(subtask, "edges")), expected);
        assertThat(byId(subtask, "edges").getAudit().getInputDigests()).containsKey("controlImage");
      }
    }
  }

  @Test
  void whatCannotBeReadOrIsNotTakenFailsByName() throws Exception {
    Payload edges = inline(painted(3, 16));
    Payload broken = Payloads.inline("no image".getBytes(), "image/png");
    Payload missing =
        Payloads.stored(
            new PayloadReference(temp.resolve("gone").toUri().toString(), "0".repeat(64), 4L), "");
    Payload large = inline(Raster.filled(3, 2000, 2000, 1));
    try (Subtask subtask =
        new Subtask(
                model(),
                settings(ImageTaskOptions.MAX_DECODED_SIZE, MemorySize.ofMebiBytes(20)),
                devices.services)
            .open()) {
      subtask.harness.processElement(prompt("not taken", Map.of("ipAdapterImage", edges)), 1);
      subtask.harness.processElement(prompt("no such", Map.of("edges", edges)), 1);
      subtask.harness.processElement(prompt("a field", Map.of("image", edges)), 1);
      subtask.harness.processElement(prompt("broken", Map.of("controlImage", broken)), 1);
      subtask.harness.processElement(prompt("forbidden", Map.of("controlImage", missing)), 1);
      subtask.harness.processElement(prompt("large", Map.of("controlImage", large)), 1);
      PromptEvent steps = prompt("steps", Map.of("controlImage", edges));
      steps.setSteps(100_000);
      subtask.harness.processElement(steps, 1);
      subtask.settle(devices);

      assertThat(subtask.images()).isEmpty();
      assertThat(message(subtask, "not taken"))
          .isEqualTo(
              "The request's images have 'ipAdapterImage', which model control takes only in a job"
                  + " with the option diffusion.model.ip-adapters.");
      assertThat(message(subtask, "no such")).contains("'edges', which model control does not");
      assertThat(message(subtask, "a field"))
          .contains("send an ImageTaskEvent, and set its field image");
      assertThat(message(subtask, "broken")).startsWith("The request's controlImage: ");
      assertThat(failure(subtask, "forbidden").getReason()).isEqualTo(FailureReason.PAYLOAD);
      assertThat(message(subtask, "large"))
          .contains("controlImage 2000 x 2000")
          .contains("at most 20971520 are accepted (diffusion.image.max-decoded-size)");
      assertThat(message(subtask, "steps")).contains("at most");
    }
    assertThat(devices.services.decoding().capacity()).isPositive();
  }

  private static FailureEvent failure(Subtask subtask, String id) {
    return subtask.failures().stream()
        .filter(each -> each.getId().equals(id))
        .findFirst()
        .orElseThrow();
  }

  private static String message(Subtask subtask, String id) {
    return failure(subtask, id).getMessage();
  }

  @Test
  void anImageTaskHasFurtherImages() throws Exception {
    Raster start = painted(3, 32);
    ImageTaskEvent task =
        ImageTaskEvent.newBuilder()
            .setId("task")
            .setImage(inline(start))
            .setPrompt("a table")
            .setSteps(3)
            .setSeed(5L)
            .setStrength(0.7)
            .setImages(Map.of("controlImage", inline(painted(3, 16))))
            .build();
    GenerationSpec spec =
        spec()
            .with(Parameters.IMAGE, start)
            .with(Parameters.STRENGTH, 0.7)
            .with(Parameters.CONTROL_IMAGE, painted(3, 16));
    try (ImageSubtask subtask = new ImageSubtask(model(), settings(), devices).open()) {
      subtask.task(task);
      subtask.settle();

      assertThat(subtask.failures()).isEmpty();
      ImageEvent result = subtask.images().get(0);
      assertClose(image(result), generated(spec));
      assertThat(result.getAudit().getInputDigests()).containsOnlyKeys("image", "controlImage");
      ImageTaskEvent again =
          Replay.imageTask(
              AuditRecords.audit(result.getAudit()),
              "again",
              Map.of("image", task.getImage(), "controlImage", inline(painted(3, 16))));
      subtask.task(again);
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      assertClose(image(subtask.images().get(1)), image(result));
    }
  }

  @Test
  void tilesSeeTheirPartOfAControlImage() throws Exception {
    try (ImageSubtask subtask =
        new ImageSubtask(
                model(),
                settings(ImageTaskOptions.TILE_SIZE, 16, ImageTaskOptions.TILE_OVERLAP, 0),
                devices)
            .open()) {
      ImageTaskEvent.Builder task =
          ImageTaskEvent.newBuilder()
              .setImage(inline(painted(3, 32)))
              .setPrompt("a table")
              .setSteps(2)
              .setSeed(5L);
      subtask.task(
          task.setId("small").setImages(Map.of("controlImage", inline(painted(3, 16)))).build());
      Raster left = Raster.filled(3, 32, 32, 0);
      Raster right = Raster.filled(3, 32, 32, 0);
      for (int i = 0; i < left.data().length; i++) {
        (i % 32 < 16 ? left : right).data()[i] = 1;
      }
      subtask.task(task.setId("left").setImages(Map.of("controlImage", inline(left))).build());
      subtask.task(
          task.setId("both")
              .setImages(Map.of("controlImage", inline(Raster.filled(3, 32, 32, 1))))
              .build());
      subtask.settle();

      assertThat(subtask.failures())
          .singleElement()
          .extracting(FailureEvent::getMessage)
          .isEqualTo(
              "controlImage is 16 x 16 pixels; the image is cut into tiles, so it must be as large"
                  + " as the image, 32 x 32.");
      Raster ofLeft = image(subtask.images().get(0));
      Raster ofBoth = image(subtask.images().get(1));
      assertThat(difference(ofLeft, ofBoth, 0)).isZero();
      assertThat(difference(ofLeft, ofBoth, 16)).isPositive();
    }
  }

  /** Largest difference of 16 columns. */
  private static double difference(Raster one, Raster other, int column) {
    double largest = 0;
    for (int c = 0; c < 3; c++) {
      for (int y = 0; y < one.height(); y++) {
        for (int x = column; x < column + 16; x++) {
          largest = Math.max(largest, Math.abs(one.at(c, y, x) - other.at(c, y, x)));
        }
      }
    }
    return largest;
  }

  @Test
  void aPromptIsCheckedBeforeAJobBegins() {
    Configuration config = config();
    config.set(DiffusionOptions.DEFAULT_STEPS, 2);
    PromptCheck check = PromptCheck.of(config);
    Payload edges = inline(painted(3, 16));
    check.require(prompt("good", Map.of("controlImage", edges)));
    assertThatThrownBy(() -> check.require(prompt("bad", Map.of("adapterImage", edges))))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("which model control does not take");
    Payload text = Payloads.inline("edges".getBytes(StandardCharsets.UTF_8), "image/png");
    assertThatThrownBy(() -> check.require(prompt("text", Map.of("controlImage", text))))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageStartingWith("The request's controlImage: ")
        .satisfies(e -> assertThat(e.getMessage().split("The request's", -1)).hasSize(2));
  }

  @Test
  void aRequestIsCancelledWhileItsImagesAreRead() throws Exception {
    try (CancellableSubtask subtask =
        new CancellableSubtask(model(), settings(), devices, 1, 0).open()) {
      subtask.prompt(prompt("edges", Map.of("controlImage", inline(painted(3, 16)))), 1);
      subtask.cancel("edges", 2);
      subtask.settle();

      assertThat(subtask.images()).isEmpty();
      assertThat(subtask.failures())
          .singleElement()
          .extracting(FailureEvent::getReason)
          .isEqualTo(FailureReason.CANCELLED);
    }
  }
}
