/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assertions.withinPercentage;

import io.github.flinkdiffusion.ops.batching.CallReport.Stage;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

/** Shares of a device, counted call by call. */
class FairShareTest {
  private static final Tenant HEAVY = new Tenant("heavy", 1);
  private static final Tenant LIGHT = new Tenant("light", 1);

  private static final class Flight implements BatchPlanner.Member {
    final Tenant tenant;
    final int number;
    final int rows;
    final int shape;
    final int begunAt;
    int left;

    Flight(Tenant tenant, int number, int rows, int steps, int shape, int begunAt) {
      this.tenant = tenant;
      this.number = number;
      this.rows = rows;
      this.left = steps;
      this.shape = shape;
      this.begunAt = begunAt;
    }

    @Override
    public Tenant tenant() {
      return tenant;
    }

    @Override
    public Object batchKey() {
      return shape;
    }

    @Override
    public int rows() {
      return rows;
    }

    @Override
    public int stepsLeft() {
      return left;
    }
  }

  /** A device that makes calls, and what became of the requests. */
  private static final class Device {
    final BatchPlanner<Flight> planner;
    final Map<String, Integer> rowSteps = new HashMap<>();
    final Map<String, Integer> inFlight = new HashMap<>();
    final List<Integer> stepCallRows = new ArrayList<>();

    /** Calls from each request's arrival to its image, by tenant. */
    final Map<String, List<Integer>> waits = new HashMap<>();

    private int calls;
    private int numbers;

    /** Time of a call apart from its rows, in rows. */
    private final int fixedRows;

    Device(int rowLimit) {
      this(rowLimit, 0);
    }

    Device(int rowLimit, int fixedRows) {
      this.fixedRows = fixedRows;
      planner =
          new BatchPlanner<>(
              BatchPolicy.ofRows(rowLimit),
              Comparator.comparingInt((Flight flight) -> flight.number));
    }

    void send(Tenant tenant, int rows, int steps, int shape) {
      planner.add(new Flight(tenant, numbers++, rows, steps, shape, calls));
      inFlight.merge(tenant.name(), 1, Integer::sum);
    }

    /** Fills a tenant's requests in flight up to so many. */
    void keepBusy(Tenant tenant, int requests, int rows, int steps, int shape) {
      while (inFlight.getOrDefault(tenant.name(), 0) < requests) {
        send(tenant, rows, steps, shape);
      }
    }

    void call() {
      calls++;
      BatchPlanner.Call<Flight> call = planner.next().orElseThrow();
      planner.took(call, 1_000_000L * (fixedRows + call.rows()));
      if (call.stage() == Stage.STEP) {
        stepCallRows.add(call.rows());
      }
      for (Flight flight : call.batch()) {
        if (call.stage() == Stage.STEP) {
          flight.left--;
          rowSteps.merge(flight.tenant.name(), flight.rows, Integer::sum);
        } else if (call.stage() == Stage.DECODE) {
          inFlight.merge(flight.tenant.name(), -1, Integer::sum);
          waits
              .computeIfAbsent(flight.tenant.name(), name -> new ArrayList<>())
              .add(calls - flight.begunAt);
        }
        planner.moved(flight, call.stage(), flight.left > 0);
      }
    }

    int rowSteps(Tenant tenant) {
      return rowSteps.getOrDefault(tenant.name(), 0);
    }
  }

  /**
   * Whatever the requests of each are like. With few steps and several shapes a tenant may have
   * none that could take a step, since its next ones wait to be encoded: hence not exactly equal.
   */
  @Property(tries = 20, shrinking = ShrinkingMode.OFF)
  void tenantsThatAlwaysWantMoreGetEqualShares(
      @ForAll @IntRange(min = 1, max = 9) int rowLimit,
      @ForAll @Size(min = 2, max = 5) List<@IntRange(min = 5, max = 15) Integer> steps,
      @ForAll @Size(5) List<@IntRange(min = 18, max = 40) Integer> requests,
      @ForAll @Size(5) List<@IntRange(min = 0, max = 1) Integer> shapes) {
    Device device = new Device(rowLimit);
    for (int call = 0; call < 1500; call++) {
      for (int i = 0; i < steps.size(); i++) {
        device.keepBusy(new Tenant("t" + i, 1), requests.get(i), 1, steps.get(i), shapes.get(i));
      }
      device.call();
    }
    double share =
        device.rowSteps.values().stream().mapToInt(Integer::intValue).average().orElseThrow();
    assertThat(device.rowSteps.values())
        .hasSize(steps.size())
        .allSatisfy(got -> assertThat((double) got).isCloseTo(share, withinPercentage(15)));
  }

