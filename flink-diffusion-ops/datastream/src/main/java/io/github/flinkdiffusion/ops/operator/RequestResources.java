/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.batching.ClassesAhead;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import io.github.flinkdiffusion.ops.serving.StepLedger;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.streaming.api.operators.StreamingRuntimeContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the requests of a subtask share of its process and machine.
 *
 * @param decoding heap for the requests' images, shared by all subtasks of the process
 * @param scratch folder of this machine for files that outlive no attempt
 * @param encoders the subtask's own pool, which ends with it
 */
record RequestResources(
    StepLedger.Page ledger,
    PayloadStore payloads,
    DecodingMemory decoding,
    Path scratch,
    ExecutorService encoders) {
  private static final Logger LOG = LoggerFactory.getLogger(RequestResources.class);

  /** What threads without work, which is nearly all, need to end. */
  private static final Duration ENCODERS_END = Duration.ofMillis(200);

  static RequestResources open(
      ProcessServices services,
      DiffusionSettings settings,
      StreamingRuntimeContext task,
      OperatorID operator,
      String[] localFolders) {
    return new RequestResources(
        services.ledger().page(task.getJobInfo().getJobId().toHexString(), operator.toHexString()),
        new PayloadStore(settings.payload()),
        services.decoding(),
        Path.of(localFolders[0]),
        services
            .encoders()
            .create(
                Integer.toString(task.getTaskInfo().getIndexOfThisSubtask()),
                settings.encodingWorkers()));
  }

  /** Does work on the pool; when the task has ended before, not at all. */
  void work(Runnable task) {
    try {
      encoders.execute(task);
    } catch (RejectedExecutionException e) {
      LOG.debug("The task ended before its work on a request was finished.", e);
    }
  }

  /** Leaves at once: what a thread of the pool is at it finishes alone. */
  void close() throws InterruptedException {
    encoders.shutdownNow();
    if (!encoders.awaitTermination(ENCODERS_END.toMillis(), TimeUnit.MILLISECONDS)) {
      LOG.info("An image is still being read or encoded; its thread ends by itself.");
      ClassesAhead.load();
    }
  }
}
