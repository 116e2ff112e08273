/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.batching.ModelPool.Member;
import io.github.flinkdiffusion.ops.batching.ModelPool.Use;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/**
 * A model on a device, from when it is asked for until it is freed.
 *
 * <p>It says what is known of the model; {@link DeviceModels} decides what becomes of it, and
 * guards it by its lock.
 */
final class PooledModel {
  enum State {
    /** Waits for memory. */
    WANTED,
    LOADING,
    READY,
    /** Being freed; no longer among those that can be used. */
    LEAVING
  }

  /**
   * A request that waits for its model.
   *
   * @param kept see {@link Member#use}
   */
  record Waiter(Member member, ModelSource source, boolean kept, CompletableFuture<Use> answer) {}

  final SharedBatchers.Key key;
  final long bytes;
  final Set<Member> members = new LinkedHashSet<>();
  final Map<Member, BatchSession> sessions = new HashMap<>();
  final Deque<Waiter> waiters = new ArrayDeque<>();
  State state = State.WANTED;
  BatchSettings settings;
  SharedBatchers.Lease lease;
  Thread loader;
  int uses;
  long loadedNanos;
  long lastUse;

  /** Accepts no more requests, since its turn is over. */
  boolean draining;

  /** Stays for a task that may come back: nobody has used it since its last member left. */
  boolean staying;

  PooledModel(SharedBatchers.Key key, long bytes) {
    this.key = key;
    this.bytes = bytes;
  }

  boolean takesMemory() {
    return state != State.WANTED;
  }

  boolean isWanted() {
    forgetAnswered();
    return uses > 0 || !members.isEmpty() || !waiters.isEmpty();
  }

  /** Forgets those who have given up waiting. */
  void forgetAnswered() {
    waiters.removeIf(waiter -> waiter.answer().isDone());
  }

  /** Closes what members have of it. */
  void closeSessions() {
    sessions.values().forEach(BatchSession::close);
    sessions.clear();
  }
}
