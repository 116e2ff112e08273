/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.function.ToIntFunction;

/**
 * The members of a {@link BatchPlanner}: who waits, runs and is denoised, whose they are, and who
 * is tried alone.
 */
final class PlannedMembers<T extends BatchPlanner.Member> {
  /** How many members each tenant has. */
  private final Map<String, Integer> tenants = new HashMap<>();

  // Each member is in exactly one of the three.
  private final NavigableSet<T> waiting;
  private final NavigableSet<T> running;
  private final NavigableSet<T> denoised;

  /** After a batch failed for a member that was not named: these are tried alone. */
  private final Set<T> alone = Collections.newSetFromMap(new IdentityHashMap<>());

  /**
   * @param order two that compare as equal are one
   */
  PlannedMembers(Comparator<T> order) {
    this.waiting = new TreeSet<>(order);
    this.running = new TreeSet<>(order);
    this.denoised = new TreeSet<>(order);
  }

  /** Those that are to be encoded, in order. */
  NavigableSet<T> waiting() {
    return waiting;
  }

  /** Those that have steps left, in order. */
  NavigableSet<T> running() {
    return running;
  }

  /** Those that are to be decoded, in order. */
  NavigableSet<T> denoised() {
    return denoised;
  }

  /** Names of tenants that have members, and how many each has. */
  Map<String, Integer> tenants() {
    return tenants;
  }

  /** One that waits from now on. */
  void add(T member) {
    if (waiting.add(member)) {
      tenants.merge(tenant(member), 1, Integer::sum);
    }
  }

  int size() {
    return waiting.size() + running.size() + denoised.size();
  }

  boolean contains(T member) {
    return waiting.contains(member) || running.contains(member) || denoised.contains(member);
  }

  List<T> all() {
    List<T> all = new ArrayList<>(waiting);
    all.addAll(running);
    all.addAll(denoised);
    return all;
  }

  void remove(T member) {
    take(member);
    alone.remove(member);
  }

  private void take(T member) {
    if (waiting.remove(member) || running.remove(member) || denoised.remove(member)) {
      tenants.computeIfPresent(tenant(member), (name, many) -> many == 1 ? null : many - 1);
    }
  }

  /** A call has moved it on: it has steps left, or has not. */
  void moved(T member, boolean denoises) {
    take(member);
    alone.remove(member);
    (denoises ? running : denoised).add(member);
    tenants.merge(tenant(member), 1, Integer::sum);
  }

  void clear() {
    List.of(waiting, running, denoised).forEach(NavigableSet::clear);
    alone.clear();
    tenants.clear();
  }

  /** A batch failed for one of these: they are tried alone. */
  void tryAlone(List<T> members) {
    alone.addAll(members);
  }

  boolean anyAlone() {
    return !alone.isEmpty();
  }

  /**
   * The first that match and fit; the very first always, and alone where it is to be tried so.
   *
   * @param rowsOf what {@code limit} counts
   */
  List<T> first(Collection<T> from, Predicate<T> matches, ToIntFunction<T> rowsOf, int limit) {
    List<T> batch = new ArrayList<>();
    int rows = 0;
    for (T member : from) {
      if (!matches.test(member)) {
        continue;
      }
      if (batch.isEmpty()) {
        batch.add(member);
        rows = rowsOf.applyAsInt(member);
        if (alone.contains(member)) {
          break;
        }
      } else if (!alone.contains(member) && rows + rowsOf.applyAsInt(member) <= limit) {
        batch.add(member);
        rows += rowsOf.applyAsInt(member);
      }
      if (rows >= limit) {
        break;
      }
    }
    return batch;
  }

  /** Rows of those that run, by shape. */
  Map<Object, Integer> rowsByShape() {
    Map<Object, Integer> rows = new HashMap<>();
    running.forEach(member -> rows.merge(member.batchKey(), member.rows(), Integer::sum));
    return rows;
  }

  static Set<Object> shapes(Collection<? extends BatchPlanner.Member> members) {
    Set<Object> keys = new LinkedHashSet<>();
    members.forEach(member -> keys.add(member.batchKey()));
    return keys;
  }

  static int rows(Collection<? extends BatchPlanner.Member> members) {
    return members.stream().mapToInt(BatchPlanner.Member::rows).sum();
  }

  static String tenant(BatchPlanner.Member member) {
    return member.tenant().name();
  }
}
