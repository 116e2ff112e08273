/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;

/**
 * A typed view of a JSON config, such as a component's {@code config.json}.
 *
 * <p>Configs were written by many versions of their libraries, so a key that is absent or {@code
 * null} takes the default that the caller gives (but a flag that is null is false, as in Python),
 * and a key that nobody asks for is ignored. A value of the wrong type is never guessed at: it is
 * an {@link IllegalConfigException} that names file, key and value.
 */
@Internal
public final class Config {
  /** No config is near this size; a wrong file is. */
  private static final long MAX_BYTES = 64L << 20;

  private static final String UNSET_KEYS = "_use_default_values";

  // Python writes NaN and Infinity: DPMSolver's lambda_min_clipped is -Infinity in real
  // checkpoints.
  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final String source;
  private final JsonNode node;

  private Config(String source, JsonNode node) {
    this.source = source;
    this.node = node;
  }

  /**
   * Reads a file.
   *
   * @throws WeightsException if it is missing or not a JSON object
   */
  public static Config read(Path file) {
    try {
      if (Files.size(file) > MAX_BYTES) {
        throw new WeightsException(
            "Config %s is %d bytes long; at most %d are read"
                .formatted(file, Files.size(file), MAX_BYTES));
      }
      return of(file.toString(), JSON.readTree(Files.readAllBytes(file)));
    } catch (NoSuchFileException e) {
      throw new WeightsException("Config %s does not exist".formatted(file), e);
    } catch (JsonProcessingException e) {
      throw new WeightsException(
          "Config %s is not valid JSON (line %d): %s"
              .formatted(
                  file,
                  e.getLocation() == null ? 1 : e.getLocation().getLineNr(),
                  e.getOriginalMessage()),
          e);
    } catch (IOException e) {
      throw new WeightsException("Cannot read config " + file + ": " + e, e);
    }
  }

  /**
   * A view of JSON that is already there.
   *
   * @param source where it comes from, for messages
   */
  public static Config of(String source, JsonNode node) {
    if (!node.isObject()) {
      throw new IllegalConfigException("Config %s is not a JSON object".formatted(source));
    }
    return new Config(source, node);
  }

  /** A config without any key, so that all defaults apply. */
  public static Config empty(String source) {
    return new Config(source, JsonNodeFactory.instance.objectNode());
  }

  /**
   * As diffusers reads its own configs: without the keys that {@code _use_default_values} lists. A
   * program that writes the config of a loaded object itself writes that list, too.
   */
  Config withoutUnsetKeys() {
    if (!node.path(UNSET_KEYS).isArray()) {
      return this;
    }
    ObjectNode set = node.deepCopy();
    node.get(UNSET_KEYS).forEach(key -> set.remove(key.asText()));
    return new Config(source, set);
  }

  /** Where it comes from: the file's path, and the section's key if it is one. */
  public String source() {
    return source;
  }

  /** The JSON itself, for a room that has its own idea of it. Not to be changed. */
  public JsonNode node() {
    return node;
  }

  /** Whether the key is there and not null. */
  public boolean has(String key) {
    return node.hasNonNull(key);
  }

  /** The keys whose value is not null, sorted. */
  public SortedSet<String> keys() {
    SortedSet<String> keys = new TreeSet<>();
    for (Iterator<String> names = node.fieldNames(); names.hasNext(); ) {
      String key = names.next();
      if (has(key)) {
        keys.add(key);
      }
    }
    return keys;
  }

  /** A whole number that must be there. */
  public int integer(String key) {
    return toInteger(key, required(key, "a whole number"));
  }

  public int integer(String key, int defaultValue) {
    return has(key) ? toInteger(key, node.get(key)) : defaultValue;
  }

  /** A finite number that must be there. */
  public double number(String key) {
    return toNumber(key, required(key, "a number"));
  }

  public double number(String key, double defaultValue) {
    return has(key) ? toNumber(key, node.get(key)) : defaultValue;
  }

  /** A flag; null stands for false, as in Python, and not for the default. */
  public boolean flag(String key, boolean defaultValue) {
    if (!node.has(key)) {
      return defaultValue;
    }
    return has(key) && toFlag(key, node.get(key));
  }

  /** A string that must be there. */
  public String string(String key) {
    return toText(key, required(key, "a string"));
  }

  /**
   * @param defaultValue may be null
   */
  public String string(String key, String defaultValue) {
    return has(key) ? toText(key, node.get(key)) : defaultValue;
  }

  /** A list of whole numbers that must be there. */
  public int[] integers(String key) {
    JsonNode list = required(key, "a list of whole numbers");
    return elements(key, list, "a list of whole numbers").stream()
        .mapToInt(n -> toInteger(key, n))
        .toArray();
  }

