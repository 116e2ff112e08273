/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.noise.NoiseSource;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/**
 * Configs drawn at random over all keys and values of every scheduler, with what diffusers 0.42.0
 * makes of them: {@code random_scheduler_cases.py}. Each is equal, or refused by both, or one of
 * the differences of docs/DIFFERENCES.md; nothing else.
 */
class RandomSchedulerConfigsTest {

  /** Of the final sample's greatest magnitude, at least 1. */
  private static final double TOLERANCE = 1e-3;

  private enum Verdict {
    EQUAL,
    REFUSED_BY_BOTH,
    LISTED,
    WRONG
  }

  /** Where we knowingly differ, by the rows of docs/DIFFERENCES.md. */
  private enum Listed {
    TRAILING_RANGE_IS_TOO_LONG {
      @Override
      boolean holds(ReferenceCase one, String ours) {
        return one.error().isEmpty()
            && one.says("timestep_spacing", "trailing", "")
            && (one.timesteps()[one.timesteps().length - 1] == -1 || one.timesteps()[0] == -1);
      }
    },
    FIXED_LARGE_LOG_IS_NAN {
      @Override
      boolean holds(ReferenceCase one, String ours) {
        return one.scheduler().equals("DDPMScheduler")
            && one.says("variance_type", "fixed_large_log", "")
            && one.error().equals(Optional.of("not finite"));
      }
    },
    BH1_AT_SIGMA_ZERO_IS_NAN {
      @Override
      boolean holds(ReferenceCase one, String ours) {
        return one.scheduler().equals("UniPCMultistepScheduler")
            && one.says("solver_type", "bh1", "")
            && one.says("final_sigmas_type", "zero", "zero")
            && one.error().equals(Optional.of("not finite"));
      }
    },
    SQUARE_ROOTS_ARE_THE_PROCESSORS {
      @Override
      boolean holds(ReferenceCase one, String ours) {
        return one.withExactRoots()
            .filter(exact -> judge(exact).verdict() == Verdict.EQUAL)
            .isPresent();
      }
    },
    AN_INFINITY_IS_CLIPPED {
      @Override
      boolean holds(ReferenceCase one, String ours) {
        return ours.startsWith("refused")
            && one.says("rescale_betas_zero_snr", "true", "false")
            && one.says("prediction_type", "epsilon", "epsilon")
            && (one.says(
                    "clip_sample", "true", one.scheduler().startsWith("LCM") ? "false" : "true")
                || one.says("thresholding", "true", "false"));
      }
    },
    LISTED_SIGMAS_ARE_PLACED_AGAIN {
      @Override
      boolean holds(ReferenceCase one, String ours) {
        return one.scheduler().equals("UniPCMultistepScheduler")
            && !one.options().sigmas().isEmpty()
            && ours.contains("when sigmas are listed");
      }
    },
    LISTED_TIMESTEPS_ARE_IGNORED {
      @Override
      boolean holds(ReferenceCase one, String ours) {
        return one.scheduler().startsWith("DPMSolver")
            && !one.options().timesteps().isEmpty()
            && ours.contains("use_flow_sigmas = true; supported: false, when timesteps are listed");
      }
    },
    THE_MIDDLE_SIGMA_CANCELS {
      @Override
      boolean holds(ReferenceCase one, String ours) {
        return one.scheduler().equals("KDPM2AncestralDiscreteScheduler")
            && one.withExactRoots().orElse(one).error().equals(Optional.of("not finite"))
            && !ours.startsWith("refused");
      }
    },
    STEPS_ROUND_IN_FLOAT32 {
      @Override
      boolean holds(ReferenceCase one, String ours) {
        return one.withDoubleSteps()
            .filter(steps -> judge(steps).verdict() == Verdict.EQUAL)
            .isPresent();
      }
    },
    EQUAL_LAST_SIGMAS_ARE_NAN {
      @Override
      boolean holds(ReferenceCase one, String ours) {
        return one.scheduler().equals("EDMDPMSolverMultistepScheduler")
            && one.says("final_sigmas_type", "sigma_min", "zero")
            && one.error().equals(Optional.of("not finite"));
      }
    };

    /**
     * @param ours our refusal, or how our trajectory differs
     */
    abstract boolean holds(ReferenceCase one, String ours);
  }

  private record Result(Verdict verdict, String why) {}

  @Test
  void randomConfigsAreAsTheReferencesOrRefused() throws IOException {
    try (InputStream file = getClass().getResourceAsStream("/fixtures/scheduler/random.json")) {
      List<ReferenceCase> cases = ReferenceCase.random(file);
      assertThat(cases).hasSizeGreaterThanOrEqualTo(40);
      assertThat(report(cases)).isEmpty();
    }
  }

