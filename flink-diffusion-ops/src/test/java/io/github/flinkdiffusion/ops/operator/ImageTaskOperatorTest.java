/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.connector.event.Box;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.Region;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.fakes.FakeUpscaler;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.pipeline.Seeds;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The operator for image tasks in Flink's harness; the device works call by call. */
class ImageTaskOperatorTest {
  private static final String DIGEST = "digest-of-fake-upscaler";

  private final ManualDevices devices = new ManualDevices();
  private final FakeUpscalers upscalers = new FakeUpscalers(1, DIGEST);

  private ImageSubtask open(Object... optionsAndValues) throws Exception {
    return new ImageSubtask(upscalers, settings(optionsAndValues), devices).open();
  }

  /** Gray, 16 bits, no two pixels near each other alike. */
  static Raster image(int width, int height) {
    float[] values = new float[width * height];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (i * 7919L % 60_000) / 65_535;
    }
    return new Raster(
        1,
        height,
        width,
        values,
        PixelFormat.of(Bands.GRAY, SampleType.UINT16),
        ImageMetadata.NONE);
  }

  static ImageTaskEvent.Builder task(String id, Raster image, String mediaType) {
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(Payloads.inline(Images.write(image, mediaType), ""))
        .setSeed(3L);
  }

  private static Raster read(Payload payload) {
    return Images.read(Payloads.inlineBytes(payload).orElseThrow(), ReadOptions.DEFAULT);
  }

  private static Raster picture(ImageEvent event) {
    return read(Payloads.image(event));
  }

  private Raster expected(Raster image, int steps, long seed) {
    return upscalers.pipeline().expected(image, steps, seed);
  }

  private static void assertClose(Raster actual, Raster expected) {
    assertThat(actual.data()).hasSameSizeAs(expected.data());
    for (int i = 0; i < expected.data().length; i++) {
      assertThat(actual.data()[i])
          .as("value %d", i)
          .isBetween(expected.data()[i] - 1 / 65_000f, expected.data()[i] + 1 / 65_000f);
    }
  }

  @Test
  void aResultIsInTheUnitsOfItsImageAndTellsHowItWasMade() throws Exception {
    Raster image = image(12, 10);
    try (ImageSubtask subtask = open()) {
      RecordContext context =
          new RecordContext(
              ByteBuffer.wrap(new byte[] {1}),
              Map.of("traceparent", ByteBuffer.wrap(new byte[] {2})));
      subtask.task(
          task("a", image, "image/png")
              .setSteps(4)
              .setAttributes(Map.of("k", "v"))
              .setContext(context)
              .build());
      subtask.settle();

      ImageEvent event = subtask.images().get(0);
      assertThat(event.getId()).isEqualTo("a");
      assertThat(event.getMediaType()).isEqualTo("image/png");
      assertThat(event.getWidth()).isEqualTo(24);
      assertThat(event.getHeight()).isEqualTo(20);
      assertThat(event.getSeed()).isEqualTo(3);
      assertThat(event.getSteps()).isEqualTo(4);
      assertThat(event.getScheduler()).isEqualTo("FakeScheduler");
      assertThat(event.getModelDigest()).isEqualTo(DIGEST);
      assertThat(event.getAttributes()).isEqualTo(Map.of("k", "v"));
      assertThat(event.getContext()).isEqualTo(context);
      assertThat(event.getUncertainty()).isNull();
      assertThat(event.getMask()).isNull();
      Raster result = picture(event);
      assertThat(result.format().type()).isEqualTo(SampleType.UINT16);
      assertClose(result, expected(image, 4, 3));
    }
  }

  @Test
  void withoutASeedItComesFromTheId() throws Exception {
    try (ImageSubtask subtask = open()) {
      subtask.task(task("a", image(4, 4), "image/png").setSeed(null).build());
      subtask.settle();

      assertThat(subtask.images().get(0).getSeed()).isEqualTo(Seeds.fromId("a"));
    }
  }

  @Test
  void aLargeImageIsCutIntoTilesThatShareCallsWithAnotherImagesTiles() throws Exception {
    Raster large = image(40, 37);
    Raster other = image(33, 50);
    try (ImageSubtask subtask = open()) {
      subtask.task(task("a", large, "image/tiff").build());
      subtask.task(task("b", other, "image/tiff").build());
      subtask.settle();

      assertThat(subtask.images())
          .extracting(ImageEvent::getId)
          .containsExactlyInAnyOrder("a", "b");
      for (ImageEvent event : subtask.images()) {
        assertThat(event.getMediaType()).isEqualTo("image/tiff");
        assertClose(picture(event), expected(event.getId().equals("a") ? large : other, 2, 3));
      }
      assertThat(subtask.meters().tiles.getCount()).isEqualTo(9 + 12);
      // 21 tiles of two steps each, in calls of 16 rows.
      assertThat(subtask.meters().steps.getCount()).isEqualTo(42);
    }
  }

  @Test
  void anEnsembleHasAMeanAndAnUncertainty() throws Exception {
    Raster image = image(20, 40);
    try (ImageSubtask subtask = open()) {
      subtask.task(task("a", image, "image/tiff").setEnsembleSize(3).build());
      subtask.settle();

      ImageEvent event = subtask.images().get(0);
      // Seeds 3, 4 and 5: their mean is seed 4's, their spread the root of 2/3 of a seed squared.
      assertClose(picture(event), expected(image, 2, 4));
      Raster spread = read(event.getUncertainty());
      assertThat(spread.width()).isEqualTo(40);
      assertThat(spread.format().type()).isEqualTo(SampleType.FLOAT32);
      for (float value : spread.data()) {
        assertThat(value)
            .isCloseTo(
                (float) Math.sqrt(2 / 3.0) * FakeUpscaler.SEED,
                org.assertj.core.data.Offset.offset(1e-5f));
      }
    }
  }

  @Test
  void whereverItIsBrokenOffItGoesOnAndMakesTheSamePicture() throws Exception {
    Raster image = image(40, 20);
    ImageTaskEvent task = task("a", image, "image/tiff").setEnsembleSize(2).setSteps(3).build();
    int breaks = 0;
    for (boolean broken = true; broken; breaks++) {
      ManualDevices before = new ManualDevices();
      OperatorSubtaskState state;
      long stepsBefore;
      try (ImageSubtask subtask =
          new ImageSubtask(upscalers, settings(ImageTaskOptions.PARTS_IN_FLIGHT, 3), before)
              .open()) {
        subtask.task(task);
        for (int i = 0; i < breaks; i++) {
          subtask.progress();
        }
        state = subtask.snapshot();
        broken = subtask.images().isEmpty();
        stepsBefore = subtask.meters().steps.getCount();
      }
      if (!broken) {
        break;
      }
      ManualDevices after = new ManualDevices();
      try (ImageSubtask subtask = new ImageSubtask(upscalers, settings(), after).restore(state)) {
        subtask.settle();
        assertThat(subtask.images()).as("broken off after %d", breaks).hasSize(1);
        assertClose(
            picture(subtask.images().get(0)), mean(expected(image, 3, 3), expected(image, 3, 4)));
        assertThat(subtask.meters().steps.getCount() + stepsBefore)
            .as("3 steps of 2 samples of 6 tiles, none made twice")
            .isEqualTo(3 * 2 * 6);
      }
    }
    assertThat(breaks).isGreaterThan(20);
  }

  @Test
  void savedInTheMiddleOfAnyCallItGoesOnAndMakesTheSamePicture() throws Exception {
    Raster image = image(40, 20);
    ImageTaskEvent task = task("a", image, "image/tiff").setSteps(3).build();
    int saved = 0;
    while (true) {
      Optional<OperatorSubtaskState> state = savedInCall(saved, task);
      if (state.isEmpty()) {
        break;
      }
      saved++;
      ManualDevices after = new ManualDevices();
      try (ImageSubtask subtask =
          new ImageSubtask(upscalers, settings(), after).restore(state.get())) {
        subtask.settle();
        assertThat(subtask.images()).as("saved in call %d", saved).hasSize(1);
        assertClose(picture(subtask.images().get(0)), expected(image, 3, 3));
      }
    }
    assertThat(saved).isGreaterThan(10);
  }

  /** Empty when there are not so many calls. */
  private Optional<OperatorSubtaskState> savedInCall(int which, ImageTaskEvent task)
      throws Exception {
    List<OperatorSubtaskState> states = new ArrayList<>();
    AtomicInteger calls = new AtomicInteger();
    FakeUpscaler pipeline = upscalers.pipeline();
    PipelineFactory watched = new OpenedBy(upscalers.model(), () -> pipeline);
    try (ImageSubtask subtask =
        new ImageSubtask(
                watched, settings(ImageTaskOptions.PARTS_IN_FLIGHT, 3), new ManualDevices())
            .open()) {
      pipeline.beforeCall =
          () -> {
            if (calls.getAndIncrement() == which) {
              try {
                states.add(subtask.snapshot());
              } catch (Exception e) {
                throw new IllegalStateException(e);
              }
            }
          };
      subtask.task(task);
      subtask.settle();
    }
    return states.stream().findFirst();
  }

  private static Raster mean(Raster a, Raster b) {
    float[] mean = new float[a.data().length];
    for (int i = 0; i < mean.length; i++) {
      mean[i] = (a.data()[i] + b.data()[i]) / 2;
    }
    return new Raster(a.channels(), a.height(), a.width(), mean);
  }

  @Test
  void onAnotherModelItBeginsAgain() throws Exception {
    Raster image = image(40, 20);
    OperatorSubtaskState state;
    try (ImageSubtask subtask = open(ImageTaskOptions.PARTS_IN_FLIGHT, 2)) {
      subtask.task(task("a", image, "image/tiff").setSteps(5).build());
      while (subtask.meters().steps.getCount() < 2) {
        subtask.progress();
      }
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    try (ImageSubtask subtask =
        new ImageSubtask(new FakeUpscalers(1, "other"), settings(), after).restore(state)) {
      subtask.settle();
      assertThat(subtask.images().get(0).getModelDigest()).isEqualTo("other");
      assertThat(subtask.meters().steps.getCount()).isEqualTo(6 * 5);
      assertThat(subtask.meters().restartedTrajectories.getCount()).isPositive();
      assertClose(picture(subtask.images().get(0)), expected(image, 5, 3));
    }
  }

  @Test
  void tilesOfALargeResultWaitInTheStoreAndTheResultIsAReference(@TempDir Path folder)
      throws Exception {
    Raster image = image(900, 700);
    try (ImageSubtask subtask =
        open(
            PayloadOptions.STORE,
            folder.toUri().toString(),
            PayloadOptions.INLINE_LIMIT,
            MemorySize.parse("100 kb"),
            ImageTaskOptions.TILE_SIZE,
            128)) {
      subtask.task(task("a", image, "image/tiff").build());
      subtask.settle();

      assertThat(subtask.failures()).isEmpty();
      PayloadReference reference = subtask.images().get(0).getImageReference();
      Raster result =
          Images.read(
              Files.readAllBytes(Path.of(URI.create(reference.getUri()))), ReadOptions.DEFAULT);
      assertClose(result, expected(image, 2, 3));
      try (Stream<Path> files = Files.walk(folder)) {
        assertThat(files.filter(Files::isRegularFile).count())
            .isEqualTo(1 + subtask.meters().tiles.getCount());
      }
    }
  }

  @Test
  void moreThanMemoryHoldsNeedsAStore() throws Exception {
    try (ImageSubtask subtask =
        open(ImageTaskOptions.MEMORY, MemorySize.parse("10 kb"), ImageTaskOptions.TILE_SIZE, 16)) {
      subtask.task(task("a", image(64, 64), "image/tiff").build());
      subtask.settle();

      FailureEvent failure = subtask.failures().get(0);
      assertThat(failure.getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
      assertThat(failure.getMessage())
          .contains("diffusion.payload.store", "diffusion.image.memory", "10240");
    }
  }

  @Test
  void whatIsWrongWithARequestIsAFailureWithTheRequestInItAndOthersGoOn(@TempDir Path folder)
      throws Exception {
    Raster image = image(8, 8);
    ImageTaskEvent noImage =
        task("noImage", image, "image/png")
            .setImage(Payloads.inline(new byte[] {1, 2, 3}, "image/png"))
            .build();
    ImageTaskEvent climbs =
        task("climbs", image, "image/png")
            .setImage(
                Payloads.stored(
                    new PayloadReference(folder.toUri() + "../x", "0".repeat(64), 5L), ""))
            .build();
    ImageTaskEvent gone =
        task("gone", image, "image/png")
            .setImage(
                Payloads.stored(
                    new PayloadReference(
                        folder.resolve("gone").toUri().toString(), "0".repeat(64), 5L),
                    ""))
            .build();
    ImageTaskEvent prompt = task("prompt", image, "image/png").setPrompt("larger").build();
    ImageTaskEvent bands =
        task(
                "bands",
                new Raster(3, 4, 4, new float[48])
                    .withFormat(PixelFormat.of(Bands.MEASUREMENTS, SampleType.UINT8)),
                "image/tiff")
            .build();
    try (ImageSubtask subtask = open(PayloadOptions.STORE, folder.toUri().toString())) {
      for (ImageTaskEvent event :
          List.of(noImage, climbs, gone, prompt, bands, task("", image, "image/png").build())) {
        subtask.task(event);
      }
      subtask.task(task("good", image, "image/png").build());
      subtask.settle();

      assertThat(subtask.images()).extracting(ImageEvent::getId).containsExactly("good");
      assertThat(subtask.failures())
          .extracting(FailureEvent::getId)
          .containsExactly("noImage", "climbs", "gone", "prompt", "bands", "");
      assertThat(subtask.failures())
          .extracting(FailureEvent::getReason)
          .containsExactly(
              FailureReason.INVALID_REQUEST,
              FailureReason.PAYLOAD,
              FailureReason.PAYLOAD,
              FailureReason.INVALID_REQUEST,
              FailureReason.INVALID_REQUEST,
              FailureReason.INVALID_REQUEST);
      assertThat(subtask.failures().get(0).getMessage()).contains("image", "3 bytes");
      assertThat(subtask.failures().get(3).getMessage()).contains("prompt", "image");
      assertThat(subtask.failures().get(4).getMessage()).contains("3 bands", "sees 1");
      assertThat(subtask.failures().get(0).getOriginal())
          .isEqualTo(java.nio.ByteBuffer.wrap(EventCodec.imageTasks().encode(noImage)));
    }
  }

  @Test
  void anImageIsBroughtToTheSizeThatIsAskedFor() throws Exception {
    try (ImageSubtask subtask = open()) {
      subtask.task(task("a", image(8, 8), "image/png").setWidth(5).setHeight(3).build());
      subtask.settle();

      assertThat(picture(subtask.images().get(0)).width()).isEqualTo(10);
      assertThat(picture(subtask.images().get(0)).height()).isEqualTo(6);
    }
  }

  @Test
  void aSmallImageDoesNotWaitForAllTilesOfALargeOne() throws Exception {
    try (ImageSubtask subtask = open(ImageTaskOptions.PARTS_IN_FLIGHT, 4)) {
      subtask.task(task("large", image(160, 160), "image/tiff").build());
      subtask.task(task("small", image(8, 8), "image/tiff").build());
      while (subtask.images().isEmpty()) {
        assertThat(subtask.progress()).isTrue();
      }

      assertThat(subtask.images()).extracting(ImageEvent::getId).containsExactly("small");
      subtask.settle();
      assertThat(subtask.images()).hasSize(2);
    }
  }

  /** The first call asks what heap the model needs, the second is the task's own. */
  @Test
  void aPartThatIsReadAgainAfterAnErrorTakesNoSecondPlace() throws Exception {
    AtomicInteger calls = new AtomicInteger();
    FakeUpscaler pipeline = upscalers.pipeline();
    PipelineFactory pipelines = new OpenedBy(upscalers.model(), () -> pipeline);
    try (ImageSubtask subtask =
        new ImageSubtask(pipelines, settings(ImageTaskOptions.PARTS_IN_FLIGHT, 2), devices)
            .open()) {
      pipeline.beforePrepare =
          () -> {
            int call = calls.incrementAndGet();
            if (call == 3 || call == 4) {
              throw new OutOfMemoryError("Java heap space");
            }
          };
      Raster image = image(40, 8);
      subtask.task(task("a", image, "image/tiff").setSteps(2).build());
      subtask.settle();
      subtask.harness.setProcessingTime(60_000);
      subtask.settle();

      assertThat(calls).as("the model, the task, three parts, two of them again").hasValue(7);
      assertThat(subtask.failures()).isEmpty();
      assertThat(subtask.images()).hasSize(1);
      assertClose(picture(subtask.images().get(0)), expected(image, 2, 3));
    }
  }

  @Test
  void progressCountsTheStepsOfAllParts() throws Exception {
    try (ImageSubtask subtask = open(DiffusionOptions.PROGRESS_EVERY_STEPS, 1)) {
      subtask.task(task("a", image(40, 8), "image/tiff").setSteps(2).build());
      subtask.settle();

      assertThat(subtask.progressEvents())
          .isNotEmpty()
          .allSatisfy(event -> assertThat(event.getTotalSteps()).isEqualTo(6));
      assertThat(subtask.progressEvents().get(subtask.progressEvents().size() - 1).getStep())
          .isEqualTo(6);
    }
  }

  @Test
  void withoutTilesAResultIsAsLargeAsTheModelMakesIt() throws Exception {
    Raster image = image(40, 30);
    FakeUpscalers whole = new FakeUpscalers(1, DIGEST, false, null);
    try (ImageSubtask subtask = new ImageSubtask(whole, settings(), devices).open()) {
      subtask.task(task("a", image, "image/png").build());
      subtask.settle();

      assertThat(subtask.images().get(0).getWidth()).isEqualTo(80);
      assertClose(picture(subtask.images().get(0)), expected(image, 2, 3));
    }
  }

  @Test
  void aSegmentationHasAMaskAndRegions() throws Exception {
    float[] values = new float[8 * 6];
    for (int y = 1; y < 4; y++) {
      values[y * 8 + 2] = 1;
      values[y * 8 + 3] = 1;
    }
    Raster image = new Raster(1, 6, 8, values);
    FakeUpscalers masks = new FakeUpscalers(1, DIGEST, false, ClassMap.binary("around", "organ"));
    try (ImageSubtask subtask = new ImageSubtask(masks, settings(), devices).open()) {
      subtask.task(task("a", image, "image/png").setEnsembleSize(2).build());
      subtask.settle();

      ImageEvent event = subtask.images().get(0);
      Raster mask = read(event.getMask());
      assertThat(mask.format().type()).isEqualTo(SampleType.UINT8);
      for (int y = 0; y < 12; y++) {
        for (int x = 0; x < 16; x++) {
          assertThat(mask.at(0, y, x)).isEqualTo(image.at(0, y / 2, x / 2));
        }
      }
      assertThat(picture(event).format().type()).isEqualTo(SampleType.UINT16);
      assertThat(event.getUncertainty()).isNotNull();
      assertThat(event.getRegions().getCrs()).isNull();
      Region region = event.getRegions().getItems().get(0);
      assertThat(event.getRegions().getItems()).hasSize(1);
      assertThat(region.getLabel()).isEqualTo("organ");
      assertThat(region.getAreaPixels()).isEqualTo(24);
      assertThat(region.getBox()).isEqualTo(new Box(4.0, 2.0, 4.0, 6.0));
      assertThat(region.getScore()).isCloseTo(1, within(1e-6));
      assertThat(region.getGeometry()).contains("Polygon", "[4", "8]");
    }
  }

  @Test
  void ofManyClassesTheMaskHoldsTheirNumbersAndThePictureTheirColors() throws Exception {
    float[] shares = new float[3 * 4 * 4];
    for (int i = 0; i < 16; i++) {
      shares[(i < 4 ? 0 : i < 8 ? 1 : 2) * 16 + i] = 1;
    }
    ClassMap classes =
        new ClassMap(
            ClassMap.Encoding.ONE_HOT,
            List.of("sea", "sand", "wood"),
            ClassMap.colors(3),
            OptionalInt.empty());
    FakeUpscalers masks = new FakeUpscalers(3, DIGEST, false, classes);
    try (ImageSubtask subtask = new ImageSubtask(masks, settings(), devices).open()) {
      subtask.task(task("a", new Raster(3, 4, 4, shares), "image/png").build());
      subtask.settle();

      ImageEvent event = subtask.images().get(0);
      Raster mask = read(event.getMask());
      Raster painted = picture(event);
      for (int y = 0; y < 8; y++) {
        int number = y < 2 ? 0 : y < 4 ? 1 : 2;
        assertThat(Math.round(mask.at(0, y, 5) * 255)).isEqualTo(number);
        for (int c = 0; c < 3; c++) {
          assertThat(painted.at(c, y, 5)).isEqualTo(ClassMap.colors(3).get(number).band(c));
        }
      }
      assertThat(event.getRegions().getItems())
          .extracting(Region::getLabel, Region::getAreaPixels)
          .containsExactly(tuple("wood", 32L), tuple("sea", 16L), tuple("sand", 16L));
    }
  }

  private static ImageTaskEvent largeTask(String id) {
    return task(id, new Raster(3, 40, 50, new float[3 * 40 * 50]), "image/png").build();
  }

  @Test
  void anImageWaitsForMemoryWithoutAThreadAndACheckpointHoldsIt() throws Exception {
    ManualDevices devices = new ManualDevices();
    FakeUpscalers upscalers = new FakeUpscalers(3, "d");
    DecodingMemory memory = devices.services.decoding();
    DecodingMemory.Reservation others = memory.reserve(memory.capacity());
    OperatorSubtaskState state;
    try (ImageSubtask subtask = new ImageSubtask(upscalers, settings(), devices).open()) {
      subtask.task(largeTask("a"));
      subtask.settle();
      assertThat(subtask.images()).as("waits").isEmpty();
      state = subtask.snapshot();
      others.close();
      subtask.settle();
      assertThat(subtask.images()).hasSize(1);
    }
    assertThat(memory.reserve(memory.capacity()).granted()).as("all is given back").isDone();
    ManualDevices later = new ManualDevices();
    try (ImageSubtask subtask = new ImageSubtask(upscalers, settings(), later).restore(state)) {
      subtask.settle();
      assertThat(subtask.images()).hasSize(1);
    }
  }

  @Test
  void aTaskThatEndsWhileAnImageWaitsForMemoryLeavesTheLine() throws Exception {
    ManualDevices devices = new ManualDevices();
    DecodingMemory memory = devices.services.decoding();
    DecodingMemory.Reservation others = memory.reserve(memory.capacity());
    try (ImageSubtask subtask =
        new ImageSubtask(new FakeUpscalers(3, "d"), settings(), devices).open()) {
      subtask.task(largeTask("a"));
      subtask.settle();
    }
    others.close();
    assertThat(memory.reserve(memory.capacity()).granted()).isDone();
  }

  @Test
  void anImageThatTakesMoreThanTheOptionIsAFailureThatNamesIt() throws Exception {
    ManualDevices devices = new ManualDevices();
    Object[] settings = {ImageTaskOptions.MAX_DECODED_SIZE, new MemorySize(29_999)};
    try (ImageSubtask subtask =
        new ImageSubtask(new FakeUpscalers(3, "d"), settings(settings), devices).open()) {
      subtask.task(largeTask("a"));
      subtask.settle();
      assertThat(subtask.failures())
          .singleElement()
          .extracting(FailureEvent::getMessage)
          .asString()
          .contains("bytes of heap; at most 29999 are accepted (diffusion.image.max-decoded-size)");
    }
    DecodingMemory memory = devices.services.decoding();
    assertThat(memory.reserve(memory.capacity()).granted()).isDone();
  }

  /** A line of some kilobytes becomes a large image by one of its sides alone. */
  @Test
  void anImageThatIsBroughtToAnotherWidthAloneIsReservedByItsNewSize() throws Exception {
    Raster line = new Raster(1, 4_000, 1, new float[4_000]);
    assertRefusedForItsSize(task("a", line, "image/png").setWidth(4_000).build(), "1 x 4000");
  }

  @Test
  void aTiffFileThatIsBroughtToAnotherSizeIsReservedAsAWhole() throws Exception {
    Raster large = new Raster(1, 2_000, 2_600, new float[2_000 * 2_600]);
    assertRefusedForItsSize(
        task("a", large, "image/tiff").setWidth(8).setHeight(8).build(), "2600 x 2000");
  }

  private static void assertRefusedForItsSize(ImageTaskEvent task, String size) throws Exception {
    ManualDevices devices = new ManualDevices();
    Object[] settings = {ImageTaskOptions.MAX_DECODED_SIZE, MemorySize.parse("20 mb")};
    try (ImageSubtask subtask =
        new ImageSubtask(new FakeUpscalers(1, "d"), settings(settings), devices).open()) {
      subtask.task(task);
      subtask.settle();
      assertThat(subtask.images()).isEmpty();
      assertThat(subtask.failures())
          .singleElement()
          .extracting(FailureEvent::getMessage)
          .asString()
          .startsWith("Reading the request's images (" + size + " pixels) takes ")
          .contains("Send a smaller image, or leave out width and height");
    }
  }
}
