/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.apache.flink.annotation.Internal;

/** The labels that an image may get, as a request says them: a JSON array of texts. */
@Internal
public final class ImageLabels {
  static final String ACCEPTED =
      "a JSON array of 1 to 256 different texts of 1 to 500 characters, such as [\"cat\", \"dog\"]";

  /** What a label's place in a template is. */
  static final String PLACE = "{}";

  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int MOST = 256;
  private static final int LONGEST = 500;

  private ImageLabels() {}

  /** Labels as the parameter {@code candidateLabels} takes them. */
  public static String format(List<String> labels) {
    ArrayNode array = JSON.createArrayNode();
    labels.forEach(array::add);
    return array.toString();
  }

  static boolean isValid(String text) {
    try {
      parse(text);
      return true;
    } catch (InvalidRequestException e) {
      return false;
    }
  }

  /**
   * @throws InvalidRequestException for a text that is none
   */
  static List<String> parse(String text) {
    InvalidRequestException refused =
        new InvalidRequestException(
            "candidateLabels is %s; it must be %s.".formatted(Parameter.shown(text), ACCEPTED));
    JsonNode array;
    try {
      array = text.length() <= MOST * (LONGEST + 4) ? JSON.readTree(text) : null;
    } catch (JsonProcessingException e) {
      throw refused;
    }
    if (array == null || !array.isArray() || array.isEmpty() || array.size() > MOST) {
      throw refused;
    }
    Set<String> labels = new LinkedHashSet<>();
    for (JsonNode each : array) {
      String label = each.textValue();
      if (label == null || label.isBlank() || label.length() > LONGEST || !labels.add(label)) {
        throw refused;
      }
    }
    return new ArrayList<>(labels);
  }
}
