/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.Jumps;
import io.github.flinkdiffusion.ops.scheduler.SamplingOptions;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.SchedulerException;
import io.github.flinkdiffusion.ops.scheduler.Schedulers;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A model's schedulers, compiled once for each combination that is asked for. Any thread. */
final class SamplingPlans {
  private static final String DDIM = "DDIMScheduler";
  private static final String DDIM_INVERSE = "DDIMInverseScheduler";
  private static final int KEPT = 256;

  private record Key(
      String scheduler, int steps, SamplingOptions options, SchedulerCorrections corrections) {}

  private final SchedulerConfig own;
  private final String pipeline;

  /** Kept for the combinations used last: eta and strength are numbers that requests choose. */
  private final Map<Key, SamplingPlan> plans =
      Collections.synchronizedMap(
          new LinkedHashMap<>(16, 0.75f, true) {
            private static final long serialVersionUID = 1L;

            @Override
            protected boolean removeEldestEntry(Map.Entry<Key, SamplingPlan> eldest) {
              return size() > KEPT;
            }
          });

  private SamplingPlans(SchedulerConfig own, String pipeline) {
    this.own = own;
    this.pipeline = pipeline;
  }

  /** The component {@code scheduler}, as it is. */
  static SamplingPlans open(Components components) {
    return open(components, SchedulerCorrections.NONE);
  }

  /**
   * The component {@code scheduler}, as it is, for a pipeline class that may sample with classes
   * that no other can ({@link Schedulers#onlyPipeline}).
   */
  static SamplingPlans openFor(String pipeline, Components components) {
    return open(components, SchedulerCorrections.NONE, pipeline, SamplingOptions.DEFAULTS);
  }

  /**
   * The component {@code scheduler}.
   *
   * @param corrections of the pipeline that most requests are for
   */
  static SamplingPlans open(Components components, SchedulerCorrections corrections) {
    return open(components, corrections, "", SamplingOptions.DEFAULTS);
  }

  /** The component {@code scheduler} of a pipeline whose plans are {@link #planOfFlow}. */
  static SamplingPlans openOfFlow(Components components) {
    return open(components, SchedulerCorrections.NONE, "", SamplingOptions.DEFAULTS.withMu(1));
  }

  private static SamplingPlans open(
      Components components,
      SchedulerCorrections corrections,
      String pipeline,
      SamplingOptions options) {
    SchedulerConfig own = config(components, "scheduler");
    if (Schedulers.supported().contains(own.className())) {
      checkUsable(corrections.ofOwn(own), options);
    }
    return new SamplingPlans(own, pipeline);
  }

  /**
   * A scheduler's config under the class that {@code model_index.json} names, which diffusers makes
   * of it whatever class the config itself names.
   */
  static SchedulerConfig config(Components components, String component) {
    Config config = components.config(component);
    return SchedulerConfig.fromJson(
        config.node(), config.source(), components.className(component));
  }

  /**
   * Refuses a config that no number of steps can do anything with, now and not at the first
   * request. (A scheduler that is not known may be replaced by each request.)
   */
  private static void checkUsable(SchedulerConfig own, SamplingOptions options) {
    SchedulerException first = null;
    for (int steps : new int[] {50, 20, 4, 1}) {
      try {
        Schedulers.plan(own, steps, options);
        return;
      } catch (SchedulerException e) {
        first = first == null ? e : first;
      }
    }
    throw first;
  }

  /** Class name of the model's own scheduler. */
  String own() {
    return own.className();
  }

