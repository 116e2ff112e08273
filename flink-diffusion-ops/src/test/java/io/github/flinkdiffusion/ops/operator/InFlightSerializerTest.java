package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** The format of savepoints. */
class InFlightSerializerTest {

  /**
   * What version 1 wrote; never written anew, so that old savepoints stay readable. A new version
   * gets a folder of its own, written once with {@code -Dfixtures.write=true}.
   */
  private static final Path VERSION_1 =
      Path.of("src/test/resources/fixtures/operator-state/version-1");

  private static final PromptEvent PROMPT =
      PromptEvent.newBuilder()
          .setId("poster-1")
          .setPrompt("a lighthouse, \u706f\u53f0")
          .setNegativePrompt("fog")
          .setSeed(42L)
          .setSteps(20)
          .setGuidanceScale(7.5)
          .setScheduler("EulerDiscreteScheduler")
          .setWidth(64)
          .setHeight(32)
          .setPriority(3)
          .setAttributes(Map.of("campaign", "winter"))
          .build();

  private static final GenerationRequest REQUEST =
      new GenerationRequest(
          "poster-1",
          "a lighthouse, \u706f\u53f0",
          "fog",
          42,
          "EulerDiscreteScheduler",
          20,
          7.5,
          64,
          32);

  /** By the fixture's name. */
  private static final Map<String, InFlight> ITEMS = items();

  static final List<String> NAMES = List.copyOf(ITEMS.keySet());

  private static Map<String, InFlight> items() {
    Map<String, InFlight> items = new LinkedHashMap<>();
    items.put("waiting", new InFlight.Waiting(OptionalLong.of(1_700_000_000_000L), PROMPT));
    items.put(
        "running",
        new InFlight.Running(
            OptionalLong.empty(),
            PROMPT,
            new TrajectorySnapshot(
                REQUEST,
                "0123abcd",
                7,
                new float[] {0, -0f, 1.5f, Float.MIN_VALUE, -3.25e30f},
                new float[][] {{1, 2, 3, 4, 5}, null},
                new byte[] {1, 2, 3})));
    items.put(
        "running-without-history",
        new InFlight.Running(
            OptionalLong.of(-1),
            PROMPT,
            new TrajectorySnapshot(
                REQUEST, "0123abcd", 0, new float[] {1}, new float[0][], new byte[0])));
    items.put(
        "picture",
        new InFlight.Finished(
            OptionalLong.of(5),
            new Outcome.Picture(
                ImageEvent.newBuilder()
                    .setId("poster-1")
                    .setImage(ByteBuffer.wrap(new byte[] {9, 8, 7}))
                    .setDigest("ff")
                    .setWidth(64)
                    .setHeight(32)
                    .setPrompt("a lighthouse")
                    .setPromptTruncated(true)
                    .setSeed(42)
                    .setSteps(20)
                    .setGuidanceScale(7.5)
                    .setScheduler("EulerDiscreteScheduler")
                    .setModel("sd")
                    .setModelDigest("0123abcd")
                    .build())));
    items.put(
        "failure",
        new InFlight.Finished(
            OptionalLong.empty(),
            new Outcome.Failure(
                FailureEvent.newBuilder()
                    .setId("poster-2")
                    .setReason(FailureReason.NOT_FINITE)
                    .setMessage("The output is not finite.")
                    .setOriginal(ByteBuffer.wrap(new byte[] {4, 5}))
                    .setAttributes(Map.of("campaign", "winter"))
                    .build())));
    return items;
  }

  @ParameterizedTest
  @FieldSource("NAMES")
  void whatIsWrittenIsReadAgain(String name) {
    byte[] bytes = InFlightSerializer.serialize(ITEMS.get(name));
    assertThat(InFlightSerializer.deserialize(bytes)).isEqualTo(ITEMS.get(name));
  }

  @ParameterizedTest
  @FieldSource("NAMES")
  void whatVersion1WroteIsStillRead(String name) throws IOException {
    byte[] bytes = Files.readAllBytes(VERSION_1.resolve(name + ".bin"));
    assertThat(InFlightSerializer.deserialize(bytes)).isEqualTo(ITEMS.get(name));
  }

  @Test
  @EnabledIfSystemProperty(named = "fixtures.write", matches = "true")
  void fixturesOfANewVersionAreWrittenOnce() throws IOException {
    Files.createDirectories(VERSION_1);
    for (Map.Entry<String, InFlight> item : ITEMS.entrySet()) {
      Path file = VERSION_1.resolve(item.getKey() + ".bin");
      if (!Files.exists(file)) {
        Files.write(file, InFlightSerializer.serialize(item.getValue()));
      }
      assertThat(file).isNotEmptyFile();
    }
  }

  @Test
  void bitsOfNumbersAreKept() {
    TrajectorySnapshot read =
        ((InFlight.Running)
                InFlightSerializer.deserialize(InFlightSerializer.serialize(ITEMS.get("running"))))
            .trajectory();
    assertThat(Float.floatToRawIntBits(read.sample()[1])).isEqualTo(Float.floatToRawIntBits(-0f));
  }

  @ParameterizedTest
  @FieldSource("NAMES")
  void damagedBytesAreRefusedWhereverTheyEnd(String name) {
    byte[] bytes = InFlightSerializer.serialize(ITEMS.get(name));
    for (int length = 0; length < bytes.length; length++) {
      byte[] cut = Arrays.copyOf(bytes, length);
      assertThatThrownBy(() -> InFlightSerializer.deserialize(cut))
          .as("%s cut to %d bytes", name, length)
          .isInstanceOf(DiffusionException.class)
          .hasMessageContaining("can not be read");
    }
    assertThatThrownBy(() -> InFlightSerializer.deserialize(Arrays.copyOf(bytes, bytes.length + 1)))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("left over");
  }

  @Test
  void aLaterVersionIsRefusedWithWhatToDo() {
    byte[] bytes = InFlightSerializer.serialize(ITEMS.get("waiting"));
    bytes[0] = 2;
    assertThatThrownBy(() -> InFlightSerializer.deserialize(bytes))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("version 2")
        .hasMessageContaining("restore with the version that wrote it");
  }
}
