/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Several scenes that belong together: a JSON object whose {@code scenes} become one prompt event
 * each. All that it says beside them holds for every scene, so they have one seed, one style, one
 * set of LoRAs.
 *
 * <pre>{@code
 * {"id": "turtle", "title": "The turtle", "style": "a large {scene} background", "seed": 7,
 *  "parameters": {"loras": "ink:0.8"},
 *  "scenes": ["turtle on a green", {"prompt": "rocket on a blue", "caption": "She left."}]}
 * }</pre>
 *
 * @param id which the attribute {@value #STORY} of each event has
 * @param title for people
 */
record Story(String id, String title, List<Scene> scenes) {

  /** Attribute: the story's id. */
  static final String STORY = "story";

  /** Attribute: the scene's number, from 1. */
  static final String SCENE = "scene";

  /** Attribute: how many scenes there are. */
  static final String SCENES = "scenes";

  /** More would not fit on a storyboard that somebody looks over. */
  static final int MOST_SCENES = 100;

  private static final long MOST_BYTES = 1 << 20;
  private static final long SEED = 1;
  private static final String PLACE = "{scene}";
  private static final ObjectMapper JSON =
      JsonMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.FAIL_ON_READING_DUP_TREE_KEY)
          .build();

  /**
   * One image of the story.
   *
   * @param caption which the storyboard has below it
   * @param event its request
   */
  record Scene(String caption, PromptEvent event) {}

  /**
   * Reads a file.
   *
   * @throws DemoException naming the file and what is wrong with it
   */
  static Story read(Path file) {
    byte[] bytes;
    try {
      if (Files.size(file) > MOST_BYTES) {
        throw new DemoException(
            "The story %s has %d bytes; at most %d are read."
                .formatted(file, Files.size(file), MOST_BYTES));
      }
      bytes = Files.readAllBytes(file);
    } catch (IOException e) {
      throw new DemoException("Cannot read the story %s (%s).".formatted(file, e), e);
    }
    String name = file.getFileName().toString().replaceFirst("\\.json$", "");
    return of(bytes, name, file.toString());
  }

  /**
   * @param id of a story that has none
   * @param where for messages
   */
  static Story of(byte[] json, String id, String where) {
    JsonNode read;
    try {
      read = JSON.readTree(json);
    } catch (JsonProcessingException e) {
      throw new DemoException("%s is no JSON: %s".formatted(where, e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw new DemoException("%s is no JSON: %s".formatted(where, e.getMessage()), e);
    }
    if (!(read instanceof ObjectNode shared)) {
      throw new DemoException(
          "%s is no story; expected a JSON object with \"scenes\".".formatted(where));
    }
    JsonNode scenes = shared.remove("scenes");
    if (scenes == null || !scenes.isArray() || scenes.isEmpty() || scenes.size() > MOST_SCENES) {
      throw new DemoException(
          "%s: \"scenes\" is %s; expected an array of 1 to %d scenes."
              .formatted(
                  where,
                  scenes == null
                      ? "missing"
                      : scenes.isArray() ? "an array of " + scenes.size() : "no array",
                  MOST_SCENES));
    }
    String own = text(shared, "id", id, where);
    String title = text(shared, "title", own, where);
    String style = text(shared, "style", "", where);
    if (shared.has("prompt")) {
      throw new DemoException(
          "%s has a \"prompt\", which each scene has for itself; put what they share into \"style\"."
              .formatted(where));
    }
    if (!shared.has("seed")) {
      shared.put("seed", SEED);
    }
    List<Scene> each = new ArrayList<>();
    for (int i = 0; i < scenes.size(); i++) {
      String here = "%s, scene %d".formatted(where, i + 1);
      each.add(scene(shared, scenes.get(i), own, style, i + 1, scenes.size(), here));
    }
    return new Story(own, title, List.copyOf(each));
  }

  private static Scene scene(
      ObjectNode shared,
      JsonNode said,
      String story,
      String style,
      int number,
      int of,
      String where) {
    ObjectNode event = shared.deepCopy();
    if (said instanceof ObjectNode object) {
      if (object.has("id")) {
        throw new DemoException(
            "%s has an \"id\"; scenes are numbered, and the story has one.".formatted(where));
      }
      event.setAll(object.deepCopy());
    } else if (said.isTextual()) {
      event.set("prompt", said);
    } else {
      throw new DemoException(
          "%s is %s; expected a text, or an object with a \"prompt\".".formatted(where, said));
    }
    String prompt = text(event, "prompt", null, where);
    String caption = text(event, "caption", prompt, where);
    event.put("prompt", styled(style, prompt));
    event.put("id", String.format(Locale.ROOT, "%s-%02d", story, number));
    JsonNode attributes = event.path("attributes");
    if (!attributes.isObject() && !attributes.isMissingNode()) {
      throw new DemoException(
          "%s: \"attributes\" is %s; expected an object of texts.".formatted(where, attributes));
    }
    ObjectNode named = event.withObject("/attributes");
    named.put(STORY, story).put(SCENE, "" + number).put(SCENES, "" + of);
    try {
      return new Scene(
          caption, EventJson.of(PromptEvent.class).read(JSON.writeValueAsBytes(event), ""));
    } catch (UndecodableEventException | JsonProcessingException e) {
      throw new DemoException("%s: %s".formatted(where, e.getMessage()), e);
    }
  }

  /** The scene in its place in the style, or before it. */
  private static String styled(String style, String scene) {
    if (style.contains(PLACE)) {
      return style.replace(PLACE, scene);
    }
    return style.isEmpty() ? scene : scene + ", " + style;
  }

  /** A text, which is taken out of the object. */
  private static String text(ObjectNode object, String key, String otherwise, String where) {
    JsonNode value = object.remove(key);
    if (value == null && otherwise != null) {
      return otherwise;
    }
    if (value == null || !value.isTextual()) {
      throw new DemoException(
          "%s: \"%s\" is %s; expected a text."
              .formatted(where, key, value == null ? "missing" : value));
    }
    return value.textValue();
  }
}
