package io.github.flinkdiffusion.ops.scheduler;

import java.util.Collections;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/** The schedulers there are, by the class names that diffusers gives them. */
public final class Schedulers {

  /**
   * Compiles one class's config; throws {@link SchedulerException} for what it does not support.
   */
  @FunctionalInterface
  private interface Compiler {
    SamplingPlan plan(Fields fields, int inferenceSteps, SamplingOptions options);
  }

  private static final Map<String, Compiler> COMPILERS =
      new TreeMap<>(
          Map.ofEntries(
              Map.entry("DDIMInverseScheduler", DdimInverse::plan),
              Map.entry("DDIMScheduler", Ddim::plan),
              Map.entry("DDPMScheduler", Ddpm::plan),
              Map.entry("DEISMultistepScheduler", Deis::plan),
              Map.entry("DPMSolverMultistepScheduler", DpmSolverMultistep::plan),
              Map.entry("DPMSolverSinglestepScheduler", DpmSolverSinglestep::plan),
              Map.entry("EDMEulerScheduler", EdmEuler::plan),
              Map.entry("EulerAncestralDiscreteScheduler", EulerAncestral::plan),
              Map.entry("EulerDiscreteScheduler", Euler::plan),
              Map.entry("FlowMatchEulerDiscreteScheduler", FlowMatchEuler::plan),
              Map.entry("HeunDiscreteScheduler", Heun::plan),
              Map.entry("KDPM2AncestralDiscreteScheduler", Kdpm2::ancestral),
              Map.entry("KDPM2DiscreteScheduler", Kdpm2::plan),
              Map.entry("LCMScheduler", Lcm::plan),
              Map.entry("LMSDiscreteScheduler", Lms::plan),
              Map.entry("PNDMScheduler", Pndm::plan),
              Map.entry("TCDScheduler", Tcd::plan),
              Map.entry("UniPCMultistepScheduler", UniPc::plan)));

  private static final SortedSet<String> SUPPORTED =
      Collections.unmodifiableSortedSet(new TreeSet<>(COMPILERS.keySet()));

  private Schedulers() {}

  /** The class names that {@link #plan} accepts. */
  public static SortedSet<String> supported() {
    return SUPPORTED;
  }

  /** A plan with the scheduler's own defaults, from pure noise. */
  public static SamplingPlan plan(SchedulerConfig config, int numInferenceSteps) {
    return plan(config, numInferenceSteps, SamplingOptions.DEFAULTS);
  }

  /**
   * Compiles a config. Pure: the same arguments give an equal plan, which may be cached and shared.
   *
   * @param numInferenceSteps 1 up to the config's number of training timesteps (LCM: of distilled
   *     ones)
   * @throws SchedulerException when the class, a value in the config or the number of steps is not
   *     supported
   */
  public static SamplingPlan plan(
      SchedulerConfig config, int numInferenceSteps, SamplingOptions options) {
    Compiler compiler = COMPILERS.get(config.className());
    if (compiler == null) {
      throw new SchedulerException(
          config.source()
              + ": key _class_name is "
              + config.className()
              + "; supported: "
              + String.join(", ", SUPPORTED));
    }
    return compiler.plan(new Fields(config), numInferenceSteps, options);
  }
}