  /**
   * Adds what a request may say of its way where diffusers' pipeline takes a list of timesteps or
   * sigmas: the list then says how many steps there are.
   *
   * @param steps without a list
   */
  Signature listing(Signature signature, long steps) {
    return signature
        .withDefault(
            Parameters.SCHEDULER,
            own() + ", " + DDIM + " with a sourcePrompt",
            asked -> asked.has(Parameters.SOURCE_PROMPT) ? DDIM : own())
        .optional(Parameters.TIMESTEPS)
        .optional(Parameters.SIGMAS)
        .optional(Parameters.ORIGINAL_INFERENCE_STEPS)
        .withDefault(
            Parameters.STEPS,
            steps + ", or as many as timesteps or sigmas make",
            asked -> {
              long listed = Schedulers.listedSteps(asked.get(Parameters.SCHEDULER), options(asked));
              return listed == 0 ? steps : listed;
            })
        .withDefault(Parameters.ETA, 0.0)
        .optional(Parameters.TEMPERATURE);
  }

  /**
   * Adds what a request may say of its way where diffusers' pipeline takes a list of timesteps
   * alone: the list then says how many steps there are.
   *
   * @param steps without a list
   */
  Signature listingTimesteps(Signature signature, long steps) {
    return signature
        .withDefault(Parameters.SCHEDULER, own())
        .optional(Parameters.TIMESTEPS)
        .withDefault(
            Parameters.STEPS,
            steps + ", or as many as timesteps make",
            asked -> {
              long listed = Schedulers.listedSteps(asked.get(Parameters.SCHEDULER), options(asked));
              return listed == 0 ? steps : listed;
            })
        .optional(Parameters.TEMPERATURE);
  }

  /**
   * Adds what a request may say of its way where diffusers' pipeline takes a list of sigmas alone:
   * the list then says how many steps there are.
   *
   * @param steps without a list
   */
  Signature listingSigmas(Signature signature, long steps) {
    return signature
        .withDefault(Parameters.SCHEDULER, own())
        .optional(Parameters.SIGMAS)
        .withDefault(
            Parameters.STEPS,
            steps + ", or as many as sigmas make",
            asked -> {
              long listed = Schedulers.listedSteps(asked.get(Parameters.SCHEDULER), options(asked));
              return listed == 0 ? steps : listed;
            })
        .optional(Parameters.TEMPERATURE);
  }

  /**
   * The plan of a rectified flow for diffusion transformers: sigmas are spread evenly from 1 to one
   * over the number of steps, unless the request lists them, and the shift follows from the image's
   * size where the config says so (diffusers' {@code calculate_shift}).
   *
   * @param tokens patches of the image
   * @param strength the part of the steps that is made, the last ones; 1 is all of them
   * @throws InvalidRequestException naming what is not supported and what is
   */
  SamplingPlan planOfFlow(GenerationRequest request, int tokens, double strength) {
    SamplingOptions options = options(request.arguments());
    int steps = request.steps();
    if (options.sigmas().isEmpty()) {
      List<Double> sigmas = new ArrayList<>();
      for (int i = 0; i < steps; i++) {
        sigmas.add(steps == 1 ? 1 : 1 - i * (1 - 1.0 / steps) / (steps - 1));
      }
      options = options.withSigmas(sigmas);
    }
    return planShifted(request, options, tokens, strength);
  }

  /**
   * The plan of a rectified flow as the scheduler's config has it, except that the shift follows
   * from the image's size where the config says so.
   *
   * @param tokens patches of the image
   * @param strength the part of the steps that is made, the last ones; 1 is all of them
   * @throws InvalidRequestException naming what is not supported and what is
   */
  SamplingPlan planShifted(GenerationRequest request, int tokens, double strength) {
    return planShifted(request, options(request.arguments()), tokens, strength);
  }

  private SamplingPlan planShifted(
      GenerationRequest request, SamplingOptions asked, int tokens, double strength) {
    int steps = request.steps();
    double fewest = field("base_image_seq_len", 256);
    double slope =
        (field("max_shift", 1.15) - field("base_shift", 0.5))
            / (field("max_image_seq_len", 4096) - fewest);
    SamplingOptions options = asked.withMu(field("base_shift", 0.5) + slope * (tokens - fewest));
    // As the reference rounds: what is left of a step counts as one.
    int skipped = (int) Math.max(0, steps - Math.min(steps * strength, steps));
    if (skipped >= steps) {
      throw new InvalidRequestException(
          "strength %s of %d steps leaves no step; raise either.".formatted(strength, steps));
    }
    return plan(request, options.withSkippedSteps(skipped), SchedulerCorrections.NONE);
  }

