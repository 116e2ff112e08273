/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.function.ToDoubleFunction;

/**
 * Fair shares of a device among tenants: start-time fair queueing (Goyal, Vin and Cheng 1996) over
 * what network calls compute.
 *
 * <p>Each tenant has a virtual time, which grows by what is computed for it, divided by its weight.
 * The tenant with the least goes first. So tenants that always have work get shares in proportion
 * to their weights, and what one of them does not use goes to the others.
 *
 * <p>The virtual time of the device is that of the tenants who want more than they get. A tenant
 * that does not use its share lags behind it, by a few of its requests and no more: so one that
 * asks for less than its share runs at once, and one that was idle cannot take the device for
 * itself later. A tenant that is new has nothing saved up. While it serves tenants, saved time
 * apart, the device's time goes on, so a stream of new tenants passes nobody over for ever.
 *
 * <p>Among the requests of one tenant the order stays as it is. State is one small account for each
 * tenant that was served, at most {@link #MOST_ACCOUNTS} besides those with requests. Used by one
 * thread.
 *
 * @param <T> whose tenants have shares
 */
final class FairShare<T extends BatchPlanner.Member> {
  /** Beyond so many, tenants without requests are forgotten, and are new when they come again. */
  static final int MOST_ACCOUNTS = 1000;

  /** How many of its requests a tenant may be served before others, for a share it did not use. */
  static final int REQUESTS_AHEAD = 4;

  private final Map<String, Account> accounts = new HashMap<>();
  private double now;

  private static final class Account {
    double time;

    /** Virtual time of {@link #REQUESTS_AHEAD} of its largest requests: how far it may lag. */
    double credit;

    Account(double time) {
      this.time = time;
    }
  }

  /**
   * A request is started, which tells its size.
   *
   * @param size what all its steps compute, in the unit of {@link BatchPlanner.Member#cost}
   */
  void started(T member, double size) {
    Account account = account(member.tenant());
    account.credit = Math.max(account.credit, REQUESTS_AHEAD * size / member.tenant().weight());
  }

  /** Whether a tenant has used less than its share, and may go before others for it. */
  boolean lags(String tenant) {
    Account account = accounts.get(tenant);
    return account != null && time(account) < now;
  }

  /**
   * Candidates in the order in which fairness serves them.
   *
   * @param candidates in their own order, which stays that of each tenant
   * @param cost of a candidate in the call to come; 0 where it is not known
   */
  List<T> order(Collection<T> candidates, ToDoubleFunction<T> cost) {
    Map<String, Deque<T>> queues = new LinkedHashMap<>();
    int place = 0;
    Map<T, Integer> places = new HashMap<>();
    for (T member : candidates) {
      queues.computeIfAbsent(member.tenant().name(), name -> new ArrayDeque<>()).add(member);
      places.put(member, place++);
    }
    if (queues.size() <= 1) {
      return new ArrayList<>(candidates);
    }
    PriorityQueue<Turn<T>> turns =
        new PriorityQueue<>(
            Comparator.<Turn<T>>comparingDouble(turn -> turn.time)
                .thenComparingInt(turn -> turn.taken)
                .thenComparingInt(turn -> places.get(turn.queue.peek())));
    for (Deque<T> queue : queues.values()) {
      turns.add(new Turn<>(queue, time(account(queue.peek().tenant()))));
    }
    List<T> order = new ArrayList<>(candidates.size());
    while (!turns.isEmpty()) {
      Turn<T> turn = turns.poll();
      T member = turn.queue.poll();
      order.add(member);
      turn.time += cost.applyAsDouble(member) / member.tenant().weight();
      turn.taken++;
      if (!turn.queue.isEmpty()) {
        turns.add(turn);
      }
    }
    return order;
  }

  /** A tenant's candidates that are left, at the time when the next of them would be served. */
  private static final class Turn<T> {
    final Deque<T> queue;
    double time;
    int taken;

    Turn(Deque<T> queue, double time) {
      this.queue = queue;
      this.time = time;
    }
  }

  /**
   * A call computes something.
   *
   * @param served who takes part
   * @param all who could be served by calls, those included
   */
  void charge(Collection<T> served, Collection<T> all) {
    Map<String, Double> weights = new HashMap<>();
    Set<String> wanting = new HashSet<>();
    Set<T> inCall = new HashSet<>(served);
    for (T member : all) {
      weights.put(member.tenant().name(), member.tenant().weight());
      if (!inCall.contains(member)) {
        wanting.add(member.tenant().name());
      }
    }
    double fromShares = 0;
    for (T member : served) {
      Account account = account(member.tenant());
      double before = time(account);
      account.time = before + member.cost() / member.tenant().weight();
      // What was saved up is paid for already.
      fromShares += Math.max(0, account.time - Math.max(before, now)) * member.tenant().weight();
    }
    double sum = weights.values().stream().mapToDouble(Double::doubleValue).sum();
    now = Math.max(now + fromShares / sum, timeAfter(weights.keySet(), wanting));
    forget(weights.keySet());
  }

  /** Of those who want more, the one that had least; when nobody does, nobody owes anything. */
  private double timeAfter(Set<String> present, Set<String> wanting) {
    return wanting.isEmpty()
        ? present.stream().mapToDouble(this::time).max().orElse(now)
        : wanting.stream().mapToDouble(this::time).min().orElse(now);
  }

  private void forget(Set<String> present) {
    if (accounts.size() > MOST_ACCOUNTS) {
      accounts.keySet().stream()
          .filter(name -> !present.contains(name))
          .sorted(Comparator.comparingDouble(this::time))
          .limit(accounts.size() - MOST_ACCOUNTS)
          .toList()
          .forEach(accounts::remove);
    }
  }

  int accounts() {
    return accounts.size();
  }

  private Account account(Tenant tenant) {
    return accounts.computeIfAbsent(tenant.name(), name -> new Account(now));
  }

  private double time(String name) {
    return accounts.containsKey(name) ? time(accounts.get(name)) : now;
  }

  private double time(Account account) {
    return Math.max(account.time, now - account.credit);
  }
}
