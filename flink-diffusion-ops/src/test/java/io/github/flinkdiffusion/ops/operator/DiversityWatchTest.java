/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.KeyedProcessOperator;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.apache.flink.util.CloseableIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DiversityWatchTest {
  private static final Path MODEL = Path.of("src/test/resources/fixtures/models/tiny-sd1");
  private static final int IMAGES = 12;

  @TempDir private Path folder;

  // ---------------------------------------------------------------- a model made to collapse

  @Test
  void aModelWhoseWeightsIgnoreTheNoiseGivesAnAlarmAndOneWhoseDoNotGivesNone() throws Exception {
    DiversityReading good = reading(folder(model("good", false)));
    DiversityReading bad = reading(folder(model("bad", true)));

    assertThat(good.isCollapsed()).isFalse();
    assertThat(good.vendi()).isGreaterThan(1.2);
    assertThat(good.distance()).isGreaterThan(0.02);
    assertThat(bad.isCollapsed()).isTrue();
    assertThat(bad.vendi()).isCloseTo(1, within(1e-3));
    assertThat(bad.distance()).isLessThan(1e-3);
    assertThat(bad.images()).isEqualTo(IMAGES);
    assertThat(bad.model()).isEqualTo("bad");
    assertThat(bad.prompt()).isEqualTo("a castle");
  }

  private static String folder(Path model) {
    return model.toString();
  }

  private static DiversityReading reading(String model) throws Exception {
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(1, new Configuration());
    List<PromptEvent> prompts = new ArrayList<>();
    for (int i = 0; i < IMAGES; i++) {
      prompts.add(
          PromptEvent.newBuilder()
              .setId("" + i)
              .setPrompt("a castle")
              .setSeed((long) i)
              .setSteps(3)
              .setGuidanceScale(1.0)
              .build());
    }
    DiffusionStreams results =
        Diffusion.textToImage()
            .setModel(model)
            .setDevice("cpu")
            .uid("draw")
            .apply(env.fromData(prompts, new AvroTypeInfo<>(PromptEvent.class)));
    try (CloseableIterator<DiversityReading> readings =
        Diffusion.diversity()
            .setImages(IMAGES)
            .byPrompt(Duration.ofHours(1))
            .uid("diversity")
            .apply(results.images())
            .executeAndCollect("diversity")) {
      DiversityReading reading = readings.next();
      assertThat(readings.hasNext()).isFalse();
      return reading;
    }
  }

  /** DDIM with the sample itself as prediction; a UNet that does not see its input says one. */
  private Path model(String name, boolean collapsed) throws IOException {
    Path copy = folder.resolve(name);
    try (Stream<Path> files = Files.walk(MODEL)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path to = copy.resolve(MODEL.relativize(file).toString());
        Files.createDirectories(to.getParent());
        Files.copy(file, to);
      }
    }
    ObjectMapper json = new ObjectMapper();
    Path index = copy.resolve("model_index.json");
    ObjectNode components = (ObjectNode) json.readTree(index.toFile());
    ((ArrayNode) components.get("scheduler")).set(1, "DDIMScheduler");
    json.writeValue(index.toFile(), components);
    Path scheduler = copy.resolve("scheduler/scheduler_config.json");
    ObjectNode config = (ObjectNode) json.readTree(scheduler.toFile());
    config.put("_class_name", "DDIMScheduler");
    if (collapsed) {
      config.put("prediction_type", "sample").put("set_alpha_to_one", true);
      Path unet;
      try (Stream<Path> files = Files.list(copy.resolve("unet"))) {
        unet = files.filter(file -> file.toString().endsWith(".safetensors")).findAny().get();
      }
      withoutInput(unet);
    }
    json.writeValue(scheduler.toFile(), config);
    return copy;
  }

  private static void withoutInput(Path weights) {
    HeapTensors.Builder changed = HeapTensors.builder();
    try (TensorStore store = Safetensors.open(weights)) {
      for (String name : store.names()) {
        TensorInfo info = store.info(name);
        byte[] bytes = new byte[(int) info.byteLength()];
        int at = 0;
        for (ByteBuffer part : store.data(name)) {
          int length = part.remaining();
          part.get(bytes, at, length);
          at += length;
        }
        changed.add(info, name.equals("conv_in.weight") ? new byte[bytes.length] : bytes);
      }
    }
    SafetensorsWriter.write(weights, changed.build());
  }

  // ---------------------------------------------------------------- windows

  private KeyedOneInputStreamOperatorTestHarness<String, ImageEvent, DiversityReading> open(
      boolean byPrompt, OperatorSubtaskState state) throws Exception {
    KeyedOneInputStreamOperatorTestHarness<String, ImageEvent, DiversityReading> harness =
        new KeyedOneInputStreamOperatorTestHarness<>(
            new KeyedProcessOperator<>(
                new DiversityWindows(
                    4,
                    1.2,
                    byPrompt,
                    Duration.ofHours(1),
                    PayloadSettings.of(new Configuration()))),
            image -> byPrompt ? image.getPrompt() : image.getModelDigest(),
            Types.STRING);
    harness.setup();
    if (state != null) {
      harness.initializeState(state);
    }
    harness.open();
    return harness;
  }

  private static ImageEvent image(String id, String prompt, long seed, byte[] content) {
    return ImageEvent.newBuilder()
        .setId(id)
        .setImage(ByteBuffer.wrap(content))
        .setWidth(20)
        .setHeight(10)
        .setPrompt(prompt)
        .setSeed(seed)
        .setModel("m")
        .setModelDigest("d")
        .build();
  }

  private static byte[] noise(long seed) {
    Random random = new Random(seed);
    float[] data = new float[3 * 10 * 20];
    for (int i = 0; i < data.length; i++) {
      data[i] = random.nextFloat();
    }
    return PngCodec.encode(new Raster(3, 10, 20, data));
  }

  @Test
  void theSameSeedCountsOnceAndWhatIsNoImageNotAtAll() throws Exception {
    try (var harness = open(false, null)) {
      for (int i = 0; i < 3; i++) {
        harness.processElement(image("a" + i, "a cat", 1, noise(1)), i);
      }
      harness.processElement(image("broken", "a cat", 2, "no image".getBytes()), 3);
      harness.processElement(image("b", "a cat", 3, noise(3)), 4);
      harness.processElement(image("c", "a dog", 1, noise(4)), 5);
      assertThat(harness.extractOutputValues()).isEmpty();

      harness.processElement(image("d", "a dog", 2, noise(5)), 6);

      assertThat(harness.extractOutputValues())
          .singleElement()
          .satisfies(
              reading -> {
                assertThat(reading.images()).isEqualTo(4);
                assertThat(reading.firstId()).isEqualTo("a0");
                assertThat(reading.lastId()).isEqualTo("d");
                assertThat(reading.prompt()).isEmpty();
                assertThat(reading.vendi()).isGreaterThan(3);
              });
    }
  }

  @Test
  void aWindowSurvivesARestartAndTheNextOneBeginsEmpty() throws Exception {
    OperatorSubtaskState state;
    try (var harness = open(true, null)) {
      harness.processElement(image("a", "a cat", 1, noise(1)), 1);
      harness.processElement(image("other", "a dog", 1, noise(9)), 1);
      harness.processElement(image("b", "a cat", 2, noise(1)), 2);
      state = harness.snapshot(1, 3);
    }
    try (var harness = open(true, state)) {
      harness.processElement(image("c", "a cat", 3, noise(1)), 4);
      harness.processElement(image("d", "a cat", 4, noise(1)), 5);
      harness.processElement(image("e", "a cat", 5, noise(1)), 6);

      assertThat(harness.extractOutputValues())
          .singleElement()
          .satisfies(
              reading -> {
                assertThat(reading.firstId()).isEqualTo("a");
                assertThat(reading.lastId()).isEqualTo("d");
                assertThat(reading.isCollapsed()).isTrue();
                assertThat(reading.distance()).isZero();
              });
    }
  }

  @Test
  void whatCannotBeIsRefused() {
    assertThatThrownBy(() -> Diffusion.diversity().setImages(1))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("1 images; expected 2 to 500");
    assertThatThrownBy(() -> Diffusion.diversity().setLimit(0.5)).hasMessageContaining("0.5");
    assertThatThrownBy(() -> Diffusion.diversity().byPrompt(Duration.ZERO))
        .hasMessageContaining("more than 0");
  }
}