  /** A list of whole numbers; the default may be null. */
  public int[] integers(String key, int[] defaultValue) {
    return has(key) ? integers(key) : defaultValue == null ? null : defaultValue.clone();
  }

  /**
   * A field that some checkpoints write as one whole number for all blocks, and others as a list
   * with one for each.
   *
   * @param count how many there must be
   * @param defaultValue for all, if the key is absent
   */
  public int[] integersOrOne(String key, int count, int defaultValue) {
    int[] values = new int[count];
    if (!has(key) || !node.get(key).isArray()) {
      Arrays.fill(values, integer(key, defaultValue));
      return values;
    }
    values = integers(key);
    checkCount(key, count, values.length);
    return values;
  }

  /** As {@link #integersOrOne}, for flags. */
  public boolean[] flagsOrOne(String key, int count, boolean defaultValue) {
    boolean[] values = new boolean[count];
    if (!has(key) || !node.get(key).isArray()) {
      Arrays.fill(values, flag(key, defaultValue));
      return values;
    }
    List<JsonNode> list = elements(key, node.get(key), "true, false or a list of them");
    checkCount(key, count, list.size());
    for (int i = 0; i < count; i++) {
      values[i] = toFlag(key, list.get(i));
    }
    return values;
  }

  /** A list of finite numbers; the default may be null. */
  public double[] numbers(String key, double[] defaultValue) {
    if (!has(key)) {
      return defaultValue == null ? null : defaultValue.clone();
    }
    return elements(key, node.get(key), "a list of numbers").stream()
        .mapToDouble(n -> toNumber(key, n))
        .toArray();
  }

  /** A list of strings that must be there. */
  public List<String> strings(String key) {
    JsonNode list = required(key, "a list of strings");
    return elements(key, list, "a list of strings").stream().map(n -> toText(key, n)).toList();
  }

  /** A list of strings; the default may be null. */
  public List<String> strings(String key, List<String> defaultValue) {
    return has(key) ? strings(key) : defaultValue;
  }

  /** A nested object, such as {@code text_config}. */
  public Optional<Config> section(String key) {
    if (!has(key)) {
      return Optional.empty();
    }
    if (!node.get(key).isObject()) {
      throw unsupported(key, node.get(key), "an object");
    }
    return Optional.of(new Config(source + " [" + key + "]", node.get(key)));
  }

  /**
   * The error for a value that is not supported, to be thrown by the caller.
   *
   * @param value what the config holds
   * @param whatIsSupported the end of the sentence "supported: ..."
   */
  public IllegalConfigException unsupported(String key, Object value, String whatIsSupported) {
    return new IllegalConfigException(
        "Config %s: '%s' is %s; supported: %s"
            .formatted(source, key, show(value), whatIsSupported));
  }

  private static String show(Object value) {
    String text = String.valueOf(value);
    if (value instanceof CharSequence) {
      text = "\"" + value + "\"";
    } else if (value instanceof JsonNode number && number.isNumber()) {
      text = number.asText(); // toString would put NaN in quotes
    }
    return text.length() <= 200 ? text : text.substring(0, 200) + "...";
  }

  private JsonNode required(String key, String what) {
    if (!has(key)) {
      throw new IllegalConfigException(
          "Config %s: '%s' is missing; expected %s".formatted(source, key, what));
    }
    return node.get(key);
  }

  private List<JsonNode> elements(String key, JsonNode list, String what) {
    if (!list.isArray()) {
      throw unsupported(key, list, what);
    }
    List<JsonNode> elements = new ArrayList<>(list.size());
    list.forEach(elements::add);
    return elements;
  }

  private void checkCount(String key, int count, int found) {
    if (found != count) {
      throw unsupported(key, node.get(key), "one value, or a list of " + count);
    }
  }

  private int toInteger(String key, JsonNode value) {
    // 64.0 is a whole number too: JSON does not tell them apart.
    if (!value.isNumber()
        || value.doubleValue() != Math.rint(value.doubleValue())
        || !value.canConvertToInt()) {
      throw unsupported(key, value, "a whole number of 32 bits");
    }
    return value.intValue();
  }

  private double toNumber(String key, JsonNode value) {
    if (!value.isNumber() || !Double.isFinite(value.doubleValue())) {
      throw unsupported(key, value, "a finite number");
    }
    return value.doubleValue();
  }

  private boolean toFlag(String key, JsonNode value) {
    if (!value.isBoolean()) {
      throw unsupported(key, value, "true or false");
    }
    return value.booleanValue();
  }

  private String toText(String key, JsonNode value) {
    if (!value.isTextual()) {
      throw unsupported(key, value, "a string");
    }
    return value.textValue();
  }

  @Override
  public String toString() {
    return source + " " + node;
  }
}
