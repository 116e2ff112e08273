package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.NativeMemory;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
    StepBatcher batcher = new StepBatcher(guarded, BatchPolicy.ofRows(8), new ManualTicker());
    BatchSession session = batcher.join(SESSION);
    Map<String, RecordedOutcome> outcomes = new LinkedHashMap<>();
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      requests.add(FakePipeline.request("r" + i, 1));
    }
    requests.add(FakePipeline.request("large", 1, 1.0, 32));
    for (GenerationRequest request : requests) {
      outcomes.put(request.id(), new RecordedOutcome());
      session.submit(new Work.Fresh(request), Submission.DEFAULT, outcomes.get(request.id()));
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

  @Test
  void whereNothingIsKnownNothingIsRefused(@TempDir Path root) {
    FakePipeline pipeline = new FakePipeline();
    DiffusionPipeline guarded = guarded(pipeline, new NativeMemory(root), OptionalLong.of(1));
    assertThat(run(guarded).values()).allMatch(outcome -> outcome.image != null);
  }
}