  private double field(String key, double absent) {
    return own.fields().get(key) instanceof Number number ? number.doubleValue() : absent;
  }

  /**
   * The plan for a request's scheduler and steps, the whole way from noise.
   *
   * @throws InvalidRequestException naming what is not supported and what is
   */
  SamplingPlan plan(GenerationRequest request) {
    return plan(request, SchedulerCorrections.NONE);
  }

  /** As {@link #plan(GenerationRequest)}, in a pipeline that corrects its scheduler's config. */
  SamplingPlan plan(GenerationRequest request, SchedulerCorrections corrections) {
    return plan(request, options(request.arguments()), corrections);
  }

  private static SamplingOptions options(Arguments request) {
    SamplingOptions options =
        SamplingOptions.DEFAULTS
            .withTimesteps(list(request.get(Parameters.TIMESTEPS)))
            .withSigmas(list(request.get(Parameters.SIGMAS)));
    Double eta = request.get(Parameters.ETA);
    if (eta != null) {
      options = options.withEta(eta);
    }
    Long original = request.get(Parameters.ORIGINAL_INFERENCE_STEPS);
    if (original != null) {
      options = options.withOriginalInferenceSteps(original.intValue());
    }
    if (request.has(Parameters.JUMP_LENGTH) && request.has(Parameters.JUMP_N_SAMPLE)) {
      options =
          options.withJumps(
              new Jumps(
                  request.get(Parameters.JUMP_LENGTH).intValue(),
                  request.get(Parameters.JUMP_N_SAMPLE).intValue()));
    }
    Long clipped = request.get(Parameters.USE_CLIPPED_MODEL_OUTPUT);
    return options.withUseClippedModelOutput(clipped != null && clipped == 1);
  }

  /**
   * The plan for image to image at the request's strength: out of n steps the first n - floor(n
   * strength) are left out.
   *
   * @throws InvalidRequestException naming what is not supported and what is
   */
  SamplingPlan planFromImage(GenerationRequest request, SchedulerCorrections corrections) {
    SamplingOptions options = options(request.arguments());
    int skipped =
        Schedulers.listedSteps(request.scheduler(), options) == 0
            ? skipped(request)
            : skippedOfListed(request);
    return plan(request, options.withSkippedSteps(skipped), corrections);
  }

  /**
   * Refuses a scheduler that cannot mix an image and noise.
   *
   * @throws InvalidRequestException naming it
   */
  static void requireMixing(GenerationRequest request) {
    if (!Schedulers.mixesImages(request.scheduler())) {
      throw new InvalidRequestException(
          ("Scheduler '%s' starts from pure noise only: it does not define how an image and noise"
                  + " mix, so it cannot start from the request's image or keep a part of it. Choose"
                  + " another scheduler.")
              .formatted(request.scheduler()));
    }
  }

  /**
   * The plan for image to image of latent consistency models: all steps are made, spread over the
   * part of the distilled schedule that the strength leaves. Of timesteps that the request lists,
   * the first are left out, as elsewhere.
   *
   * @throws InvalidRequestException naming what is not supported and what is
   */
  SamplingPlan planOfStrength(GenerationRequest request) {
    SamplingOptions options = options(request.arguments());
    return options.timesteps().isEmpty()
        ? plan(
            request,
            options.withStrength(request.get(Parameters.STRENGTH)),
            SchedulerCorrections.NONE)
        : planFromImage(request, SchedulerCorrections.NONE);
  }

