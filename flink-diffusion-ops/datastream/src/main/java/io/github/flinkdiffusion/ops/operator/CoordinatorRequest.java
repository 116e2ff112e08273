/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.List;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.CoordinationRequest;

/**
 * What a subtask asks of, or says to, its {@link DiffusionCoordinator}; each is answered by a
 * {@link Verdict}.
 *
 * <p>Requests rather than Flink's operator events, since an answer to a request does not travel as
 * a mail of the lowest priority, which a subtask that is full would never read; and since Flink
 * delivers them from a task that is being cancelled, too.
 */
sealed interface CoordinatorRequest extends CoordinationRequest {

  /** Who says it. */
  Speaker from();

  /**
   * One attempt of one subtask.
   *
   * @param operator its operator's id, in hex
   * @param subtask its index
   * @param attempt unique for each attempt
   * @param process unique for each process of a task manager
   */
  record Speaker(String operator, int subtask, String attempt, String process)
      implements java.io.Serializable {

    /** The present attempt, in this process. */
    static Speaker of(Environment task, OperatorID operator, int subtask) {
      ProcessHandle process = ProcessHandle.current();
      return new Speaker(
          operator.toHexString(),
          subtask,
          task.getExecutionId().toString(),
          "%s/%d/%s"
              .formatted(
                  task.getTaskManagerInfo().getTaskManagerExternalAddress(),
                  process.pid(),
                  process.info().startInstant().map(Object::toString).orElse("")));
    }
  }

  /**
   * The attempt begins.
   *
   * @param uncounted requests that it may have besides those that {@link HasRead} tells of
   */
  record Begins(Speaker from, int uncounted) implements CoordinatorRequest {}

  /** The attempt ends with its process alive, for whatever reason. */
  record Ends(Speaker from) implements CoordinatorRequest {}

  /**
   * So many requests were read since the attempt began, while all of them may run; said now and
   * then, not for each.
   */
  record HasRead(Speaker from, long count) implements CoordinatorRequest {}

  /**
   * The attempt is about to fail because of an error in a call that these requests took part in.
   *
   * @param keys of this subtask's requests in the call
   * @param callSize how many requests took part, of all subtasks
   */
  record Fails(Speaker from, List<String> keys, int callSize) implements CoordinatorRequest {}

  /**
   * Which of these may run? Nothing runs in this attempt while it asks.
   *
   * @param ended requests that have ended, in whatever way, since it asked before
   * @param held requests that wait, in the order of their arrival
   */
  record MayRun(Speaker from, List<String> ended, List<String> held)
      implements CoordinatorRequest {}
}
