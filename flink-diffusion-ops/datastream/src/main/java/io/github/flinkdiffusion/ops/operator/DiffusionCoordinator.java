/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.io.IOException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.CoordinationRequest;
import org.apache.flink.runtime.operators.coordination.CoordinationRequestHandler;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.runtime.operators.coordination.OperatorCoordinator;
import org.apache.flink.runtime.operators.coordination.OperatorEvent;
import org.apache.flink.streaming.api.operators.collect.CollectCoordinationResponse;
import org.apache.flink.util.ExceptionUtils;
import org.apache.flink.util.InstantiationUtil;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Remembers, in the job manager, what subtasks cannot: which requests ran when a process died. It
 * decides nothing itself ({@link Suspects}); it brings Flink's notifications and the subtasks'
 * {@link CoordinatorRequest}s there.
 *
 * <p>All operators of a job share one memory, since they share processes. It outlives a
 * coordinator, because the adaptive scheduler makes a new one at each restart; and it is part of
 * checkpoints, for the next leader. Another job that is started from the same savepoint counts
 * nothing: the job's id is saved with it.
 */
final class DiffusionCoordinator implements OperatorCoordinator, CoordinationRequestHandler {
  private static final Logger LOG = LoggerFactory.getLogger(DiffusionCoordinator.class);

  private static final int ID_BYTES = 16;
  private static final int MOST_JOBS = 64;

  /** How Flink ends the tasks of a task manager that is stopped in order. */
  private static final String STOPPED = "The TaskExecutor is shutting down";