  /**
   * The plan from a picture back to noise, as far as the strength says, and from there to a
   * picture, both by DDIM.
   *
   * @throws InvalidRequestException naming what is not supported and what is
   */
  SamplingPlan planThroughInversion(GenerationRequest request, SchedulerCorrections corrections) {
    if (!request.scheduler().equals(DDIM)) {
      throw new InvalidRequestException(
          "scheduler is %s; with a sourcePrompt it must be %s, which can be inverted."
              .formatted(request.scheduler(), DDIM));
    }
    int skipped = skipped(request);
    SamplingOptions options = options(request.arguments());
    if (!options.timesteps().isEmpty() || !options.sigmas().isEmpty()) {
      throw new InvalidRequestException(
          "The request has a sourcePrompt and lists timesteps or sigmas; it may have one of both.");
    }
    SamplingPlan inverse =
        plan(DDIM_INVERSE, request.steps(), SamplingOptions.DEFAULTS, corrections);
    return inverse
        .first(request.steps() - skipped)
        .then(plan(request, options.withSkippedSteps(skipped), corrections));
  }

  private static int skipped(GenerationRequest request) {
    int steps = request.steps();
    double strength = request.get(Parameters.STRENGTH);
    int made = (int) Math.min(steps, Math.floor(steps * strength));
    if (made < 1) {
      throw new InvalidRequestException(
          "strength %s of %d steps is less than one step; raise either."
              .formatted(strength, steps));
    }
    return steps - made;
  }

  /**
   * Of listed timesteps diffusers takes as many entries of the scheduler's own list as the strength
   * says, then leaves out that many steps: for Heun, whose list has two entries a step, more.
   */
  private static int skippedOfListed(GenerationRequest request) {
    int counted = Schedulers.strengthCounts(request.scheduler(), request.steps());
    double strength = request.get(Parameters.STRENGTH);
    int skipped = counted - (int) Math.min(counted, Math.floor(counted * strength));
    if (skipped >= request.steps()) {
      throw new InvalidRequestException(
          "strength %s of %d listed timesteps leaves none: out of the scheduler's %d network calls it leaves out %d, and each counts as a timestep, as in diffusers; raise either."
              .formatted(strength, request.steps(), counted, skipped));
    }
    return skipped;
  }

  private static List<Double> list(Numbers numbers) {
    return numbers == null ? List.of() : Arrays.stream(numbers.values()).boxed().toList();
  }

  private SamplingPlan plan(
      GenerationRequest request, SamplingOptions options, SchedulerCorrections corrections) {
    Double temperature = request.get(Parameters.TEMPERATURE);
    SamplingPlan plan = plan(request.scheduler(), request.steps(), options, corrections);
    return temperature == null ? plan : plan.atTemperature(temperature);
  }

  private SamplingPlan plan(
      String scheduler, int steps, SamplingOptions options, SchedulerCorrections corrections) {
    Key key = new Key(scheduler, steps, options, corrections);
    SamplingPlan known = plans.get(key);
    if (known != null) {
      return known;
    }
    if (!Schedulers.supported().contains(scheduler)) {
      throw new InvalidRequestException(
          "Scheduler '%s' is not known%s; supported are %s."
              .formatted(
                  Parameter.shown(scheduler),
                  Suggestion.of(scheduler, Schedulers.supported()),
                  String.join(", ", Schedulers.supported())));
    }
    Schedulers.onlyPipeline(scheduler)
        .filter(only -> !only.equals(pipeline))
        .ifPresent(
            only -> {
              throw new InvalidRequestException(
                  "Scheduler '%s' works with %s only; choose another scheduler."
                      .formatted(scheduler, only));
            });
    try {
      SchedulerConfig config =
          scheduler.equals(own.className())
              ? corrections.ofOwn(own)
              : corrections.passedOn(own).withClass(scheduler);
      SamplingPlan plan = Schedulers.plan(config, steps, options);
      plans.put(key, plan);
      return plan;
    } catch (SchedulerException e) {
      throw new InvalidRequestException(e.getMessage());
    }
  }
}
