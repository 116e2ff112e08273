/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.DECODE;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.ENCODE;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.PREVIEW;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.STEP;

import io.github.flinkdiffusion.ops.batching.CallReport.Stage;
import io.github.flinkdiffusion.ops.batching.RequestFailure.Kind;
import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.NotFiniteException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.function.ToIntFunction;
import java.util.stream.IntStream;
import org.apache.flink.annotation.Internal;

/**
 * Decides which call a device makes next, who takes part in it, and what an error of a call means.
 * It calls nothing and waits for nothing; it is told what became of the calls. So the batcher and a
 * simulation of it decide alike.
 *
 * <p>Each member is waiting, running, or denoised, and in that order. Encoding and decoding
 * alternate with steps, so running members wait for one such call at most; previews are made when
 * nothing else waits. Among those that may take part, the first in order do, as long as they fit;
 * the very first always does, so nobody is passed over for ever.
 *
 * <p>Used by one thread.
 *
 * @param <T> what it plans for; compared by the order given, told apart by identity
 */
@Internal
public final class BatchPlanner<T extends BatchPlanner.Member> {
  private static final Object ANY_SHAPE = "any";

  private final Admission admission;
  private final CallLimits limits;
  private final FairTurns turns = new FairTurns();

  // Each member is in exactly one of the three.
  private final NavigableSet<T> waiting;
  private final NavigableSet<T> running;
  private final NavigableSet<T> denoised;

  /** After a batch failed for a member that was not named: these are tried alone. */
  private final Set<T> alone = Collections.newSetFromMap(new IdentityHashMap<>());

  private Stage lastStage = DECODE;

  /** One request on its way. */
  public interface Member {

    /** What must be equal to share a step or a decoding call; asked once it is started. */
    Object batchKey();

    /** Rows that it takes in a step's network call; asked once it is started. */
    int rows();

    /** Whether it goes on from a saved step: these begin in calls of their own. */
    default boolean resumes() {
      return false;
    }

    /** Whether somebody waits for a look at it. */
    default boolean previewDue() {
      return false;
    }
  }

  /**
   * A call to make.
   *
   * @param key the batch key of all that take part; a constant for encoding
   * @param rows of a step's network call; members, in other calls
   */
  public record Call<T>(Stage stage, Object key, List<T> batch, int rows) {}

  /**
   * Who has to answer for a call that failed.
   *
   * @param again whether they may be begun anew
   */
  record Blame<T>(Kind kind, List<T> members, boolean again) {}

  /**
   * @param order in which members are served; two that compare as equal are one
   */
  public BatchPlanner(BatchPolicy policy, Comparator<T> order) {
    this.admission = new Admission(policy);
    this.limits = new CallLimits(policy);
    this.waiting = new TreeSet<>(order);
    this.running = new TreeSet<>(order);
    this.denoised = new TreeSet<>(order);
  }

  // ------------------------------------------------------------------ who is there

  /** One that has come, or begins anew. */
  public void add(T member) {
    waiting.add(member);
  }

  /** How many are there. */
  public int size() {
    return waiting.size() + running.size() + denoised.size();
  }

  boolean contains(T member) {
    return waiting.contains(member) || running.contains(member) || denoised.contains(member);
  }

  List<T> members() {
    List<T> all = new ArrayList<>(waiting);
    all.addAll(running);
    all.addAll(denoised);
    return all;
  }

  void remove(T member) {
    waiting.remove(member);
    running.remove(member);
    denoised.remove(member);
    alone.remove(member);
  }

  void removeIf(Predicate<T> gone) {
    members().stream().filter(gone).forEach(this::remove);
  }

  void clear() {
    List.of(waiting, running, denoised).forEach(NavigableSet::clear);
    alone.clear();
  }

  // ------------------------------------------------------------------ what is next

  /** The next call; empty when there is nothing to do. */
  public Optional<Call<T>> next() {
    Optional<Call<T>> call = Optional.ofNullable(choose());
    call.ifPresent(made -> lastStage = made.stage());
    return call;
  }

