/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import io.github.flinkdiffusion.ops.batching.MemoryGuard.Call;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.NativeMemory;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.ManualTicker;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class MemoryGuardTest {

  /** A method that it did not hand on would be the interface's default, which says nothing. */
  @Test
  void handsOnEveryMethodOfAPipeline() {
    for (Method method : DiffusionPipeline.class.getMethods()) {
      assertThat(Arrays.stream(MemoryGuard.class.getDeclaredMethods()))
          .as(method.getName())
          .anyMatch(
              own ->
                  own.getName().equals(method.getName())
                      && Arrays.equals(own.getParameterTypes(), method.getParameterTypes()));
    }
  }

  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final long MIB = 1 << 20;

  private static final SessionListener SESSION =
      new SessionListener() {
        @Override
        public void onCall(CallReport report) {}

        @Override
        public void onDeviceFailed(BatchingException cause) {
          throw cause;
        }
      };

  /** As the kernel tells it: each call grows by 8 MiB, and so much address space is left. */
  private static NativeMemory memory(Path root, long leftBytes) throws IOException {
    Path self = Files.createDirectories(root.resolve("proc/self"));
    Files.writeString(self.resolve("clear_refs"), "");
    Files.writeString(self.resolve("status"), "VmSize:\t0 kB\nVmHWM:\t8192 kB\nVmRSS:\t0 kB\n");
    Files.writeString(self.resolve("limits"), "Max address space " + leftBytes + " x bytes\n");
    return new NativeMemory(root);
  }

  private static DiffusionPipeline guarded(
      FakePipeline pipeline, NativeMemory memory, OptionalLong most) {
    GenerationSpec example =
        GenerationSpec.of("example")
            .with(Parameters.PROMPT, "a")
            .with(Parameters.GUIDANCE_SCALE, 1.0);
    DiffusionPipeline guarded =
        MemoryGuard.around(
            pipeline,
            new BatchSettings(OptionalInt.of(8), Duration.ZERO, Optional.of(example), most),
            memory);
    pipeline.calls.clear();
    return guarded;
  }

  /**
   * Requests of the size that was measured, one of 16 times as many pixels, and what came of it.
   */
  private static Map<String, RecordedOutcome> run(DiffusionPipeline guarded) {
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      requests.add(FakePipeline.request("r" + i, 1));
    }
    requests.add(FakePipeline.request("large", 1, 1.0, 32));
    return run(guarded, requests, Submission.DEFAULT, SESSION);
  }

  private static Map<String, RecordedOutcome> run(
      DiffusionPipeline guarded,
      List<GenerationRequest> requests,
      Submission how,
      SessionListener listener) {
    StepBatcher batcher = new StepBatcher(guarded, BatchPolicy.ofRows(8), new ManualTicker());
    BatchSession session = batcher.join(listener);
    Map<String, RecordedOutcome> outcomes = new LinkedHashMap<>();
    for (GenerationRequest request : requests) {
      outcomes.put(request.id(), new RecordedOutcome());
      session.submit(new Work.Fresh(request), how, outcomes.get(request.id()));
    }
    while (batcher.runOnce()) {}
    return outcomes;
  }

  private static void assertSplitAndRefused(FakePipeline pipeline, DiffusionPipeline guarded) {
    Map<String, RecordedOutcome> outcomes = run(guarded);
    RequestFailure failure = outcomes.remove("large").failure;
    assertThat(failure.kind()).isEqualTo(RequestFailure.Kind.OUT_OF_MEMORY);
    assertThat(failure.message()).contains("A call of 1 rows of 1024 pixels takes about 166 MiB");
    assertThat(outcomes.values()).allMatch(outcome -> outcome.image != null);
    assertThat(pipeline.calls)
        .as("no call was made that does not fit")
        .noneMatch(call -> call.contains("large@") || call.split(",").length > 4);
    assertThat(pipeline.calls).anyMatch(call -> call.startsWith("step") && call.contains(","));
  }

  /** Room for 4 rows of 8 MiB, raised by the margin. */
  private static final long ROOM = (long) (4 * 8 * MIB * MemoryGuard.MARGIN) + 1;

  @Test
  void aCallThatWouldNotFitIsSplitAndARequestThatDoesNotFitAloneFails(@TempDir Path root)
      throws Exception {
    FakePipeline pipeline = new FakePipeline();
    NativeMemory memory = memory(root, MemoryGuard.RESERVE_BYTES + ROOM);
    assertSplitAndRefused(pipeline, guarded(pipeline, memory, OptionalLong.empty()));
  }

  @Test
  void theOptionLimitsACallWhateverTheProcessHas(@TempDir Path root) throws Exception {
    FakePipeline pipeline = new FakePipeline();
    NativeMemory memory = memory(root, 1L << 40);
    assertSplitAndRefused(pipeline, guarded(pipeline, memory, OptionalLong.of(ROOM)));
  }

  /** Such as factors of LoRAs, which the measured calls do not have. */
  @Test
  void whatRowsBringAlongCountsToo(@TempDir Path root) throws Exception {
    FakePipeline pipeline = new FakePipeline();
    DiffusionPipeline guarded =
        guarded(pipeline, memory(root, MemoryGuard.RESERVE_BYTES + ROOM), OptionalLong.empty());
    pipeline.rowBytes = 8 * MIB;
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      requests.add(FakePipeline.request("r" + i, 3));
    }
    Map<String, RecordedOutcome> outcomes = run(guarded, requests, Submission.DEFAULT, SESSION);
    assertThat(outcomes.values()).allMatch(outcome -> outcome.image != null);
    assertThat(pipeline.calls)
        .filteredOn(call -> call.startsWith("step"))
        .as("half as many as without")
        .isNotEmpty()
        .allMatch(call -> call.split(",").length <= 2);
  }

  @Test
  void previewsThatDoNotFitAreLeftOutAndNobodyFailsForThem(@TempDir Path root) throws Exception {
    FakePipeline pipeline = new FakePipeline();
    DiffusionPipeline guarded =
        guarded(pipeline, memory(root, MemoryGuard.RESERVE_BYTES + ROOM), OptionalLong.empty());
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      requests.add(FakePipeline.request("r" + i, 6));
    }
    Map<String, RecordedOutcome> outcomes =
        run(guarded, requests, Submission.DEFAULT.withPreviewEverySteps(1), SESSION);
    assertThat(outcomes.values()).allMatch(outcome -> outcome.image != null);
    assertThat(pipeline.calls)
        .filteredOn(call -> call.startsWith("preview"))
        .as("of no more than four at a time")
        .isNotEmpty()
        .allMatch(call -> call.split(",").length <= 4);
  }

  /** Whether texts or images come before the first step; what follows is measured of all. */
  private static Stream<Arguments> models() {
    Set<Call> texts = EnumSet.of(Call.ENCODE_TEXTS, Call.STEP, Call.PREVIEW, Call.DECODE);
    Set<Call> images = EnumSet.of(Call.ENCODE_IMAGES, Call.STEP, Call.PREVIEW, Call.DECODE);
    return Stream.of(
        arguments("tiny-sd1", EnumSet.allOf(Call.class)),
        arguments("tiny-sd2", EnumSet.allOf(Call.class)),
        arguments("tiny-sdxl", EnumSet.allOf(Call.class)),
        arguments("tiny-sdxl-refiner", images),
        arguments("tiny-lcm", EnumSet.allOf(Call.class)),
        arguments("tiny-gligen", texts),
        arguments("tiny-inpaint", images),
        arguments("tiny-instruct-pix2pix", images),
        arguments("tiny-image-variation", images),
        arguments("tiny-marigold-depth", images),
        arguments("tiny-marigold-normals", images),
        arguments("tiny-latent-upscaler", images),
        arguments("tiny-concat-one-hot", texts),
        arguments("tiny-concat-palette", texts),
        arguments("tiny-concat-segmentation", texts),
        arguments("tiny-concat-upscale", texts),
        arguments("tiny-ldm-super-resolution", texts),
        arguments("tiny-x4-upscaler", texts),
        arguments("tiny-repaint", texts),
        arguments("tiny-ddpm", texts),
        arguments("tiny-ldm", texts),
        arguments("tiny-dit", texts),
        arguments("tiny-consistency", texts),
        arguments("tiny-consistency-classes", texts),
        arguments("tiny-score-sde-ve", texts),
        arguments("tiny-unidiffuser", EnumSet.allOf(Call.class)),
        arguments("tiny-unidiffuser-plain", EnumSet.allOf(Call.class)),
        // A text's example is refused: positions for smaller images, and a terminal shift that one
        // step cannot have.
        arguments("tiny-z-image", images),
        arguments("tiny-z-image-wide", images),
        arguments("tiny-z-image-plain", images),
        arguments("tiny-qwen-image", images),
        arguments("tiny-qwen-image-wide", EnumSet.allOf(Call.class)),
        arguments("tiny-qwen-image-plain", EnumSet.allOf(Call.class)),
        arguments("tiny-pixart-alpha", texts),
        arguments("tiny-pixart-sigma", texts),
        arguments("tiny-pixart-plain", texts),
        arguments("tiny-sana", texts),
        arguments("tiny-sana-wide", texts),
        arguments("tiny-sana-patches", texts),
        arguments("tiny-lumina-2", texts),
        arguments("tiny-lumina-2-wide", texts),
        arguments("tiny-lumina-2-plain", texts),
        arguments("tiny-sd3", EnumSet.allOf(Call.class)),
        arguments("tiny-sd3-medium", EnumSet.allOf(Call.class)),
        arguments("tiny-sd3-large", EnumSet.allOf(Call.class)),
        arguments("tiny-flux-dev", EnumSet.allOf(Call.class)),
        arguments("tiny-flux-schnell", EnumSet.allOf(Call.class)),
        arguments("tiny-flux-wide", EnumSet.allOf(Call.class)),
        arguments("tiny-flux-fill", images),
        arguments("tiny-flux-fill-deep", images),
        arguments("tiny-flux-fill-wide", images),
        arguments("tiny-flux-control", images),
        arguments("tiny-flux-control-deep", images),
        arguments("tiny-flux-control-wide", images));
  }

  /** The example is the one of the operator: it says a text, whatever the model takes. */
  @ParameterizedTest
  @MethodSource("models")
  void everyKindOfModelIsMeasured(String folder, Set<Call> kinds, @TempDir Path root)
      throws Exception {
    try (MemoryGuard guard = guarded(folder, memory(root, 1L << 40))) {
      assertThat(guard.known().keySet()).isEqualTo(kinds);
    }
  }

  /** So a pipeline that is added is measured, too. */
  @Test
  void thoseAreAllModelsThatThereAre() throws Exception {
    try (Stream<Path> folders = Files.list(MODELS)) {
      assertThat(
              folders
                  .filter(folder -> folder.getFileName().toString().startsWith("tiny-"))
                  .map(folder -> folder.getFileName().toString()))
          .containsExactlyInAnyOrderElementsOf(
              models().map(model -> (String) model.get()[0]).toList());
    }
  }

  private static MemoryGuard guarded(String folder, NativeMemory memory) {
    return (MemoryGuard)
        MemoryGuard.around(
            Pipelines.open(MODELS.resolve(folder), PipelineSettings.on(DeviceSpec.CPU)),
            new BatchSettings(
                OptionalInt.of(8),
                Duration.ZERO,
                Optional.of(
                    GenerationSpec.of("example").with(Parameters.PROMPT, "a photo of a cat")),
                OptionalLong.empty()),
            memory);
  }

  /** The large image alone takes 16 times what a small one does. */
  @Test
  void imagesThatDoNotFitTogetherAreEncodedInTurnAndOneThatDoesNotFitAloneFails(@TempDir Path root)
      throws Exception {
    try (MemoryGuard guard =
        guarded("tiny-instruct-pix2pix", memory(root, MemoryGuard.RESERVE_BYTES + ROOM))) {
      long measured = guard.known().get(Call.ENCODE_IMAGES).size();
      int side = (int) Math.sqrt(measured);
      List<GenerationRequest> requests = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        requests.add(edit(guard, "r" + i, side));
      }
      requests.add(edit(guard, "large", 4 * side));
      List<CallReport> made = new ArrayList<>();
      Map<String, RecordedOutcome> outcomes =
          run(guard, requests, Submission.DEFAULT, listener(made));
      RequestFailure failure = outcomes.remove("large").failure;
      assertThat(failure.kind()).isEqualTo(RequestFailure.Kind.OUT_OF_MEMORY);
      assertThat(failure.message())
          .contains(
              "Encoding the images of 1 requests, up to %d pixels each, takes about 166 MiB"
                  .formatted(16 * measured));
      assertThat(outcomes.values()).allMatch(outcome -> outcome.image != null);
      assertThat(made)
          .filteredOn(call -> call.stage() == CallReport.Stage.ENCODE && !call.outOfMemory())
          .isNotEmpty()
          .allMatch(call -> call.requests() <= 4);
    }
  }

  /** Its tokens are more than twice those of the longest text that was measured. */
  @Test
  void aTextThatIsTooLongForTheMemoryFailsItsRequestAlone(@TempDir Path root) throws Exception {
    long room = (long) (2 * 8 * MIB * MemoryGuard.MARGIN) + 1;
    try (MemoryGuard guard =
        guarded("tiny-qwen-image-wide", memory(root, MemoryGuard.RESERVE_BYTES + room))) {
      Map<String, RecordedOutcome> outcomes =
          run(
              guard,
              List.of(of(guard, "short", "a cat"), of(guard, "long", "a cat ".repeat(1000))),
              Submission.DEFAULT,
              SESSION);
      assertThat(outcomes.get("long").failure.kind()).isEqualTo(RequestFailure.Kind.OUT_OF_MEMORY);
      assertThat(outcomes.get("long").failure.message())
          .contains("Encoding the texts of 1 requests, up to 1058 tokens each, takes about");
      assertThat(outcomes.get("short").image).isNotNull();
    }
  }

  private static GenerationRequest of(DiffusionPipeline pipeline, String id, String prompt) {
    return pipeline
        .model()
        .prepare(
            GenerationSpec.of(id)
                .with(Parameters.PROMPT, prompt)
                .with(Parameters.WIDTH, 32L)
                .with(Parameters.HEIGHT, 32L)
                .with(Parameters.STEPS, 2L));
  }

  private static GenerationRequest edit(DiffusionPipeline pipeline, String id, int side) {
    float[] gray = new float[3 * side * side];
    return pipeline
        .model()
        .prepare(
            GenerationSpec.of(id)
                .with(Parameters.PROMPT, "make it red")
                .with(Parameters.STEPS, 1L)
                .with(Parameters.IMAGE_GUIDANCE_SCALE, 1.0)
                .with(Parameters.GUIDANCE_SCALE, 1.0)
                .with(Parameters.IMAGE, new Raster(3, side, side, gray)));
  }

  private static SessionListener listener(List<CallReport> made) {
    return new SessionListener() {
      @Override
      public void onCall(CallReport report) {
        made.add(report);
      }

      @Override
      public void onDeviceFailed(BatchingException cause) {
        throw cause;
      }
    };
  }

  @Test
  void whereNothingIsKnownNothingIsRefused(@TempDir Path root) {
    FakePipeline pipeline = new FakePipeline();
    DiffusionPipeline guarded = guarded(pipeline, new NativeMemory(root), OptionalLong.of(1));
    assertThat(run(guarded).values()).allMatch(outcome -> outcome.image != null);
  }
}