  @Test
  void equalTenantsWithLongRequestsGetTheSameToTheLastFewSteps() {
    Device device = new Device(4);
    for (int call = 0; call < 3000; call++) {
      device.keepBusy(HEAVY, 40, 1, 50, 0);
      device.keepBusy(LIGHT, 9, 2, 25, 0);
      device.call();
    }
    assertThat(device.rowSteps(HEAVY)).isCloseTo(device.rowSteps(LIGHT), within(60));
  }

  @Test
  void sharesAreInProportionToWeights() {
    Device device = new Device(4);
    Tenant three = new Tenant("three", 3);
    Tenant half = new Tenant("half", 0.5);
    for (int call = 0; call < 4000; call++) {
      device.keepBusy(LIGHT, 10, 1, 7, 0);
      device.keepBusy(three, 10, 2, 5, 0);
      device.keepBusy(half, 10, 1, 9, 0);
      device.call();
    }
    double one = device.rowSteps(LIGHT);
    assertThat(device.rowSteps(three) / one).isCloseTo(3, within(0.05));
    assertThat(device.rowSteps(half) / one).isCloseTo(0.5, within(0.05));
  }

  @Test
  void oneTenantAloneGetsEveryRowOfEveryCall() {
    Device device = new Device(4);
    for (int call = 0; call < 300; call++) {
      device.keepBusy(HEAVY, 20, 1, 6, 0);
      device.call();
    }
    assertThat(device.stepCallRows).hasSizeGreaterThan(100).containsOnly(4);
  }

  /**
   * Where a call's time hardly depends on its rows, a light tenant's calls are full all the same.
   */
  @Test
  void whatATenantDoesNotUseGoesToTheOthers() {
    Device device = new Device(8, 100);
    for (int call = 0; call < 1000; call++) {
      device.keepBusy(HEAVY, 60, 1, 25, 0);
      device.keepBusy(LIGHT, 1, 1, 25, 0);
      device.call();
    }
    assertThat(device.stepCallRows.stream().mapToInt(Integer::intValue).average().orElseThrow())
        .isGreaterThan(7);
    assertThat(device.rowSteps(HEAVY)).isGreaterThan(6 * device.rowSteps(LIGHT));
  }

  /** Such a light tenant is never above its share, and always there. */
  @Test
  void othersAreDecodedAlthoughALightTenantIsAlwaysThere() {
    Device device = new Device(8, 1000);
    for (int call = 0; call < 1000; call++) {
      device.keepBusy(HEAVY, 40, 1, 12, 0);
      device.keepBusy(LIGHT, 2, 1, 1000, 0);
      device.call();
    }
    assertThat(device.waits.get("heavy")).hasSizeGreaterThan(300).allMatch(calls -> calls < 200);
  }

  /** Otherwise a request of one row would take as long as the calls of others are large. */
  @Test
  void whereRowsCostTimeCallsOfATenantBelowItsShareStaySmall() {
    Device device = new Device(8);
    for (int call = 0; call < 900; call++) {
      device.keepBusy(HEAVY, 40, 1, 50, 0);
      if (call % 90 == 45) {
        device.stepCallRows.clear();
        device.send(LIGHT, 2, 6, 0);
      }
      device.call();
      if (call % 90 == 45 + 12 && call > 90) {
        assertThat(device.waits.get("light")).hasSize(call / 90 + 1);
        assertThat(device.stepCallRows.stream().filter(rows -> rows <= 3)).hasSize(6);
      }
    }
    assertThat(device.rowSteps(HEAVY)).isGreaterThan(8 * device.rowSteps(LIGHT));
  }

