/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
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

  /** A request of which no step is done. */
  record Fresh(GenerationRequest request) implements Work {
    public Fresh {
      Objects.requireNonNull(request, "request");
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
  }
}
