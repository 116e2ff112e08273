package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * Everything that a request may say. Which of it a model takes, and what it does without, is the
 * model's {@link Signature}.
 */
public final class Parameters {
  private static final Map<String, Parameter<?>> ALL = new LinkedHashMap<>();

  public static final Parameter<String> PROMPT =
      text("prompt", "What the picture shows.", "a text in words");

  public static final Parameter<String> NEGATIVE_PROMPT =
      text(
          "negativePrompt",
          "What it should not show (negative_prompt); used with guidance.",
          "a text");

  public static final Parameter<Raster> IMAGE =
      image("image", "The picture to begin from, 0..1 (image).");

  public static final Parameter<Raster> MASK =
      image(
          "mask",
          "Where the picture is made anew: one channel, as large as the image; 0.5 and above is"
              + " made anew (mask_image).");

  public static final Parameter<Long> SEED =
      integer("seed", "Of the noise; derived from the id when absent (generator).", "a number");

  public static final Parameter<String> SCHEDULER =
      text("scheduler", "diffusers class name of the scheduler.", "the name of a scheduler class");

  public static final Parameter<Long> STEPS =
      integer(
          "steps",
          "Inference steps (num_inference_steps), from 1; the scheduler says up to how many.",
          "a whole number",
          Integer.MIN_VALUE);

  public static final Parameter<Numbers> TIMESTEPS =
      numbers(
          "timesteps",
          "The timesteps themselves, instead of the scheduler's spacing, noisiest first"
              + " (timesteps); see which schedulers take them.",
          "falling numbers of 0 or more",
          Parameters::falling);

  public static final Parameter<Numbers> SIGMAS =
      numbers(
          "sigmas",
          "The noise levels themselves, instead of the scheduler's, greatest first (sigmas); see"
              + " which schedulers take them. EulerDiscreteScheduler's end with the one to end at.",
          "falling numbers of 0 or more",
          Parameters::falling);

  public static final Parameter<Long> CLIP_SKIP =
      integer(
          "clipSkip",
          "How many of the text encoder's last layers are left out for the prompt, not for the"
              + " negative one (clip_skip).",
          "a whole number from 0",
          0);

  public static final Parameter<Double> GUIDANCE_SCALE =
      number(
          "guidanceScale",
          "Weight of classifier-free guidance (guidance_scale); 1 or less turns it off.",
          "a finite number, 1 or less to turn guidance off",
          Double::isFinite);

  public static final Parameter<Double> GUIDANCE_RESCALE =
      number(
          "guidanceRescale",
          "How far the guided prediction is scaled back to the unguided one's deviation"
              + " (guidance_rescale), section 3.4 of Lin et al. 2023.",
          "a number from 0 to 1",
          value -> value >= 0 && value <= 1);

  public static final Parameter<Double> IMAGE_GUIDANCE_SCALE =
      number(
          "imageGuidanceScale",
          "How closely the picture keeps to the given one (image_guidance_scale).",
          "a finite number, 1 or more",
          value -> Double.isFinite(value) && value >= 1);

  public static final Parameter<Double> STRENGTH =
      number(
          "strength",
          "How much of the given picture is made anew: 1 is all of it (strength).",
          "a number above 0, up to 1",
          value -> value > 0 && value <= 1);

  public static final Parameter<Double> ETA =
      number(
          "eta",
          "How stochastic DDIM and TCD are (eta); other schedulers ignore it.",
          "a number from 0 to 1",
          value -> value >= 0 && value <= 1);

  public static final Parameter<Long> WIDTH = integer("width", "In pixels.", "a whole number", 1);

  public static final Parameter<Long> HEIGHT = integer("height", "In pixels.", "a whole number", 1);

  public static final Parameter<Long> NOISE_LEVEL =
      integer(
          "noiseLevel",
          "Timestep up to which noise is added to the small picture before it is enlarged"
              + " (noise_level).",
          "a whole number from 0",
          0);

  public static final Parameter<Long> CLASS_LABEL =
      integer(
          "classLabel", "Number of the class to draw (class_labels).", "a whole number from 0", 0);

  public static final Parameter<Long> USE_CLIPPED_MODEL_OUTPUT =
      add(
          new Parameter<>(
              "useClippedModelOutput",
              Long.class,
              "1 takes DDIM's noise from the clipped picture (use_clipped_model_output).",
              "0 or 1",
              value -> value == 0 || value == 1));

  private Parameters() {}

  /** All of them, in the order of the reference page. */
  public static Collection<Parameter<?>> all() {
    return Collections.unmodifiableCollection(ALL.values());
  }

  public static Optional<Parameter<?>> named(String name) {
    return Optional.ofNullable(ALL.get(name));
  }

  private static Parameter<String> text(String name, String description, String accepted) {
    return add(new Parameter<>(name, String.class, description, accepted, value -> true));
  }

  private static Parameter<Raster> image(String name, String description) {
    return add(new Parameter<>(name, Raster.class, description, "a picture", value -> true));
  }

  private static Parameter<Long> integer(String name, String description, String accepted) {
    return add(new Parameter<>(name, Long.class, description, accepted, value -> true));
  }

  private static Parameter<Long> integer(
      String name, String description, String accepted, long least) {
    return add(
        new Parameter<>(
            name,
            Long.class,
            description,
            accepted,
            value -> value >= least && value <= Integer.MAX_VALUE));
  }

  private static Parameter<Double> number(
      String name, String description, String accepted, Predicate<Double> check) {
    return add(new Parameter<>(name, Double.class, description, accepted, check));
  }

  private static Parameter<Numbers> numbers(
      String name, String description, String accepted, Predicate<Numbers> check) {
    return add(new Parameter<>(name, Numbers.class, description, accepted, check));
  }

  private static boolean falling(Numbers numbers) {
    boolean falling = numbers.size() > 0;
    for (int i = 0; i < numbers.size(); i++) {
      double above = i == 0 ? Double.POSITIVE_INFINITY : numbers.at(i - 1);
      falling &= numbers.at(i) >= 0 && numbers.at(i) < above;
    }
    return falling;
  }

  private static <T> Parameter<T> add(Parameter<T> parameter) {
    ALL.put(parameter.name(), parameter);
    return parameter;
  }
}
