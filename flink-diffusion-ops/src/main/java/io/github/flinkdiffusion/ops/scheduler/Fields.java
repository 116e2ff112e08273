package io.github.flinkdiffusion.ops.scheduler;

import java.util.Arrays;
import java.util.List;

/**
 * Typed reading of a {@link SchedulerConfig}: every wrong value is an error that names source,
 * class, key and value.
 */
final class Fields {

  private final SchedulerConfig config;

  Fields(SchedulerConfig config) {
    this.config = config;
  }

  String source() {
    return config.source();
  }

  String className() {
    return config.className();
  }

  boolean has(String key) {
    return config.fields().get(key) != null;
  }

  double number(String key, double missing) {
    Object value = config.fields().get(key);
    if (value == null) {
      return missing;
    }
    if (value instanceof Number number) {
      return number.doubleValue();
    }
    throw unsupported(key, value, "a number");
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
    if (!config.fields().containsKey(key)) {
      return missing;
    }
    Object value = config.fields().get(key);
    if (value == null) {
      return false;
    }
    if (value instanceof Boolean flag) {
      return flag;
    }
    throw unsupported(key, value, "true, false");
  }

  /** One of the words in {@code supported}. */
  String choice(String key, String missing, String... supported) {
    Object value = config.fields().get(key);
    if (value == null) {
      return missing;
    }
    if (!Arrays.asList(supported).contains(value)) {
      throw unsupported(key, value, String.join(", ", supported));
    }
    return (String) value;
  }

  double[] numbers(String key) {
    Object value = config.fields().get(key);
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

  /** The number of training timesteps, once the inference steps asked for are known to fit in. */
  int trainSteps(int inferenceSteps, SamplingOptions options) {
    int trainSteps = integer("num_train_timesteps", 1000, 1, Integer.MAX_VALUE);
    requireSteps(inferenceSteps, trainSteps, "num_train_timesteps", options);
    return trainSteps;
  }

  void requireSteps(int inferenceSteps, int most, String limitedBy, SamplingOptions options) {
    if (inferenceSteps < 1 || inferenceSteps > most) {
      throw new SchedulerException(
          String.format(
              "%s: %s cannot sample in %d steps; supported: 1..%d (%s)",
              source(), className(), inferenceSteps, most, limitedBy));
    }
    if (options.skippedSteps() >= inferenceSteps) {
      throw new SchedulerException(
          String.format(
              "%s: %s cannot skip %d of %d steps; supported: 0..%d",
              source(), className(), options.skippedSteps(), inferenceSteps, inferenceSteps - 1));
    }
  }
}
