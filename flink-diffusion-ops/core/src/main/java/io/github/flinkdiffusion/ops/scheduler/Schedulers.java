/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.Collections;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.apache.flink.annotation.Internal;

/** The schedulers there are, by the class names that diffusers gives them. */
@Internal
public final class Schedulers {

  /**
   * Compiles one class's config; throws {@link SchedulerException} for what it does not support.
   */
  @FunctionalInterface
  private interface Compiler {
    SamplingPlan plan(Fields fields, int inferenceSteps, SamplingOptions options);
  }

  /** An option beside the config that not every scheduler has a use for. */
  public enum Option {
    /** {@link SamplingOptions#eta()}. */
    ETA,
    /** {@link SamplingOptions#useClippedModelOutput()}. */
    USE_CLIPPED_MODEL_OUTPUT,
    /** {@link SamplingOptions#mu()}. */
    MU,
    /** {@link SamplingOptions#churn()}. */
    CHURN,
    /** {@link SamplingOptions#timesteps()}. */
    TIMESTEPS,
    /** {@link SamplingOptions#sigmas()}. */
    SIGMAS,
    /** {@link SamplingOptions#originalInferenceSteps()} and {@link SamplingOptions#strength()}. */
    ORIGINAL_INFERENCE_STEPS,
    /** {@link SamplingOptions#jumps()}. */
    JUMPS
  }

  private record Entry(Compiler compiler, Set<Option> options) {}

  private static Map.Entry<String, Entry> entry(
      String className, Compiler compiler, Option... options) {
    return Map.entry(className, new Entry(compiler, Set.of(options)));
  }

  private static final String REPAINT = "RePaintScheduler";
  private static final String SCORE_SDE_VE = "ScoreSdeVeScheduler";

  /** Classes whose steps only one pipeline can make, since they need more than a generator. */
  private static final Map<String, String> PIPELINES =
      Map.of(REPAINT, "RePaintPipeline", SCORE_SDE_VE, "ScoreSdeVePipeline");

  private static final String HEUN = "HeunDiscreteScheduler";

  /** Classes of which diffusers does not say how an image and noise mix ({@code add_noise}). */
  private static final Set<String> FROM_NOISE_ALONE =
      Set.of("DDIMInverseScheduler", "IPNDMScheduler");

  private static final Map<String, Entry> ENTRIES =
      new TreeMap<>(
          Map.ofEntries(
              entry("CMStochasticIterativeScheduler", ConsistencyModel::plan, Option.TIMESTEPS),
              entry("DDIMInverseScheduler", DdimInverse::plan),
              entry("DDIMScheduler", Ddim::plan, Option.ETA, Option.USE_CLIPPED_MODEL_OUTPUT),
              entry("DDPMScheduler", Ddpm::plan, Option.TIMESTEPS),
              entry("DEISMultistepScheduler", Deis::plan, Option.MU),
              entry("DPMSolverMultistepInverseScheduler", DpmSolverInverse::plan),
              entry(
                  "DPMSolverMultistepScheduler",
                  DpmSolverMultistep::plan,
                  Option.MU,
                  Option.TIMESTEPS),
              entry(
                  "DPMSolverSinglestepScheduler",
                  DpmSolverSinglestep::plan,
                  Option.MU,
                  Option.TIMESTEPS),
              entry("DPMSolverSDEScheduler", DpmSolverSde::plan),
              entry("EDMDPMSolverMultistepScheduler", EdmDpmSolver::plan),
              entry("EDMEulerScheduler", EdmEuler::plan, Option.CHURN),
              entry("EulerAncestralDiscreteScheduler", EulerAncestral::plan),
              entry(
                  "EulerDiscreteScheduler",
                  Euler::plan,
                  Option.CHURN,
                  Option.TIMESTEPS,
                  Option.SIGMAS),
              entry(
                  "FlowMatchEulerDiscreteScheduler",
                  FlowMatchEuler::plan,
                  Option.MU,
                  Option.TIMESTEPS,
                  Option.SIGMAS),
              entry("FlowMatchHeunDiscreteScheduler", FlowMatchHeun::plan),
              entry(
                  "FlowMatchLCMScheduler",
                  FlowMatchLcm::plan,
                  Option.MU,
                  Option.TIMESTEPS,
                  Option.SIGMAS),
              entry(HEUN, Heun::plan, Option.TIMESTEPS),
              entry("IPNDMScheduler", Ipndm::plan),
              entry("KDPM2AncestralDiscreteScheduler", Kdpm2::ancestral),
              entry("KDPM2DiscreteScheduler", Kdpm2::plan),
              entry("LCMScheduler", Lcm::plan, Option.TIMESTEPS, Option.ORIGINAL_INFERENCE_STEPS),
              entry("LMSDiscreteScheduler", Lms::plan),
              entry("PNDMScheduler", Pndm::plan),
              entry(REPAINT, RePaint::plan, Option.ETA, Option.JUMPS),
              entry("SASolverScheduler", SaSolver::plan),
              entry(SCORE_SDE_VE, ScoreSdeVe::plan),
              entry(
                  "TCDScheduler",
                  Tcd::plan,
                  Option.ETA,
                  Option.TIMESTEPS,
                  Option.ORIGINAL_INFERENCE_STEPS),
              entry("UniPCMultistepScheduler", UniPc::plan, Option.MU, Option.SIGMAS)));

