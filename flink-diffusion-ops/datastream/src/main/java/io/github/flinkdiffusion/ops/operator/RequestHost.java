/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.StepLedger;
import io.github.flinkdiffusion.ops.serving.TaskModels;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.function.ThrowingRunnable;

/** What requests use of the subtask that they are in. */
interface RequestHost {

  /** Those that requests may name. */
  TaskModels models();

  /** Why as many requests as there may be do not fit into the heap on a model; task thread. */
  Optional<String> heapProblem(StepBatcher model);

  DiffusionSettings settings();

  /** Whether results are texts; else they are images. */
  boolean emitsTexts();

  DiffusionMetrics meters();

  StepLedger.Page ledger();

  PayloadStore payloads();

  /** Heap for the request's images, shared by all subtasks of the process. */
  DecodingMemory decoding();

  /** Folder of this machine for files that outlive no attempt. */
  Path scratch();

  /** Milliseconds since 1970-01-01 UTC; any thread. */
  long now();

  /**
   * Does CPU work or waits for files, on the subtask's pool; when the task has ended before, not at
   * all.
   */
  void work(Runnable task);

  /** Sends a mail to the task's thread, unless the task has ended; any thread. */
  void mail(ThrowingRunnable<? extends Exception> action, String what);

  /** Runs it on the task's thread after a time, unless the task has ended; any thread. */
  void later(Duration after, Runnable then);

  /** Fails the task, by mail; any thread. */
  void failTask(String message, Throwable cause);

  /**
   * The request took part in the call that the device failed in; any thread.
   *
   * @param callSize how many took part, of all subtasks
   */
  void suspected(Request request, int callSize);

  /** The request has its outcome; called once, by any thread. */
  void ended(Request request);

  /** Puts progress out; task thread. */
  void emit(StreamRecord<ProgressEvent> progress);

  /** Who shares places on the device; task thread. */
  PartTurns turns();
}
