/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** A plan as a YAML file. An unknown key is refused, since a misspelled one would be a default. */
final class PlanFile {
  private static final long MOST_BYTES = 1 << 20;
  private static final YAMLMapper MAPPER = new YAMLMapper();

  private PlanFile() {}

  static <T extends Record> T read(Path file, Class<T> type) {
    try {
      if (Files.size(file) > MOST_BYTES) {
        throw new EvaluationException(
            "Plan %s has %d bytes; at most %d are read"
                .formatted(file, Files.size(file), MOST_BYTES));
      }
      JsonNode plan = MAPPER.readTree(Files.readString(file));
      if (plan == null || !plan.isObject()) {
        throw new EvaluationException("Plan %s has no keys".formatted(file));
      }
      // First, since a record that lacks the right key would be refused for that.
      requireKnown(file, "its beginning", plan, type);
      return MAPPER.treeToValue(plan, type);
    } catch (JsonMappingException e) {
      // What a record refuses is the cause, and written for a reader.
      String reason =
          e.getCause() instanceof EvaluationException own
              ? own.getMessage()
              : e.getOriginalMessage();
      throw new EvaluationException("Plan %s, at %s: %s".formatted(file, place(e), reason));
    } catch (JsonProcessingException e) {
      throw new EvaluationException(
          "Plan %s is not valid YAML: %s".formatted(file, e.getOriginalMessage()));
    } catch (IOException e) {
      throw new EvaluationException("Cannot read the plan %s: %s".formatted(file, e), e);
    }
  }

  private static void requireKnown(Path file, String place, JsonNode node, Class<?> type) {
    Map<String, RecordComponent> known = new TreeMap<>();
    for (RecordComponent component : type.getRecordComponents()) {
      JsonProperty named = component.getAccessor().getAnnotation(JsonProperty.class);
      known.put(named == null ? component.getName() : named.value(), component);
    }
    node.fields()
        .forEachRemaining(
            field -> {
              RecordComponent component = known.get(field.getKey());
              if (component == null) {
                throw new EvaluationException(
                    "Plan %s: unknown key '%s' at %s; known are %s"
                        .formatted(file, field.getKey(), place, known.keySet()));
              }
              if (component.getType().isRecord()) {
                requireKnown(file, field.getKey(), field.getValue(), component.getType());
              }
              if (component.getGenericType() instanceof ParameterizedType list
                  && list.getActualTypeArguments()[0] instanceof Class<?> each
                  && each.isRecord()) {
                int number = 1;
                for (JsonNode element : field.getValue()) {
                  requireKnown(file, field.getKey() + " " + number++, element, each);
                }
              }
            });
  }

  private static String place(JsonMappingException e) {
    String path =
        e.getPath().stream()
            .map(
                each ->
                    each.getFieldName() == null
                        ? String.valueOf(each.getIndex() + 1)
                        : each.getFieldName())
            .collect(Collectors.joining("."));
    return path.isEmpty() ? "its beginning" : path;
  }
}
