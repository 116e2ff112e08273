/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.DECODE;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.ENCODE;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.PREVIEW;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.STEP;
import static io.github.flinkdiffusion.ops.batching.PlannedMembers.rows;
import static io.github.flinkdiffusion.ops.batching.PlannedMembers.shapes;
import static io.github.flinkdiffusion.ops.batching.PlannedMembers.tenant;
import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.toSet;

import io.github.flinkdiffusion.ops.batching.CallReport.Stage;
import io.github.flinkdiffusion.ops.batching.RequestFailure.Kind;
import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.NotFiniteException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.apache.flink.annotation.Internal;

/**
 * Decides which call a device makes next, who takes part in it, and what an error of a call means.
 * It calls nothing and waits for nothing; it is told what became of the calls. So the batcher and a
 * simulation of it decide alike.
 *
 * <p>Each member is waiting, running, or denoised, and in that order. Encoding and decoding
 * alternate with steps, so running members wait for one such call at most; previews are made when
 * nothing else waits. Among those that may take part, the first do, as long as they fit; the very
 * first always does, so nobody is passed over for ever. First is who is first in order; where there
 * are several {@link Tenant tenants}, {@link FairShare} decides between them, and the order within
 * each. While a tenant that has used less than its share has members, other tenants' encoding and
 * decoding is made after every few steps only, and others' rows fill up steps only as far as that
 * does not make them much longer ({@link CallTimes}).
 *
 * <p>Encoding and decoding wait for members that will share their call as long as that makes all
 * together wait less ({@link HeldCalls}). A call leaves some to the next one where a row is faster
 * without them ({@link FasterRows}).
 *
 * <p>Used by one thread.
 *
 * @param <T> what it plans for; compared by the order given, told apart by identity
 */
@Internal
public final class BatchPlanner<T extends BatchPlanner.Member> {
  private static final Object ANY_SHAPE = "any";

  /**
   * How much longer a step of a tenant that has used less than its share may take because others
   * are in the same call.
   */
  private static final double STRETCH = 1.5;

  /** How much of the known time of a step's call remains after another one. */
  private static final double STEPS_KEPT = 0.98;

  /** How often encoding and decoding of other tenants may be put off for such a tenant's steps. */
  private static final int STEPS_BETWEEN = 2;

  private final PlannedMembers<T> members;
  private final HeldCalls<T> held;
  private final Admission admission;
  private final CallLimits limits;
  private final FairTurns turns = new FairTurns();
  private final FairShare<T> shares = new FairShare<>();
  private final CallTimes times = new CallTimes();
  private final FasterRows<T> faster = new FasterRows<>(times);

  private Stage lastStage = DECODE;

  private double stepNanos;

  /** How often in a row other tenants' encoding and decoding was put off. */
  private int putOff;

  /** One request on its way. */
  public interface Member {

    /** What must be equal to share a step or a decoding call; asked once it is started. */
    Object batchKey();

    /** Rows that it takes in a step's network call; asked once it is started. */
    int rows();

    /** Whose request it is. */
    default Tenant tenant() {
      return Tenant.DEFAULT;
    }

    /** What its part of a step computes, in any unit; asked once it is started. */
    default double cost() {
      return rows();
    }

    /** Network steps that it has left; asked once it is started. */
    default int stepsLeft() {
      return 1;
    }

    /** Whether it goes on from a saved step: these begin in calls of their own. */
    default boolean resumes() {
      return false;
    }

    /** Whether it must not wait so that others have to wait less. */
    default boolean urgent() {
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
  public record Call<T>(Stage stage, Object key, List<T> batch, int rows) {
    CallKind kind() {
      return new CallKind(stage, key);
    }
  }

  /** What calls have in common that take about as long. */
  record CallKind(Stage stage, Object key) {}

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
    this.members = new PlannedMembers<>(order);
    this.held = new HeldCalls<>(members, limits, times);
  }

  // ------------------------------------------------------------------ who is there

  /** One that has come, or begins anew. */
  public void add(T member) {
    members.add(member);
  }

  /** How many are there. */
  public int size() {
    return members.size();
  }

  boolean contains(T member) {
    return members.contains(member);
  }

  List<T> members() {
    return members.all();
  }

  void remove(T member) {
    members.remove(member);
    faster.forget(List.of(member));
  }

  void clear() {
    faster.forget(members.all());
    members.clear();
    held.clear();
  }

  // ------------------------------------------------------------------ what is next

  /** The next call; empty when there is nothing to do. */
  public Optional<Call<T>> next() {
    Optional<Call<T>> call = Optional.ofNullable(choose());
    call.ifPresent(
        made -> {
          lastStage = made.stage();
          held.made(made);
        });
    return call;
  }

  private Call<T> choose() {
    if (!members.running().isEmpty() && lastStage != STEP) {
      return step();
    }
    Set<String> first = lagging();
    if (!first.isEmpty() && !members.running().isEmpty() && putOff < STEPS_BETWEEN) {
      putOff++;
      Call<T> call = other(first::contains);
      return call == null ? step() : call;
    }
    putOff = 0;
    Call<T> call = other(tenant -> true);
    if (call != null) {
      return call;
    }
    Optional<T> awaited = members.running().stream().filter(Member::previewDue).findFirst();
    if (awaited.isPresent()) {
      return together(PREVIEW, members.running(), awaited.get(), Member::previewDue);
    }
    return members.running().isEmpty() ? null : step();
  }

  /** Tenants that have used less than their shares, of those with members. */
  private Set<String> lagging() {
    return members.tenants().size() < 2
        ? Set.of()
        : members.tenants().keySet().stream().filter(shares::lags).collect(toSet());
  }

