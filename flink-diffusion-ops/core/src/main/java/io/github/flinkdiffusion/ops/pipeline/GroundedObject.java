/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.ArrayList;
import java.util.List;

/**
 * An object and its place in the image to be generated.
 *
 * @param phrase what it is
 * @param box left, top, right and bottom, 0..1 of the image's sides. Not to be changed
 */
record GroundedObject(String phrase, float[] box) {
  /** How many the network has room for (diffusers' max_objs). */
  static final int MOST = 30;

  /** Numbers of a box. */
  static final int SIDES = 4;

  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  /**
   * The objects of a request, in its order.
   *
   * @return none where the request has none
   * @throws InvalidRequestException for a text that is not such a list, naming the object that is
   *     not one
   */
  static List<GroundedObject> of(GenerationRequest request) {
    String text = request.get(Parameters.GLIGEN_OBJECTS);
    return text == null ? List.of() : parse(text);
  }

  private static List<GroundedObject> parse(String text) {
    JsonNode list = read(text);
    if (!list.isArray() || list.isEmpty() || list.size() > MOST) {
      throw refused(list.isArray() ? "has %d objects".formatted(list.size()) : "is no JSON array");
    }
    List<GroundedObject> objects = new ArrayList<>();
    for (int i = 0; i < list.size(); i++) {
      objects.add(object(i, list.get(i)));
    }
    return List.copyOf(objects);
  }

  private static JsonNode read(String text) {
    try {
      return JSON.readTree(text);
    } catch (JsonProcessingException e) {
      // Its own message quotes the text.
      throw refused(
          "is no JSON: error at character " + Math.max(0, e.getLocation().getCharOffset()));
    }
  }

  private static GroundedObject object(int index, JsonNode object) {
    JsonNode phrase = object.path("phrase");
    JsonNode box = object.path("box");
    if (object.size() != 2 || !phrase.isTextual() || !box.isArray() || box.size() != SIDES) {
      throw refused(
          "has an object %d that is not a phrase and a box of four numbers alone".formatted(index));
    }
    float[] sides = new float[SIDES];
    for (int i = 0; i < SIDES; i++) {
      double side = box.get(i).isNumber() ? box.get(i).asDouble() : Double.NaN;
      if (!(side >= 0 && side <= 1)) {
        throw refused("has an object %d whose box is %s".formatted(index, shown(box)));
      }
      sides[i] = (float) side;
    }
    if (sides[0] >= sides[2] || sides[1] >= sides[3]) {
      throw refused("has an object %d whose box is %s".formatted(index, shown(box)));
    }
    return new GroundedObject(phrase.asText(), sides);
  }

  private static String shown(JsonNode box) {
    String text = box.toString();
    return text.length() <= 100 ? text : text.substring(0, 100) + "...";
  }

  private static InvalidRequestException refused(String what) {
    return new InvalidRequestException(
        "%s %s; it must be %s."
            .formatted(Parameters.GLIGEN_OBJECTS, what, Parameters.GLIGEN_OBJECTS.accepted()));
  }
}
