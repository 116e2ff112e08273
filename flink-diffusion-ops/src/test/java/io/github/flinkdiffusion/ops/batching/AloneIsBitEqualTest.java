/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/**
 * With one row a call no request shares a call, so all calls of a request have the same sizes
 * whatever else is under way, and its image is the same to the bit.
 */
class AloneIsBitEqualTest {
  private static final Path FOLDER = Path.of("../examples/models/mini-emoji");
  private static final int REQUESTS = 50;

  @Test
  void imagesAreBitEqualInAnyOrderWhenEachRequestRunsAlone() {
    try (DiffusionPipeline pipeline = Pipelines.open(FOLDER, PipelineSettings.on(DeviceSpec.CPU))) {
      Map<String, String> first = digests(pipeline, 1);
      assertThat(first).hasSize(REQUESTS);
      assertThat(digests(pipeline, 2)).isEqualTo(first);
      assertThat(digests(pipeline, 3)).isEqualTo(first);
    }
  }

  /** Of the PNG files, by the requests' ids; the seed decides who comes when. */
  private static Map<String, String> digests(DiffusionPipeline pipeline, long seed) {
    Random random = new Random(seed);
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < REQUESTS; i++) {
      requests.add(
          pipeline
              .model()
              .prepare(
                  GenerationSpec.of("r" + i)
                      .with(Parameters.PROMPT, "a red apple " + i % 7)
                      .with(Parameters.STEPS, 1L + i % 3)
                      .with(Parameters.GUIDANCE_SCALE, 1.0 + i % 2)));
    }
    Collections.shuffle(requests, random);
    StepBatcher batcher = new StepBatcher(pipeline, BatchPolicy.ofRows(1), Ticker.SYSTEM);
    BatchSession session = batcher.join(cause -> {});
    Map<String, RecordedOutcome> outcomes = new TreeMap<>();
    for (GenerationRequest request : requests) {
      RecordedOutcome outcome = new RecordedOutcome();
      outcomes.put(request.id(), outcome);
      session.submit(new Work.Fresh(request), Submission.DEFAULT, outcome);
      for (int call = random.nextInt(3); call > 0; call--) {
        batcher.runOnce();
      }
    }
    while (batcher.runOnce()) {}
    Map<String, String> digests = new TreeMap<>();
    outcomes.forEach(
        (id, outcome) -> digests.put(id, Sha256.hex(PngCodec.encode(outcome.image.image()))));
    return digests;
  }
}