  /** By job; guarded by itself. The least recently used of too many are forgotten. */
  private static final Map<JobID, Suspects> OF_JOBS =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<JobID, Suspects> eldest) {
          return size() > MOST_JOBS;
        }
      };

  private final Context context;
  private final Suspects.Limits limits;

  DiffusionCoordinator(Context context, Suspects.Limits limits) {
    this.context = context;
    this.limits = limits;
  }

  private Suspects suspects() {
    synchronized (OF_JOBS) {
      return OF_JOBS.computeIfAbsent(context.getJobID(), job -> new Suspects(limits));
    }
  }

  @Override
  public void start() {}

  @Override
  public void close() {
    synchronized (OF_JOBS) {
      Suspects known = OF_JOBS.get(context.getJobID());
      if (known != null && known.knowsNothing()) {
        OF_JOBS.remove(context.getJobID());
      }
    }
  }

  // ------------------------------------------------------------------ from subtasks

  @Override
  public CompletableFuture<CoordinationResponse> handleCoordinationRequest(
      CoordinationRequest request) {
    try {
      if (request instanceof CoordinatorRequest known) {
        return CompletableFuture.completedFuture(carrying(answer(known)));
      }
      if (request instanceof ControlRequest cancellations) {
        return ControlBoard.in(context.getCoordinatorStore(), cancellations.board())
            .handle(cancellations);
      }
      throw new IllegalArgumentException("Request " + request + " is not known.");
    } catch (RuntimeException | IOException e) {
      return CompletableFuture.failedFuture(e);
    }
  }

  private Verdict answer(CoordinatorRequest request) {
    Suspects suspects = suspects();
    if (request instanceof CoordinatorRequest.Begins begins) {
      boolean before = suspects.isWatched();
      boolean watched = suspects.begins(begins.from(), begins.uncounted());
      if (watched && !before) {
        LOG.warn(
            "A task manager's process ended while it processed requests. Requests that may be the"
                + " cause are tried again in groups, until the cause is found.");
      }
      return watched ? Verdict.WAIT : Verdict.FREE;
    }
    if (request instanceof CoordinatorRequest.MayRun mayRun) {
      Verdict verdict = suspects.mayRun(mayRun.from(), mayRun.ended(), mayRun.held());
      LOG.debug(
          "Of {} requests held by subtask {}, {} may run; {} are suspected.",
          mayRun.held().size(),
          mayRun.from().subtask(),
          verdict.watched() ? verdict.run() : "all",
          suspects.accused());
      return verdict;
    }
    if (request instanceof CoordinatorRequest.HasRead hasRead) {
      suspects.hasRead(hasRead.from(), hasRead.count());
    } else if (request instanceof CoordinatorRequest.Fails fails) {
      suspects.fails(fails.from(), fails.keys(), fails.callSize());
    } else if (request instanceof CoordinatorRequest.Ends ends) {
      suspects.ends(ends.from());
    }
    return Verdict.FREE;
  }

  /**
   * In a class of Flink's own: answers, other than requests, are read with Flink's class loader,
   * which does not know the job's classes.
   */
  private static CoordinationResponse carrying(Verdict verdict) throws IOException {
    byte[] bytes = InstantiationUtil.serializeObject(verdict);
    DataOutputSerializer out = new DataOutputSerializer(Integer.BYTES + bytes.length);
    BytePrimitiveArraySerializer.INSTANCE.serialize(bytes, out);
    return new CollectCoordinationResponse("", 0, List.of(out.getCopyOfBuffer()));
  }

  /** What {@link #carrying} carries; null, from a harness without coordinators, is free. */
  static Verdict verdict(CoordinationResponse response, ClassLoader userCode) throws IOException {
    if (response == null) {
      return Verdict.FREE;
    }
    try {
      return InstantiationUtil.deserializeObject(
          ((CollectCoordinationResponse) response)
              .<byte[]>getResults(BytePrimitiveArraySerializer.INSTANCE)
              .get(0),
          userCode);
    } catch (ClassNotFoundException e) {
      throw new IOException("The job manager answers with another version of this job.", e);
    }
  }

  @Override
  public void handleEventFromOperator(int subtask, int attempt, OperatorEvent event) {
    throw new IllegalArgumentException("Event " + event + " is not known.");
  }

  // ------------------------------------------------------------------ from Flink

  /**
   * A task that ends says so itself ({@link CoordinatorRequest.Ends}). One that does not has died
   * with its process, whatever the reason given here: a connection that broke, a heartbeat that did
   * not come, or none, because another task had noticed it before. Only a process that was stopped
   * in order is known by the reason.
   */
  @Override
  public void executionAttemptFailed(int subtask, int attempt, Throwable reason) {
    if (reason != null && ExceptionUtils.findThrowableWithMessage(reason, STOPPED).isPresent()) {
      suspects().endsInOrder(operator(), subtask);
    }
  }

  @Override
  public void executionAttemptReady(int subtask, int attempt, SubtaskGateway gateway) {}

  @Override
  public void subtaskReset(int subtask, long checkpointId) {}

  @Override
  public void checkpointCoordinator(long checkpointId, CompletableFuture<byte[]> result) {
    Suspects suspects = suspects();
    suspects.checkpointBegins(checkpointId);
    byte[] saved = suspects.save();
    byte[] job = context.getJobID().getBytes();
    byte[] bytes = new byte[ID_BYTES + saved.length];
    System.arraycopy(job, 0, bytes, 0, ID_BYTES);
    System.arraycopy(saved, 0, bytes, ID_BYTES, saved.length);
    result.complete(bytes);
  }

  @Override
  public void notifyCheckpointComplete(long checkpointId) {
    Suspects suspects = suspects();
    boolean before = suspects.isWatched();
    suspects.checkpointCompleted(checkpointId);
    if (before && !suspects.isWatched()) {
      LOG.info("No request is suspected any more; all may run at the same time again.");
    }
  }

  /** What is known here is newer than any checkpoint; only another process needs what it saved. */
  @Override
  public void resetToCheckpoint(long checkpointId, byte[] checkpointData) {
    if (checkpointData == null || checkpointData.length < ID_BYTES) {
      return;
    }
    byte[] job = Arrays.copyOf(checkpointData, ID_BYTES);
    if (!new JobID(job).equals(context.getJobID())) {
      return;
    }
    synchronized (OF_JOBS) {
      OF_JOBS.computeIfAbsent(
          context.getJobID(),
          id ->
              Suspects.restore(
                  limits, Arrays.copyOfRange(checkpointData, ID_BYTES, checkpointData.length)));
    }
  }

  private String operator() {
    return context.getOperatorId().toHexString();
  }

  /** Makes coordinators in the job manager. */
  record Provider(OperatorID operator, Suspects.Limits limits)
      implements OperatorCoordinator.Provider {
    private static final long serialVersionUID = 1L;

    @Override
    public OperatorID getOperatorId() {
      return operator;
    }

    @Override
    public OperatorCoordinator create(Context context) {
      return new DiffusionCoordinator(context, limits);
    }
  }
}