  private static final SortedSet<String> SUPPORTED =
      Collections.unmodifiableSortedSet(new TreeSet<>(ENTRIES.keySet()));

  private Schedulers() {}

  /** The class names that {@link #plan} accepts. */
  public static SortedSet<String> supported() {
    return SUPPORTED;
  }

  /**
   * The only pipeline class that can sample with a scheduler class, and that can sample with no
   * other; empty for the usual ones, which go with any.
   */
  public static Optional<String> onlyPipeline(String className) {
    return Optional.ofNullable(PIPELINES.get(className));
  }

  /** The class names of the schedulers that have a use for an option. */
  public static SortedSet<String> taking(Option option) {
    SortedSet<String> taking = new TreeSet<>();
    ENTRIES.forEach(
        (className, entry) -> {
          if (entry.options().contains(option)) {
            taking.add(className);
          }
        });
    return taking;
  }

  /**
   * How many steps listed timesteps or sigmas make with a class; 0 when none are listed. {@code
   * EulerDiscreteScheduler}'s sigmas end with the one to end at.
   */
  public static int listedSteps(String className, SamplingOptions options) {
    int sigmas = options.sigmas().size();
    if (sigmas > 0) {
      return className.equals("EulerDiscreteScheduler") ? sigmas - 1 : sigmas;
    }
    return options.timesteps().size();
  }

  /**
   * The length of the list that diffusers' image-to-image pipelines take a strength's part of, when
   * a request lists timesteps or sigmas: Heun's calls, two a step but for the last, else steps.
   *
   * @param steps that the list makes
   */
  public static int strengthCounts(String className, int steps) {
    return className.equals(HEUN) ? 2 * steps - 1 : steps;
  }

  /** Whether a class may begin with an image, or put one back between steps: it can add noise. */
  public static boolean mixesImages(String className) {
    return !FROM_NOISE_ALONE.contains(className);
  }

  /** A plan with the scheduler's own defaults, from pure noise. */
  public static SamplingPlan plan(SchedulerConfig config, int numInferenceSteps) {
    return plan(config, numInferenceSteps, SamplingOptions.DEFAULTS);
  }

  /**
   * Compiles a config. Pure: the same arguments give an equal plan, which may be cached and shared.
   *
   * @param numInferenceSteps 1 up to the config's number of training timesteps (LCM: of distilled
   *     ones); where the options list timesteps or sigmas, as many as they make
   * @throws SchedulerException when the class, a value in the config or the number of steps is not
   *     supported
   */
  public static SamplingPlan plan(
      SchedulerConfig config, int numInferenceSteps, SamplingOptions options) {
    return plan(config, numInferenceSteps, options, key -> {});
  }

  /**
   * @param asked told every key of the config that is read, whether or not it is there
   */
  static SamplingPlan plan(
      SchedulerConfig config,
      int numInferenceSteps,
      SamplingOptions options,
      Consumer<String> asked) {
    Entry entry = ENTRIES.get(config.className());
    if (entry == null) {
      throw new SchedulerException(
          config.source()
              + ": key _class_name is "
              + config.className()
              + "; supported: "
              + String.join(", ", SUPPORTED));
    }
    require(config, entry, Option.CHURN, options.churn().amount() == 0, "churn");
    require(config, entry, Option.TIMESTEPS, options.timesteps().isEmpty(), "timesteps");
    require(config, entry, Option.SIGMAS, options.sigmas().isEmpty(), "sigmas");
    require(
        config,
        entry,
        Option.ORIGINAL_INFERENCE_STEPS,
        options.originalInferenceSteps() == null && options.strength() == 1,
        "originalInferenceSteps");
    return entry.compiler().plan(new Fields(config, asked), numInferenceSteps, options);
  }

  /** What a step or a pipeline may pass to any scheduler is ignored where it has no use. */
  private static void require(
      SchedulerConfig config, Entry entry, Option option, boolean absent, String name) {
    if (!absent && !entry.options().contains(option)) {
      throw new SchedulerException(
          "%s: %s takes no %s; supported by %s"
              .formatted(
                  config.source(), config.className(), name, String.join(", ", taking(option))));
    }
  }
}
