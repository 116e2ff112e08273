/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Basis;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The format of savepoints. */
class InFlightSerializerTest {

  /**
   * What version 1 wrote; never written anew, so that old savepoints stay readable. A new version
   * gets a folder of its own, written once with {@code -Dfixtures.write=true}.
   */
  private static final Path VERSIONS = Path.of("src/test/resources/fixtures/operator-state");

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
          io.github.flinkdiffusion.ops.pipeline.Arguments.NONE
              .with(Parameters.PROMPT, "a lighthouse, \u706f\u53f0")
              .with(Parameters.NEGATIVE_PROMPT, "fog")
              .with(Parameters.SEED, 42L)
              .with(Parameters.SCHEDULER, "EulerDiscreteScheduler")
              .with(Parameters.STEPS, 20L)
              .with(Parameters.GUIDANCE_SCALE, 7.5)
              .with(Parameters.GUIDANCE_RESCALE, 0.0)
              .with(Parameters.ETA, 0.0)
              .with(Parameters.WIDTH, 64L)
              .with(Parameters.HEIGHT, 32L));

  /** By the fixture's name. */
  private static final Map<String, InFlight> ITEMS = items();

  static final List<String> NAMES = List.copyOf(ITEMS.keySet());

  /** What versions could write. */
  private static final Map<String, List<String>> WRITTEN =
      Map.of(
          "version-1",
          NAMES.subList(0, NAMES.indexOf("task-not-begun")),
          "version-2",
          NAMES.subList(0, NAMES.indexOf("task-not-begun")),
          "version-3",
          NAMES.subList(0, NAMES.indexOf("running-on-a-basis")),
          "version-4",
          NAMES.subList(0, NAMES.indexOf("waiting-after-an-attempt")),
          "version-5",
          NAMES.subList(0, NAMES.indexOf("text")),
          "version-6",
          NAMES);

  private static Map<String, InFlight> items() {
    Map<String, InFlight> items = new LinkedHashMap<>();
    items.put("waiting", new InFlight.Waiting(OptionalLong.of(1_700_000_000_000L), PROMPT, 0));
    items.put(
        "running",
        new InFlight.Running(
            OptionalLong.empty(),
            PROMPT,
            new TrajectorySnapshot(
                REQUEST,
                Basis.ofDigest("0123abcd"),
                7,
                new float[] {0, -0f, 1.5f, Float.MIN_VALUE, -3.25e30f},
                new float[][] {{1, 2, 3, 4, 5}, null},
                new byte[] {1, 2, 3}),
            0));
    items.put(
        "running-without-history",
        new InFlight.Running(
            OptionalLong.of(-1),
            PROMPT,
            new TrajectorySnapshot(
                REQUEST,
                Basis.ofDigest("0123abcd"),
                0,
                new float[] {1},
                new float[0][],
                new byte[0]),
            0));
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
    ImageTaskEvent task =
        ImageTaskEvent.newBuilder()
            .setId("scene-1")
            .setImage(Payloads.inline(new byte[] {1, 2, 3}, "image/tiff"))
            .setEnsembleSize(2)
            .build();
    items.put("task-not-begun", new InFlight.Task(OptionalLong.of(3), task, TaskProgress.NONE, 0));
    items.put(
        "task",
        new InFlight.Task(
            OptionalLong.empty(),
            task,
            new TaskProgress(
                Basis.ofDigest("0123abcd"),
                "3 x 4, 2 samples",
                Map.of(
                    4,
                    new TrajectorySnapshot(
                        REQUEST,
                        Basis.ofDigest("0123abcd"),
                        2,
                        new float[] {1, 2},
                        new float[0][],
                        new byte[] {7})),
                Map.of(5, new Raster(1, 1, 2, new float[] {0.25f, -3})),
                Map.of(
                    0,
                    Payloads.inline(new byte[] {8, 9}, TileResults.MEDIA_TYPE),
                    1,
                    Payloads.stored(
                        new PayloadReference("s3://b/p/1f/1f82", "1f82", 77L),
                        TileResults.MEDIA_TYPE))),
            0));
    Basis basis =
        new Basis(
            new TreeMap<>(
                Map.of(Basis.DIGEST, "0123abcd", Basis.PRECISION, "FLOAT32", "loras", "a=0.5")));
    items.put(
        "running-on-a-basis",
        new InFlight.Running(
            OptionalLong.of(4),
            PROMPT,
            new TrajectorySnapshot(
                REQUEST, basis, 1, new float[] {2}, new float[0][], new byte[] {3}),
            0));
    items.put(
        "task-on-a-basis",
        new InFlight.Task(
            OptionalLong.of(4),
            task,
            new TaskProgress(
                basis,
                "1 x 1, 1 samples",
                Map.of(),
                Map.of(1, new Raster(1, 1, 1, new float[] {0.5f})),
                Map.of()),
            0));
    items.put(
        "waiting-after-an-attempt",
        new InFlight.Waiting(OptionalLong.of(6), PROMPT, 1_500_000_000L));
    items.put(
        "running-for-some-time",
        new InFlight.Running(
            OptionalLong.of(6),
            PROMPT,
            new TrajectorySnapshot(
                REQUEST, basis, 1, new float[] {2}, new float[0][], new byte[] {3}),
            2_500_000_001L));
    items.put(
        "task-for-some-time",
        new InFlight.Task(OptionalLong.of(6), task, TaskProgress.NONE, Long.MAX_VALUE));
    items.put(
        "text",
        new InFlight.Finished(
            OptionalLong.of(7),
            new Outcome.Text(
                TextEvent.newBuilder()
                    .setId("poster-3")
                    .setText("a lighthouse")
                    .setTokens(2)
                    .setScores(Map.of("lighthouse", 1.0))
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
  void flinkHoldsItemsAsTheyAreAndWritesWhatItReads(String name) throws IOException {
    InFlight item = ITEMS.get(name);
    DataOutputSerializer out = new DataOutputSerializer(16);
    InFlightTypeSerializer.INSTANCE.serialize(item, out);
    InFlightTypeSerializer.INSTANCE.serialize(ITEMS.get("failure"), out);
    DataInputDeserializer in = new DataInputDeserializer(out.getCopyOfBuffer());

    assertThat(InFlightTypeSerializer.INSTANCE.copy(item)).isSameAs(item);
    assertThat(InFlightTypeSerializer.INSTANCE.isImmutableType()).isTrue();
    assertThat(InFlightTypeSerializer.INSTANCE.deserialize(in)).isEqualTo(item);
    assertThat(InFlightTypeSerializer.INSTANCE.deserialize(in)).isEqualTo(ITEMS.get("failure"));
    assertThat(in.available()).isZero();
  }

  @Test
  void anItemOfManyPiecesIsReadAgainAndCopiedWithoutBeingUnderstood() throws IOException {
    float[] sample = new float[100_003];
    for (int i = 0; i < sample.length; i++) {
      sample[i] = i * 0.7f;
    }
    InFlight item =
        new InFlight.Running(
            OptionalLong.of(1),
            PROMPT,
            new TrajectorySnapshot(
                REQUEST,
                Basis.ofDigest("0123abcd"),
                3,
                sample,
                new float[][] {sample},
                new byte[70_000]),
            0);
    DataOutputSerializer out = new DataOutputSerializer(16);
    InFlightTypeSerializer.INSTANCE.serialize(item, out);
    DataOutputSerializer copied = new DataOutputSerializer(16);
    InFlightTypeSerializer.INSTANCE.copy(new DataInputDeserializer(out.getCopyOfBuffer()), copied);

    assertThat(copied.getCopyOfBuffer()).isEqualTo(out.getCopyOfBuffer());
    assertThat(
            InFlightTypeSerializer.INSTANCE.deserialize(
                new DataInputDeserializer(copied.getCopyOfBuffer())))
        .isEqualTo(item);
  }

  @Test
  void aDamagedLengthDoesNotAllocateTheHeap() {
    byte[] bytes = {0x7f, (byte) 0xff, (byte) 0xff, (byte) 0xff, 0};
    assertThatThrownBy(
            () -> InFlightTypeSerializer.INSTANCE.deserialize(new DataInputDeserializer(bytes)))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("2147483647 bytes");
  }

  static Stream<Arguments> written() {
    return WRITTEN.entrySet().stream()
        .flatMap(
            version ->
                version.getValue().stream().map(name -> Arguments.of(version.getKey(), name)));
  }

  @ParameterizedTest
  @MethodSource("written")
  void whatEarlierVersionsWroteIsStillRead(String version, String name) throws IOException {
    byte[] bytes = Files.readAllBytes(VERSIONS.resolve(version).resolve(name + ".bin"));
    assertThat(InFlightSerializer.deserialize(bytes)).isEqualTo(ITEMS.get(name));
  }

  @Test
  void picturesAndNumbersOfARequestAreKeptBitForBit() {
    GenerationRequest request =
        new GenerationRequest(
            "poster-1",
            REQUEST
                .arguments()
                .with(
                    Parameters.IMAGE, new Raster(1, 1, 4, new float[] {0, 1, 77 / 255f, 3 / 255f}))
                .with(Parameters.MASK, new Raster(1, 2, 1, new float[] {0.3f, -2})));
    TrajectorySnapshot snapshot =
        new TrajectorySnapshot(
            request, Basis.ofDigest("0123abcd"), 1, new float[1], new float[0][], new byte[0]);
    InFlight item = new InFlight.Running(OptionalLong.empty(), PROMPT, snapshot, 0);
    assertThat(InFlightSerializer.deserialize(InFlightSerializer.serialize(item))).isEqualTo(item);
  }

  @Test
  @EnabledIfSystemProperty(named = "fixtures.write", matches = "true")
  void fixturesOfANewVersionAreWrittenOnce() throws IOException {
    Path current = VERSIONS.resolve("version-6");
    Files.createDirectories(current);
    for (Map.Entry<String, InFlight> item : ITEMS.entrySet()) {
      Path file = current.resolve(item.getKey() + ".bin");
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
          .hasMessageContaining("cannot be read");
    }
    assertThatThrownBy(() -> InFlightSerializer.deserialize(Arrays.copyOf(bytes, bytes.length + 1)))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("left over");
  }

  @Test
  void aLaterVersionIsRefusedWithWhatToDo() {
    byte[] bytes = InFlightSerializer.serialize(ITEMS.get("waiting"));
    bytes[0] = 7;
    assertThatThrownBy(() -> InFlightSerializer.deserialize(bytes))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("version 7")
        .hasMessageContaining("restore with the version that wrote it");
  }
}