  /** Decoding or encoding for some tenants; null when there is nothing of that to do now. */
  private Call<T> other(Predicate<String> whose) {
    List<T> done = fair(members.denoised(), member -> 0);
    done.removeIf(member -> !whose.test(tenant(member)));
    Set<Object> later = new HashSet<>();
    for (T first : done) {
      if (!later.contains(first.batchKey())) {
        Call<T> call = faster(together(DECODE, done, first, member -> true));
        if (!held.waits(call)) {
          return call;
        }
        later.add(call.key());
      }
    }
    Map<String, Integer> admitted = new HashMap<>(admitted());
    admitted.keySet().removeIf(tenant -> !whose.test(tenant));
    Call<T> call = admitted.isEmpty() ? null : encode(admitted);
    return call == null || held.waits(call) ? null : call;
  }

  /** The call without those that slow it down. */
  private Call<T> faster(Call<T> call) {
    List<T> batch = faster.of(call.kind(), call.batch(), member -> 1, Member::urgent);
    return new Call<>(call.stage(), call.key(), batch, batch.size());
  }

  /**
   * How many of each tenant's waiting members may be started; those of which none may are not in
   * it.
   */
  private Map<String, Integer> admitted() {
    if (members.waiting().isEmpty()) {
      return Map.of();
    }
    if (members.tenants().size() == 1) {
      int more =
          admission.admit(
              members.waiting().size(), rows(members.running()), shapes(members.running()).size());
      return more > 0 ? Map.of(tenant(members.waiting().first()), more) : Map.of();
    }
    Map<String, List<T>> waitingOf =
        members.waiting().stream().collect(groupingBy(PlannedMembers::tenant));
    Map<String, List<T>> runningOf =
        members.running().stream().collect(groupingBy(PlannedMembers::tenant));
    Map<String, Integer> admitted = new HashMap<>();
    waitingOf.forEach(
        (tenant, own) -> {
          List<T> started = runningOf.getOrDefault(tenant, List.of());
          int more = admission.admit(own.size(), rows(started), shapes(started).size());
          if (more > 0) {
            admitted.put(tenant, more);
          }
        });
    return admitted;
  }

  private Call<T> encode(Map<String, Integer> admitted) {
    List<T> mayStart =
        fair(
            members.waiting().stream()
                .filter(member -> admitted.containsKey(tenant(member)))
                .toList(),
            member -> 0);
    boolean resumes = mayStart.get(0).resumes();
    Map<String, Integer> left = new HashMap<>(admitted);
    List<T> batch =
        members.first(
            mayStart,
            member ->
                member.resumes() == resumes && left.merge(tenant(member), -1, Integer::sum) >= 0,
            member -> 1,
            limits.of(ENCODE, ANY_SHAPE));
    return new Call<>(ENCODE, ANY_SHAPE, batch, batch.size());
  }

  private Call<T> step() {
    String turn = tenant(fair(members.running(), Member::cost).get(0));
    Object key =
        turns.next(
            shapes(members.running()),
            shapes(
                members.running().stream().filter(member -> tenant(member).equals(turn)).toList()));
    List<T> alike =
        members.running().stream().filter(member -> member.batchKey().equals(key)).toList();
    int limit = limits.of(STEP, key);
    Set<String> first = lagging();
    int rowsOfFirst =
        rows(alike.stream().filter(member -> first.contains(tenant(member))).toList());
    if (rowsOfFirst > 0) {
      limit = Math.min(limit, times.rowsWithin(new CallKind(STEP, key), rowsOfFirst, STRETCH));
    }
    List<T> batch =
        faster.of(
            new CallKind(STEP, key),
            members.first(fair(alike, Member::cost), member -> true, Member::rows, limit),
            Member::rows,
            member -> member.urgent() || first.contains(tenant(member)));
    List<T> all = new ArrayList<>(members.waiting());
    all.addAll(members.running());
    shares.charge(batch, all);
    return new Call<>(STEP, key, batch, rows(batch));
  }

  private List<T> fair(Collection<T> candidates, ToDoubleFunction<T> cost) {
    return members.tenants().size() == 1
        ? new ArrayList<>(candidates)
        : shares.order(candidates, cost);
  }

  private Call<T> together(Stage stage, Collection<T> from, T with, Predicate<T> also) {
    Object key = with.batchKey();
    List<T> batch =
        members.first(
            from,
            member -> also.test(member) && member.batchKey().equals(key),
            member -> 1,
            limits.of(stage, key));
    return new Call<>(stage, key, batch, batch.size());
  }

  // ------------------------------------------------------------------ what became of it

  /**
   * A member has taken part in a call that succeeded and moved it on, which a preview does not.
   *
   * @param stage the call's
   * @param denoises whether it has steps left to do
   */
  public void moved(T member, Stage stage, boolean denoises) {
    if (stage == DECODE) {
      remove(member);
      return;
    }
    members.moved(member, denoises);
    if (stage == ENCODE && denoises) {
      shares.started(member, member.cost() * member.stepsLeft());
    }
  }

  /** Time of a step's call, of all shapes, as of late; 0 while it is not known. */
  public double stepNanos() {
    return stepNanos;
  }

  /** A call took so long. Without it, each row is taken to cost the same. */
  public void took(Call<T> call, long nanos) {
    if (call.stage() == STEP) {
      stepNanos = stepNanos == 0 ? nanos : STEPS_KEPT * stepNanos + (1 - STEPS_KEPT) * nanos;
    }
    times.took(call.kind(), call.rows(), nanos);
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
      members.tryAlone(batch); // it does not say which one
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
