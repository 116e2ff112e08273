/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * What is to be done for one request: all of it, or the rest. {@link Ticket#rest} returns what
 * {@link BatchSession#submit} takes. Immutable.
 */
@Internal
public sealed interface Work {

  /** What is being made. */
  GenerationRequest request();

  /** Steps that are left, as far as the request says; 0 where it does not. */
  int stepsLeft();

  /** A request of which no step is done. */
  record Fresh(GenerationRequest request) implements Work {
    public Fresh {
      Objects.requireNonNull(request, "request");
    }

    @Override
    public int stepsLeft() {
      return request.arguments().has(Parameters.STEPS) ? request.steps() : 0;
    }
  }

  /** A trajectory that goes on where it was saved; its model must be the batcher's. */
  record Resumed(TrajectorySnapshot snapshot) implements Work {
    public Resumed {
      Objects.requireNonNull(snapshot, "snapshot");
    }

    @Override
    public GenerationRequest request() {
      return snapshot.request();
    }

    @Override
    public int stepsLeft() {
      return Math.max(0, new Fresh(request()).stepsLeft() - snapshot.step());
    }
  }
}