  @Test
  void aCallsTimeIsLearnedFromCallsOfSeveralSizes() {
    CallTimes times = new CallTimes();
    assertThat(times.rowsWithin("shape", 2, 1.5)).isEqualTo(3);
    times.took("shape", 16, 26);
    assertThat(times.rowsWithin("shape", 2, 1.5)).isEqualTo(3);
    for (int i = 0; i < 50; i++) {
      times.took("shape", 16, 26_000_000);
      times.took("shape", 2, 12_000_000);
    }
    // 10 ms and 1 ms a row: 12 ms times 1.5 are 18 ms.
    assertThat(times.rowsWithin("shape", 2, 1.5)).isBetween(7, 8);
    assertThat(times.rowsWithin("other", 2, 1)).isEqualTo(2);
  }

  /** Alone it would take encoding, six steps and decoding. */
  @Test
  void aRequestOfATenantThatAsksForLessThanItsShareRunsAtOnce() {
    Device device = new Device(4);
    for (int call = 0; call < 2000; call++) {
      device.keepBusy(HEAVY, 50, 1, 50, 0);
      if (call % 60 == 30) {
        device.send(LIGHT, 1, 6, 0);
      }
      device.call();
    }
    assertThat(device.waits.get("light")).hasSize(33);
    // Between two of its steps there is at most one call that is none.
    assertThat(device.waits.get("light").subList(1, 33)).allMatch(calls -> calls <= 2 * 6 + 4);
  }

  /** A stream of tenants that are all new never keeps one that was served before from its turn. */
  @Property(tries = 20, shrinking = ShrinkingMode.OFF)
  void noTenantStarves(
      @ForAll @IntRange(min = 1, max = 4) int rowLimit,
      @ForAll @IntRange(min = 1, max = 5) int steps,
      @ForAll @IntRange(min = 2, max = 30) int atOnce) {
    Device device = new Device(rowLimit);
    int newcomers = 0;
    for (int call = 0; call < 1500; call++) {
      device.keepBusy(HEAVY, 2, 1, 20, 0);
      while (device.planner.size() < atOnce + 2) {
        device.send(new Tenant("new" + newcomers++, 1), 1, steps, 0);
      }
      device.call();
    }
    // Of so many tenants it is one: it gets about that share, and not less than half of it.
    assertThat(device.rowSteps(HEAVY))
        .isGreaterThan(
            device.stepCallRows.stream().mapToInt(Integer::intValue).sum() / (2 * (atOnce + 1))
                - 20);
  }

  @Test
  void whoWasIdleCannotSaveUpItsShare() {
    Device device = new Device(2);
    device.send(LIGHT, 1, 10, 0);
    for (int call = 0; call < 1000; call++) {
      device.keepBusy(HEAVY, 20, 1, 10, 0);
      device.call();
    }
    int before = device.rowSteps(HEAVY);
    int burst = device.rowSteps(LIGHT);
    for (int call = 0; call < 400; call++) {
      device.keepBusy(HEAVY, 20, 1, 10, 0);
      device.keepBusy(LIGHT, 20, 1, 10, 0);
      device.call();
    }
    int light = device.rowSteps(LIGHT) - burst;
    int heavy = device.rowSteps(HEAVY) - before;
    assertThat(light - heavy).isBetween(0, FairShare.REQUESTS_AHEAD * 10 + 24);
  }

  /** Otherwise many image sizes would be many turns. */
  @Test
  void shapesOfOneTenantShareItsTurns() {
    Device device = new Device(2);
    for (int call = 0; call < 1000; call++) {
      for (int shape = 0; shape < 5; shape++) {
        if (device.planner.size() < 30) {
          device.send(HEAVY, 1, 10, shape);
        }
      }
      device.keepBusy(LIGHT, 6, 1, 10, 7);
      device.call();
    }
    assertThat((double) device.rowSteps(LIGHT) / device.rowSteps(HEAVY)).isCloseTo(1, within(0.1));
  }

  @Test
  void onlyTenantsThatWereServedLatelyAreRemembered() {
    FairShare<Flight> shares = new FairShare<>();
    for (int i = 0; i < 5000; i++) {
      Flight flight = new Flight(new Tenant("t" + i, 1), i, 1, 1_000_000, 0, 0);
      shares.started(flight, 1e9);
      shares.charge(List.of(flight), List.of(flight));
    }
    assertThat(shares.accounts()).isLessThanOrEqualTo(FairShare.MOST_ACCOUNTS);
  }
}
