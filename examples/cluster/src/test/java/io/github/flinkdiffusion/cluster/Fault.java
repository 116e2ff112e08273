/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/** What may happen in a round. */
enum Fault {
  /** kill -9. */
  KILL_TASKMANAGER,
  /** kill -9 of the JobManager that leads; the other one has to take over by itself. */
  KILL_JOBMANAGER,
  KILL_BROKER,
  /** kill -9 of every process, ZooKeeper too. */
  KILL_ALL,
  /** SIGSTOP for shorter or longer than Flink waits for a heartbeat, then SIGCONT. */
  PAUSE_TASKMANAGER,
  PAUSE_JOBMANAGER,
  PAUSE_BROKER,
  /** Stop with a savepoint, and start from it with another parallelism. */
  RESCALE,
  CHECKPOINTS_FULL,
  CHECKPOINTS_GONE,
  PAYLOADS_FULL,
  PAYLOADS_READ_ONLY,
  PAYLOADS_SLOW,
  SCRATCH_FULL,
  /** The broker is away for longer than its transactions may take. */
  OUTAGE,
  /** Nothing but bad requests of every kind: no restart is allowed. */
  POISON;

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * The fault of a round: all of them in a shuffled order, then all of them in another. A function
   * of the arguments alone, so that a run can go on where it was ended.
   *
   * @param round from 1
   */
  static Fault of(long seed, int round, List<Fault> faults) {
    int turn = (round - 1) / faults.size();
    List<Fault> shuffled = new ArrayList<>(faults);
    Collections.shuffle(shuffled, new Random(seed * 31 + turn));
    return shuffled.get((round - 1) % faults.size());
  }
}
