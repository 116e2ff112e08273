/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import java.util.Arrays;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;

/** What must hold for every scheduler and config that the reference cases know. */
class SamplerStatePropertyTest {

  private static final List<ReferenceCase> CASES =
      Schedulers.supported().stream()
          .flatMap(ReferenceCase::sampled)
          .filter(c -> c.steps() <= 25)
          .toList();

  @Property(tries = 400)
  void aTrajectorySavedAndRestoredAtAnyCallEndsInTheSameSampleToTheBit(
      @ForAll("cases") ReferenceCase reference, @ForAll @IntRange(min = 0, max = 1000) int when) {
    SamplingPlan plan = reference.plan();
    SamplerState undisturbed = reference.start(plan);
    TorchGenerator itsNoise = reference.stepNoise();
    SamplerState state = reference.start(plan);
    TorchGenerator noise = reference.stepNoise();
    int savedAt = when % (plan.calls() + 1);
    while (true) {
      if (state.call() == savedAt) {
        state =
            SamplerState.restore(reference.plan(), state.call(), state.sample(), state.history());
        noise = TorchGenerator.restore(noise.saveState());
      }
      assertThat(state.sample()).isEqualTo(undisturbed.sample());
      assertThat(state.history()).isDeepEqualTo(undisturbed.history());
      if (state.done()) {
        break;
      }
      step(reference, plan, state, noise);
      step(reference, plan, undisturbed, itsNoise);
    }
    assertThat(undisturbed.done()).isTrue();
    assertThat(noise.saveState()).isEqualTo(itsNoise.saveState());
  }

  @Property(tries = 200)
  void plansArePure(@ForAll("cases") ReferenceCase reference) {
    assertThat(reference.plan()).isEqualTo(reference.plan()).hasSameHashCodeAs(reference.plan());
  }

  @Property(tries = 100)
  void aPlanServesManyTrajectoriesAtOnce(@ForAll("cases") ReferenceCase reference) {
    SamplingPlan plan = reference.plan();
    SamplerState first = reference.start(plan);
    SamplerState second = reference.start(plan);
    TorchGenerator firstNoise = reference.stepNoise();
    TorchGenerator secondNoise = reference.stepNoise();
    step(reference, plan, first, firstNoise);
    while (!first.done()) {
      step(reference, plan, second, secondNoise);
      step(reference, plan, first, firstNoise);
    }
    step(reference, plan, second, secondNoise);
    assertThat(second.sample()).isEqualTo(first.sample());
  }

  @Property(tries = 200)
  void noiseIsDrawnExactlyWhenThePlanSaysSo(@ForAll("cases") ReferenceCase reference) {
    SamplingPlan plan = reference.plan();
    SamplerState state = reference.start(plan);
    TorchGenerator noise = reference.stepNoise();
    while (!state.done()) {
      int call = state.call();
      int[] draws = {0};
      state.advance(
          reference.output(state.modelInput(), plan.timestep(call)),
          n -> {
            draws[0]++;
            return noise.gaussian(n);
          });
      assertThat(draws[0]).isEqualTo(plan.draws(call));
      assertThat(plan.needsNoise(call)).isEqualTo(draws[0] > 0);
    }
  }

  @Property(tries = 100)
  void theNetworksOutputIsNeitherKeptNorChanged(@ForAll("cases") ReferenceCase reference) {
    SamplingPlan plan = reference.plan();
    SamplerState state = reference.start(plan);
    SamplerState other = reference.start(plan);
    TorchGenerator noise = reference.stepNoise();
    TorchGenerator otherNoise = reference.stepNoise();
    while (!state.done()) {
      float[] output = reference.output(state.modelInput(), plan.timestep(state.call()));
      float[] copy = output.clone();
      state.advance(output, noise);
      assertThat(output).isEqualTo(copy);
      Arrays.fill(output, Float.NaN);
      other.advance(copy, otherNoise);
    }
    assertThat(state.sample()).isEqualTo(other.sample());
  }

  @Provide
  Arbitrary<ReferenceCase> cases() {
    return Arbitraries.of(CASES);
  }

  private static void step(
      ReferenceCase reference, SamplingPlan plan, SamplerState state, TorchGenerator noise) {
    state.advance(reference.output(state.modelInput(), plan.timestep(state.call())), noise);
  }
}
