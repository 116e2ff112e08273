/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import java.util.function.Consumer;
import org.apache.flink.api.common.TaskInfo;
import org.apache.flink.util.function.ThrowingRunnable;

/** What a subtask tells the job of model events that it does not follow; task thread. */
final class RefusedModelEvents implements ModelChanges.Line {
  private final SubtaskLink link;
  private final DiffusionMetrics meters;
  private final TaskInfo task;
  private final String taskManager;
  private final Consumer<FailureEvent> failures;

  /**
   * @param taskManager address of the process
   * @param failures puts a failure out
   */
  RefusedModelEvents(
      SubtaskLink link,
      DiffusionMetrics meters,
      TaskInfo task,
      String taskManager,
      Consumer<FailureEvent> failures) {
    this.link = link;
    this.meters = meters;
    this.task = task;
    this.taskManager = taskManager;
    this.failures = failures;
  }

  @Override
  public void mail(ThrowingRunnable<? extends Exception> action, String what) {
    link.mail(action, what);
  }

  /** All subtasks say so in their logs, and the first one to the job. */
  @Override
  public void refused(ModelEvent event, String why) {
    meters.refusedModelEvents.inc();
    if (task.getIndexOfThisSubtask() == 0) {
      failures.accept(Events.failure(event, why));
    }
  }

  /** Each subtask says it to the job, and which one it is. */
  @Override
  public void refusedHere(ModelEvent event, String why) {
    meters.refusedModelEvents.inc();
    String here =
        task.getNumberOfParallelSubtasks() == 1
            ? why
            : "Subtask %d of %d, on TaskManager %s: %s"
                .formatted(
                    task.getIndexOfThisSubtask() + 1,
                    task.getNumberOfParallelSubtasks(),
                    taskManager,
                    why);
    failures.accept(Events.failure(event, here));
  }
}