  /**
   * {@code make_scheduler_rounding_fixtures.py}. None may be listed as a difference, but for the
   * roots.
   */
  @Test
  void configsThatHangOnRoundingAndCountingAreAsTheReferences() throws IOException {
    try (InputStream file = getClass().getResourceAsStream("/fixtures/scheduler/rounding.json")) {
      List<ReferenceCase> cases = ReferenceCase.random(file);
      assertThat(cases).hasSizeGreaterThanOrEqualTo(15);
      assertThat(cases)
          .allSatisfy(
              one ->
                  assertThat(judge(one.withExactRoots().orElse(one)))
                      .isEqualTo(new Result(Verdict.EQUAL, "")));
      assertThat(cases.get(0).plan().timestep(0)).isLessThan(-1);
      assertThat(cases.get(1).plan().calls()).isEqualTo(cases.get(1).steps() + 1);
    }
  }

  /** For files that are too long for the build. */
  @Test
  @EnabledIfSystemProperty(named = "scheduler.random", matches = ".+")
  void allConfigsOfTheFileAreAsTheReferencesOrRefused() throws IOException {
    try (InputStream file = Files.newInputStream(Path.of(System.getProperty("scheduler.random")))) {
      assertThat(report(ReferenceCase.random(file))).isEmpty();
    }
  }

  /** Prints counts; gives what is wrong. */
  private static List<String> report(List<ReferenceCase> cases) {
    Map<Verdict, Integer> counts = new EnumMap<>(Verdict.class);
    Map<String, Integer> listed = new TreeMap<>();
    List<String> wrong = new ArrayList<>();
    for (ReferenceCase one : cases) {
      Result result = judge(one);
      counts.merge(result.verdict(), 1, Integer::sum);
      if (result.verdict() == Verdict.WRONG) {
        wrong.add(one + "\n    " + result.why());
      } else if (result.verdict() == Verdict.LISTED) {
        listed.merge(result.why(), 1, Integer::sum);
      }
    }
    System.out.println(cases.size() + " configs: " + counts + ", listed: " + listed);
    return wrong;
  }

  private static Result judge(ReferenceCase one) {
    SamplingPlan plan;
    try {
      plan = one.plan();
    } catch (SchedulerException e) {
      return one.error().isPresent()
          ? new Result(Verdict.REFUSED_BY_BOTH, "")
          : orListed(one, "refused: " + e.getMessage());
    }
    if (one.error().isPresent()) {
      return orListed(one, "sampled; the reference: " + one.error().get());
    }
    return difference(one, plan)
        .map(difference -> orListed(one, difference))
        .orElse(new Result(Verdict.EQUAL, ""));
  }

  private static Result orListed(ReferenceCase one, String difference) {
    for (Listed listed : Listed.values()) {
      if (listed.holds(one, difference)) {
        return new Result(Verdict.LISTED, listed.name());
      }
    }
    return new Result(Verdict.WRONG, difference);
  }

  private static Optional<String> difference(ReferenceCase one, SamplingPlan plan) {
    float[] timesteps = one.timesteps();
    int skipped = timesteps.length - plan.calls();
    if (skipped != 0) {
      return Optional.of(
          "%d calls, the reference has %d".formatted(plan.calls(), timesteps.length));
    }
    for (int call = 0; call < timesteps.length; call++) {
      if (Math.abs(plan.timestep(call) - timesteps[call]) > one.timestepTolerance(call)) {
        return Optional.of(
            "timestep of call %d is %s, the reference's %s"
                .formatted(call, plan.timestep(call), timesteps[call]));
      }
    }
    if (Math.abs(plan.initNoiseSigma() - one.initNoiseSigma()) > 1e-5 * one.initNoiseSigma()) {
      return Optional.of(
          "initNoiseSigma %s, the reference's %s"
              .formatted(plan.initNoiseSigma(), one.initNoiseSigma()));
    }
    SamplerState state = one.start(plan);
    NoiseSource noise = one.stepNoise();
    while (!state.done()) {
      float[] output = one.output(state.modelInput(), plan.timestep(state.call()));
      state = advanced(state, output, noise);
    }
    double unit = 1;
    double worst = 0;
    float[] expected = one.finalSample();
    float[] actual = state.sample();
    for (int i = 0; i < expected.length; i++) {
      unit = Math.max(unit, Math.abs(expected[i]));
      double error = Math.abs((double) actual[i] - expected[i]);
      worst = Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.max(worst, error);
    }
    return worst <= Math.max(TOLERANCE * unit, 2 * one.rounding())
        ? Optional.empty()
        : Optional.of(
            "differs by %s of %s, the reference's rounding %s"
                .formatted(worst, unit, one.rounding()));
  }

  private static SamplerState advanced(SamplerState state, float[] output, NoiseSource noise) {
    state.advance(output, noise);
    return state;
  }
}