  private Call<T> choose() {
    if (!running.isEmpty() && lastStage != STEP) {
      return step();
    }
    if (!denoised.isEmpty()) {
      return together(DECODE, denoised, denoised.first(), member -> true);
    }
    int admitted = admission.admit(waiting.size(), rows(running), shapes().size());
    if (admitted > 0) {
      return encode(admitted);
    }
    Optional<T> awaited = running.stream().filter(Member::previewDue).findFirst();
    if (awaited.isPresent()) {
      return together(PREVIEW, running, awaited.get(), Member::previewDue);
    }
    return running.isEmpty() ? null : step();
  }

  private Call<T> encode(int admitted) {
    boolean resumes = waiting.first().resumes();
    int limit = Math.min(admitted, limits.of(ENCODE, ANY_SHAPE));
    List<T> batch = first(waiting, member -> member.resumes() == resumes, member -> 1, limit);
    return new Call<>(ENCODE, ANY_SHAPE, batch, batch.size());
  }

  private Call<T> step() {
    Object key = turns.next(shapes());
    List<T> batch =
        first(running, member -> member.batchKey().equals(key), Member::rows, limits.of(STEP, key));
    return new Call<>(STEP, key, batch, rows(batch));
  }

  private Call<T> together(Stage stage, NavigableSet<T> from, T with, Predicate<T> also) {
    Object key = with.batchKey();
    List<T> batch =
        first(
            from,
            member -> also.test(member) && member.batchKey().equals(key),
            member -> 1,
            limits.of(stage, key));
    return new Call<>(stage, key, batch, batch.size());
  }

  private List<T> first(
      NavigableSet<T> from, Predicate<T> matches, ToIntFunction<T> rowsOf, int limit) {
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

  private Set<Object> shapes() {
    Set<Object> keys = new LinkedHashSet<>();
    running.forEach(member -> keys.add(member.batchKey()));
    return keys;
  }

  private int rows(Collection<T> members) {
    return members.stream().mapToInt(Member::rows).sum();
  }

  // ------------------------------------------------------------------ what became of it

  /**
   * A member has taken part in a call that succeeded and moved it on, which a preview does not.
   *
   * @param stage the call's
   * @param denoises whether it has steps left to do
   */
  public void moved(T member, Stage stage, boolean denoises) {
    remove(member);
    if (stage != DECODE) {
      (denoises ? running : denoised).add(member);
    }
  }

  /**
   * What an error means that concerns single requests of a call. Members are as they were; without
   * blame the next call is another one, of fewer of them.
   *
   * @throws IllegalArgumentException for another error, which concerns the device
   */
  Optional<Blame<T>> failed(Call<T> call, RuntimeException error) {
    List<T> batch = call.batch();
    boolean single = batch.size() == 1;
    if (call.stage() == PREVIEW && !(error instanceof DeviceMemoryException)) {
      throw new IllegalArgumentException("No request fails for want of a preview.", error);
    }
    if (error instanceof NotFiniteException notFinite) {
      Set<Integer> positions = new HashSet<>(notFinite.positions());
      return Optional.of(
          new Blame<>(
              Kind.NOT_FINITE,
              IntStream.range(0, batch.size())
                  .filter(positions::contains)
                  .mapToObj(batch::get)
                  .toList(),
              true));
    }
    if (error instanceof InvalidRequestException) {
      if (single) {
        return Optional.of(new Blame<>(Kind.INVALID_REQUEST, batch, false));
      }
      alone.addAll(batch); // it does not say which one
      return Optional.empty();
    }
    if (error instanceof DeviceMemoryException) {
      if (single && call.stage() != PREVIEW) {
        return Optional.of(new Blame<>(Kind.OUT_OF_MEMORY, batch, true));
      }
      limits.halve(call.stage(), call.key(), call.rows());
      return Optional.empty();
    }
    throw new IllegalArgumentException("This error is not of single requests.", error);
  }
}
