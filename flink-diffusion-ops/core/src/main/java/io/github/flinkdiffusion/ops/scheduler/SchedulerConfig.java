/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * A {@code scheduler_config.json} as diffusers writes it.
 *
 * <p>Keys that the class does not know are carried along and ignored (public checkpoints are full
 * of them); keys that are missing take the defaults of <em>that</em> class's constructor, which
 * differ between classes.
 *
 * @param className the {@code _class_name}, such as {@code EulerDiscreteScheduler}
 * @param fields the other keys; values are Boolean, Number, String, List or null
 * @param source where the config comes from, for messages: a file name as a rule
 */
@Internal
public record SchedulerConfig(String className, Map<String, Object> fields, String source) {

  /**
   * Python writes infinities as bare words, and {@code lambda_min_clipped: -Infinity} is in many
   * public configs.
   */
  private static final ObjectReader JSON =
      JsonMapper.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build().reader();

  public SchedulerConfig {
    Objects.requireNonNull(className, "className");
    Objects.requireNonNull(source, "source");
    fields = Collections.unmodifiableMap(new LinkedHashMap<>(fields));
  }

  /**
   * Reads the text of a {@code scheduler_config.json}.
   *
   * @throws SchedulerException when the text is no JSON object with a {@code _class_name}
   */
  public static SchedulerConfig parse(String json, String source) {
    try {
      return fromJson(JSON.readTree(json), source);
    } catch (JsonProcessingException e) {
      throw new SchedulerException(source + ": not valid JSON: " + e.getOriginalMessage(), e);
    }
  }

  /**
   * Takes an already parsed config.
   *
   * @throws SchedulerException when the node is no JSON object with a {@code _class_name}
   */
  public static SchedulerConfig fromJson(JsonNode json, String source) {
    requireObject(json, source);
    JsonNode className = json.path("_class_name");
    if (!className.isTextual()) {
      throw new SchedulerException(
          source
              + ": key _class_name is "
              + className
              + ", it must name one of "
              + Schedulers.supported());
    }
    return fromJson(json, source, className.textValue());
  }

  /**
   * Takes an already parsed config for a class, whatever class it names itself.
   *
   * @throws SchedulerException when the node is no JSON object
   */
  public static SchedulerConfig fromJson(JsonNode json, String source, String className) {
    requireObject(json, source);
    Map<String, Object> fields = new LinkedHashMap<>();
    json.properties()
        .forEach(
            entry -> {
              if (!entry.getKey().equals("_class_name")) {
                fields.put(entry.getKey(), value(entry.getValue()));
              }
            });
    return new SchedulerConfig(className, fields, source);
  }

  private static void requireObject(JsonNode json, String source) {
    if (!json.isObject()) {
      throw new SchedulerException(
          source + ": a scheduler config is a JSON object, this is " + json.getNodeType());
    }
  }

  /**
   * The same checkpoint under another scheduler, as diffusers' {@code
   * Other.from_config(scheduler.config)}: the other class takes the keys of the file that it knows,
   * and its own defaults for the rest. Names of solvers that this class does not know are passed on
   * under the name that it takes them for.
   */
  public SchedulerConfig withClass(String otherClassName) {
    Map<String, Object> passedOn = new LinkedHashMap<>(fields);
    if (!otherClassName.equals(className)) {
      SolverNames.asReadBy(className, passedOn);
    }
    return new SchedulerConfig(otherClassName, passedOn, source);
  }

  /** The same config with one key set. */
  public SchedulerConfig with(String key, Object value) {
    Map<String, Object> changed = new LinkedHashMap<>(fields);
    changed.put(key, value);
    return new SchedulerConfig(className, changed, source);
  }

  private static Object value(JsonNode node) {
    if (node.isBoolean()) {
      return node.booleanValue();
    }
    if (node.isNumber()) {
      return node.numberValue();
    }
    if (node.isNull()) {
      return null;
    }
    if (node.isArray()) {
      List<Object> values = new ArrayList<>(node.size());
      node.forEach(element -> values.add(value(element)));
      return Collections.unmodifiableList(values);
    }
    return node.isTextual() ? node.textValue() : node.toString();
  }
}
