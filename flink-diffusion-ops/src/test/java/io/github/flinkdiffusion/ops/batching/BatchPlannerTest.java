/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.batching.CallReport.Stage;
import io.github.flinkdiffusion.ops.batching.RequestFailure.Kind;
import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.NotFiniteException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.ToIntFunction;
import java.util.stream.IntStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class BatchPlannerTest {

  /**
   * @param steps before it is denoised
   * @param comesAfter so many calls
   */
  private record Request(
      int number, int shape, int rows, int steps, int comesAfter, boolean resumes) {}

  private static final class Flight implements BatchPlanner.Member {
    final Request request;
    int left;
    boolean previewDue;
    boolean urgent;
    boolean decoded;

    Flight(Request request) {
      this.request = request;
      this.left = request.steps();
    }

    @Override
    public Object batchKey() {
      return request.shape();
    }

    @Override
    public int rows() {
      return request.rows();
    }

    @Override
    public boolean resumes() {
      return request.resumes();
    }

    @Override
    public boolean previewDue() {
      return previewDue;
    }

    @Override
    public int stepsLeft() {
      return left;
    }

    @Override
    public boolean urgent() {
      return urgent;
    }
  }

  private static BatchPlanner<Flight> planner(int rowLimit) {
    return new BatchPlanner<>(
        BatchPolicy.ofRows(rowLimit),
        Comparator.comparingInt((Flight flight) -> flight.request.number()));
  }

  private static Flight flight(int number, int steps) {
    return new Flight(new Request(number, 0, 1, steps, 0, false));
  }

  @Provide
  Arbitrary<List<Request>> requests() {
    Arbitrary<Request> one =
        Combinators.combine(
                Arbitraries.integers().between(0, 2),
                Arbitraries.integers().between(1, 3),
                Arbitraries.integers().between(0, 4),
                Arbitraries.integers().between(0, 12),
                Arbitraries.of(true, false))
            .as(
                (shape, rows, steps, after, resumes) ->
                    new Request(0, shape, rows, steps, after, resumes));
    return one.list()
        .ofMinSize(1)
        .ofMaxSize(14)
        .map(
            all -> {
              List<Request> numbered = new ArrayList<>();
              for (Request of : all) {
                numbered.add(
                    new Request(
                        numbered.size(),
                        of.shape(),
                        of.rows(),
                        of.steps(),
                        of.comesAfter(),
                        of.resumes()));
              }
              return numbered;
            });
  }

  @Property
  void everyRequestIsBegunSteppedAndDecodedInCallsOfOneShapeThatFit(
      @ForAll("requests") List<Request> requests,
      @ForAll @IntRange(min = 1, max = 6) int rowLimit) {
    BatchPlanner<Flight> planner = planner(rowLimit);
    List<Flight> flights = requests.stream().map(Flight::new).toList();
    Set<Flight> begun = new HashSet<>();
    int calls = 0;
    Stage last = Stage.DECODE;
    while (flights.stream().anyMatch(flight -> !flight.decoded)) {
      for (Flight flight : flights) {
        if (flight.request.comesAfter() == calls) {
          planner.add(flight);
        }
      }
      Optional<BatchPlanner.Call<Flight>> next = planner.next();
      calls++;
      if (next.isEmpty()) {
        assertThat(planner.size()).isZero();
        continue;
      }
      BatchPlanner.Call<Flight> call = next.get();
      boolean couldStep = begun.stream().anyMatch(flight -> flight.left > 0);
      if (last != Stage.STEP && couldStep) {
        assertThat(call.stage()).as("after another call, steps go first").isEqualTo(Stage.STEP);
      }
      last = call.stage();
      assertThat(call.batch()).isNotEmpty().doesNotHaveDuplicates();
      assertThat(call.rows() <= rowLimit || call.batch().size() == 1).isTrue();
      if (call.stage() == Stage.ENCODE) {
        assertThat(call.batch())
            .extracting(Flight::resumes)
            .containsOnly(call.batch().get(0).resumes());
        assertThat(begun).doesNotContainAnyElementsOf(call.batch());
        begun.addAll(call.batch());
      } else {
        assertThat(call.batch()).extracting(Flight::batchKey).containsOnly(call.key());
      }
      for (Flight flight : call.batch()) {
        if (call.stage() == Stage.STEP) {
          assertThat(flight.left--).isPositive();
        } else if (call.stage() == Stage.DECODE) {
          assertThat(flight.left).isZero();
          assertThat(flight.decoded).isFalse();
          flight.decoded = true;
        }
        planner.moved(flight, call.stage(), flight.left > 0);
      }
      assertThat(calls).as("calls").isLessThan(1_000);
    }
    assertThat(planner.size()).isZero();
  }

  /** Of any number of refused calls the guilty one alone is left, however it hides. */
  @Property
  void aRequestThatIsNotNamedIsFoundByTryingEachAlone(
      @ForAll @IntRange(min = 2, max = 9) int count,
      @ForAll @IntRange(min = 0, max = 8) int guilty) {
    BatchPlanner<Flight> planner = planner(4);
    List<Flight> flights = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      flights.add(flight(i, 1));
      planner.add(flights.get(i));
    }
    Flight bad = flights.get(guilty % count);
    List<Flight> blamed = new ArrayList<>();
    Set<Flight> begun = new HashSet<>();
    while (begun.size() + blamed.size() < count) {
      BatchPlanner.Call<Flight> call = planner.next().orElseThrow();
      if (call.stage() == Stage.ENCODE && call.batch().contains(bad)) {
        planner
            .failed(call, new InvalidRequestException("no"))
            .ifPresent(
                blame -> {
                  assertThat(blame.kind()).isEqualTo(Kind.INVALID_REQUEST);
                  assertThat(blame.again()).isFalse();
                  blamed.addAll(blame.members());
                  blame.members().forEach(planner::remove);
                });
        continue;
      }
      call.batch()
          .forEach(flight -> planner.moved(flight, call.stage(), call.stage() == Stage.ENCODE));
      if (call.stage() == Stage.ENCODE) {
        begun.addAll(call.batch());
      }
    }
    assertThat(blamed).containsExactly(bad);
  }

  @Test
  void aCallThatDoesNotFitIsHalvedUntilOneAloneHasToAnswer() {
    BatchPlanner<Flight> planner = planner(8);
    for (int i = 0; i < 8; i++) {
      planner.add(flight(i, 1));
    }
    List<Integer> sizes = new ArrayList<>();
    Optional<BatchPlanner.Blame<Flight>> blame = Optional.empty();
    while (blame.isEmpty()) {
      BatchPlanner.Call<Flight> call = planner.next().orElseThrow();
      sizes.add(call.batch().size());
      blame = planner.failed(call, new DeviceMemoryException("full", null));
    }
    assertThat(sizes).containsExactly(8, 4, 2, 1);
    assertThat(blame.get().kind()).isEqualTo(Kind.OUT_OF_MEMORY);
    assertThat(blame.get().again()).isTrue();
  }

  @Test
  void thoseWhoseNumbersAreNotFiniteAnswerForThemselves() {
    BatchPlanner<Flight> planner = planner(8);
    List<Flight> flights = List.of(flight(0, 2), flight(1, 2), flight(2, 2));
    flights.forEach(planner::add);
    BatchPlanner.Call<Flight> call = planner.next().orElseThrow();
    BatchPlanner.Blame<Flight> blame =
        planner.failed(call, new NotFiniteException("NaN", List.of(0, 2))).orElseThrow();
    assertThat(blame.members()).containsExactly(flights.get(0), flights.get(2));
    assertThat(blame.again()).isTrue();
  }

  @Test
  void aPreviewWaitsUntilNothingElseDoesAndNobodyAnswersForIt() {
    BatchPlanner<Flight> planner = planner(2);
    Flight first = flight(0, 3);
    planner.add(first);
    planner.moved(first, planner.next().orElseThrow().stage(), true);
    assertThat(planner.next().orElseThrow().stage()).isEqualTo(Stage.STEP);
    planner.moved(first, Stage.STEP, true);
    first.previewDue = true;
    Flight second = flight(1, 1);
    planner.add(second);
    assertThat(planner.next().orElseThrow().stage()).isEqualTo(Stage.ENCODE);
    planner.moved(second, Stage.ENCODE, true);
    assertThat(planner.next().orElseThrow().stage()).isEqualTo(Stage.STEP);
    BatchPlanner.Call<Flight> preview = planner.next().orElseThrow();
    assertThat(preview.stage()).isEqualTo(Stage.PREVIEW);
    assertThat(planner.failed(preview, new DeviceMemoryException("full", null))).isEmpty();
    assertThatThrownBy(() -> planner.failed(preview, new InvalidRequestException("no")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("preview");
  }

  @Test
  void anErrorOfTheDeviceIsNotOfSingleRequests() {
    BatchPlanner<Flight> planner = planner(2);
    planner.add(flight(0, 1));
    BatchPlanner.Call<Flight> call = planner.next().orElseThrow();
    assertThatThrownBy(() -> planner.failed(call, new IllegalStateException("broken")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasCauseInstanceOf(IllegalStateException.class);
  }

  /** Costs of calls: a fixed part for each, and the same again for each row. */
  private static final int FIXED_NANOS = 1000;

  /** Makes the next call. */
  private static BatchPlanner.Call<Flight> make(BatchPlanner<Flight> planner) {
    BatchPlanner.Call<Flight> call = planner.next().orElseThrow();
    planner.took(call, FIXED_NANOS * (1 + call.rows()));
    for (Flight flight : call.batch()) {
      if (call.stage() == Stage.STEP) {
        flight.left--;
      }
      flight.decoded |= call.stage() == Stage.DECODE;
      planner.moved(flight, call.stage(), flight.left > 0);
    }
    return call;
  }

  /** The planner has seen calls of several sizes, and nobody is there. */
  private static BatchPlanner<Flight> experiencedPlanner() {
    BatchPlanner<Flight> planner = planner(8);
    int number = 0;
    for (int together : List.of(1, 4, 2, 3)) {
      for (int i = 0; i < together; i++) {
        planner.add(flight(number++, 2));
      }
      while (planner.size() > 0) {
        make(planner);
      }
    }
    return planner;
  }

  private static List<BatchPlanner.Call<Flight>> calls(
      BatchPlanner<Flight> planner, Stage stage, List<Flight> flights) {
    flights.forEach(planner::add);
    List<BatchPlanner.Call<Flight>> calls = new ArrayList<>();
    while (planner.size() > 0) {
      BatchPlanner.Call<Flight> call = make(planner);
      if (call.stage() == stage) {
        calls.add(call);
      }
    }
    return calls;
  }

  private static List<Flight> flights(int count, ToIntFunction<Integer> steps) {
    return IntStream.range(100, 100 + count)
        .mapToObj(number -> flight(number, steps.applyAsInt(number)))
        .toList();
  }

  @Test
  void inAQueueDecodingWaitsForThoseThatAreAboutToBeDone() {
    assertThat(
            calls(experiencedPlanner(), Stage.DECODE, flights(64, number -> 1 + number % 8))
                .stream()
                .mapToInt(BatchPlanner.Call::rows)
                .average()
                .orElseThrow())
        .as("images of a decoding call, 4 at most")
        .isGreaterThan(3);
    assertThat(
            calls(planner(8), Stage.DECODE, flights(64, number -> 1)).stream()
                .mapToInt(BatchPlanner.Call::rows))
        .as("those that are done together are decoded together")
        .containsOnly(4);
  }

  @Test
  void inAQueueTheNextAreEncodedTogetherWhileCallsAreFull() {
    assertThat(
            calls(experiencedPlanner(), Stage.ENCODE, flights(64, number -> 1 + number % 8))
                .stream()
                .mapToInt(BatchPlanner.Call::rows)
                .average()
                .orElseThrow())
        .isGreaterThan(4);
  }

  @Test
  void onADeviceThatHasTimeNothingWaitsForOthers() {
    BatchPlanner<Flight> planner = experiencedPlanner();
    Flight first = flight(100, 1);
    Flight second = flight(101, 2);
    planner.add(first);
    planner.add(second);
    assertThat(make(planner).stage()).isEqualTo(Stage.ENCODE);
    assertThat(make(planner).batch()).containsExactly(first, second);
    assertThat(make(planner).batch()).as("of whom one is done").containsExactly(first);
    assertThat(first.decoded).isTrue();
  }

  @Test
  void whatIsUrgentWaitsForNobody() {
    BatchPlanner<Flight> planner = experiencedPlanner();
    Flight urgent = flight(100, 1);
    urgent.urgent = true;
    planner.add(urgent);
    flights(60, number -> 2).forEach(planner::add);
    while (urgent.left > 0) {
      make(planner);
    }
    assertThat(make(planner).batch()).containsExactly(urgent);
  }

  /** However long the queue, and however rarely another one is done. */
  @Test
  void whatIsDoneWaitsForSomeStepsAtMost() {
    BatchPlanner<Flight> planner = experiencedPlanner();
    Flight first = flight(50, 1);
    planner.add(first);
    for (int i = 0; i < 5000; i++) {
      planner.add(flight(100 + i, 40));
    }
    int steps = 0;
    while (!first.decoded) {
      steps += make(planner).stage() == Stage.STEP ? 1 : 0;
      assertThat(steps).isLessThanOrEqualTo(1 + HeldCalls.MOST_STEPS_HELD);
    }
  }
}
