/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/**
 * Typed reading of a {@link SchedulerConfig}: every wrong value is an error that names source,
 * class, key and value.
 */
final class Fields {

  private final SchedulerConfig config;
  private final Consumer<String> asked;

  /**
   * @param asked told every key that is read, whether or not it is there
   */
  Fields(SchedulerConfig config, Consumer<String> asked) {
    this.config = config;
    this.asked = asked;
  }

  /** The value of a key, null when it is absent. */
  private Object value(String key) {
    asked.accept(key);
    return config.fields().get(key);
  }

  String source() {
    return config.source();
  }

  String className() {
    return config.className();
  }

  boolean has(String key) {
    return value(key) != null;
  }

  boolean isNull(String key) {
    return value(key) == null && config.fields().containsKey(key);
  }

  /** A null is no number, and stands for the default no more than it does in Python. */
  double number(String key, double missing) {
    Object value = value(key);
    if (!config.fields().containsKey(key)) {
      return missing;
    }
    if (value instanceof Number number) {
      return number.doubleValue();
    }
    throw unsupported(key, value, "a number");
  }

  /** A number where null stands for the default, which is none in the reference. */
  double optionalNumber(String key, double missing) {
    return has(key) ? number(key, missing) : missing;
  }

  int integer(String key, int missing) {
    double value = number(key, missing);
    if (value != Math.rint(value) || Math.abs(value) > Integer.MAX_VALUE) {
      throw unsupported(key, value, "a whole number");
    }
    return (int) value;
  }

  int integer(String key, int missing, int least, int most) {
    int value = integer(key, missing);
    if (value < least || value > most) {
      throw unsupported(key, value, least + ".." + most);
    }
    return value;
  }

  /** A null stands for false, as in Python, and not for the default. */
  boolean flag(String key, boolean missing) {
    Object value = value(key);
    if (!config.fields().containsKey(key)) {
      return missing;
    }
    if (value == null) {
      return false;
    }
    if (value instanceof Boolean flag) {
      return flag;
    }
    throw unsupported(key, value, "true, false");
  }

  /** A flag that may not be null, because the reference counts those that are set. */
  boolean countedFlag(String key) {
    if (config.fields().containsKey(key) && !has(key)) {
      throw unsupported(key, null, "true, false");
    }
    return flag(key, false);
  }

  /** Any word; what is no word reads as an empty one. */
  String word(String key) {
    return word(key, "");
  }

  String word(String key, String missing) {
    Object value = value(key);
    if (!config.fields().containsKey(key)) {
      return missing;
    }
    return value instanceof String word ? word : "";
  }

  /** One of the words in {@code supported}; null is none. */
  String choice(String key, String missing, String... supported) {
    Object value = value(key);
    if (!config.fields().containsKey(key)) {
      return missing;
    }
    if (!Arrays.asList(supported).contains(value)) {
      throw unsupported(key, value, String.join(", ", supported));
    }
    return (String) value;
  }

  /** One of the words in {@code supported}, or null, which stands for the default. */
  String optionalChoice(String key, String missing, String... supported) {
    return has(key) ? choice(key, missing, supported) : missing;
  }

  double[] numbers(String key) {
    Object value = value(key);
    if (!(value instanceof List<?> list)) {
      throw unsupported(key, value, "a list of numbers");
    }
    double[] numbers = new double[list.size()];
    for (int i = 0; i < numbers.length; i++) {
      if (!(list.get(i) instanceof Number number)) {
        throw unsupported(key, value, "a list of numbers");
      }
      numbers[i] = number.doubleValue();
    }
    return numbers;
  }

  Prediction prediction(Prediction... supported) {
    String[] names = Arrays.stream(supported).map(Prediction::configName).toArray(String[]::new);
    return Prediction.named(choice("prediction_type", Prediction.EPSILON.configName(), names));
  }

  SchedulerException unsupported(String key, Object value, String supported) {
    return SchedulerException.unsupported(config, key, value, supported);
  }

  /**
   * The timesteps that a caller lists, once they are known to be as many as steps and to lie in
   * training.
   *
   * @param whole whether the class takes whole numbers only
   * @param most the highest allowed
   */
  double[] listed(List<Double> timesteps, int n, boolean whole, int most) {
    requireCount("timesteps", timesteps.size(), n, n);
    for (double timestep : timesteps) {
      if (timestep > most || whole && timestep != Math.rint(timestep)) {
        throw new SchedulerException(
            "%s cannot begin a step at timestep %s; supported: %s0..%d"
                .formatted(className(), timestep, whole ? "whole numbers in " : "", most));
      }
    }
    return timesteps.stream().mapToDouble(Double::floatValue).toArray();
  }

  /**
   * Refuses a list of another length than the number of steps asks for. Here and below, what a
   * request asks for is at fault, not the config: its file is not named.
   */
  void requireCount(String name, int found, int n, int wanted) {
    if (found != wanted) {
      throw new SchedulerException(
          "%s was given %d %s for %d steps; supported: %d"
              .formatted(className(), found, name, n, wanted));
    }
  }

  /** Refuses flags that place sigmas, when the caller has listed timesteps or sigmas. */
  void requireNoPlacement(String listed, String... flags) {
    for (String flag : flags) {
      if (flag(flag, false)) {
        throw unsupported(flag, true, "false, when " + listed + " are listed");
      }
    }
  }

  /** The number of training timesteps, once the inference steps asked for are known to fit in. */
  int trainSteps(int inferenceSteps, SamplingOptions options) {
    int trainSteps = integer("num_train_timesteps", 1000, 1, 1_000_000);
    requireSteps(inferenceSteps, trainSteps, "num_train_timesteps", options);
    return trainSteps;
  }

  void requireSteps(int inferenceSteps, int most, String limitedBy, SamplingOptions options) {
    if (inferenceSteps < 1 || inferenceSteps > most) {
      throw new SchedulerException(
          String.format(
              "%s cannot sample in %d steps; supported: 1..%d (%s)",
              className(), inferenceSteps, most, limitedBy));
    }
    if (options.skippedSteps() >= inferenceSteps) {
      throw new SchedulerException(
          String.format(
              "%s cannot skip %d of %d steps; supported: 0..%d",
              className(), options.skippedSteps(), inferenceSteps, inferenceSteps - 1));
    }
  }

  /** Refuses skipped steps, for a class that begins with noise and with nothing else. */
  void requireAllSteps(SamplingOptions options) {
    if (options.skippedSteps() > 0) {
      throw new SchedulerException(
          "%s cannot skip %d steps; supported: 0".formatted(className(), options.skippedSteps()));
    }
  }
}
