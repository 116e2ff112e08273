/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventJson;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * A prompt as somebody wrote it: a text, or a JSON object with the fields of a {@link PromptEvent},
 * as a topic of JSON events has them. Each of its {@code images} may also be the path of a file.
 *
 * @param event its fields; the id is empty where none was given
 * @param negativePromptGiven whether it has a negative prompt of its own, which may be empty
 * @param where it stands, for messages
 * @param files paths of those of its images that it names so, by the images' names
 */
record AskedPrompt(
    PromptEvent event, boolean negativePromptGiven, String where, Map<String, String> files) {
  private static final String COMMENT = "#";
  private static final String OBJECT = "{";
  private static final String IMAGES = "images";
  private static final int MOST_SHOWN = 80;

  /** Of an image's file: what an event may have, about. */
  private static final long MOST_BYTES = 16 << 20;

  private static final Path STANDARD_INPUT = Path.of("-");
  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * @throws DemoException if it begins as a JSON object and is no valid prompt event
   */
  static AskedPrompt of(String text, String where) {
    if (!text.startsWith(OBJECT)) {
      return new AskedPrompt(
          PromptEvent.newBuilder().setId("").setPrompt(text).build(), false, where, Map.of());
    }
    try {
      Map<String, String> files = new TreeMap<>();
      byte[] json = withFiles(text, files).getBytes(StandardCharsets.UTF_8);
      PromptEvent event = EventJson.of(PromptEvent.class).read(json, "");
      return new AskedPrompt(event, JSON.readTree(text).has("negativePrompt"), where, files);
    } catch (UndecodableEventException | IOException e) {
      throw new DemoException("%s: %s".formatted(where, e.getMessage()), e);
    }
  }

  /**
   * The same prompt with the images that it names by their files' paths, in the event.
   *
   * @param files gets the paths
   */
  private static String withFiles(String text, Map<String, String> files) throws IOException {
    if (!text.contains(IMAGES)) {
      return text;
    }
    JsonNode event;
    try {
      event = JSON.readTree(text);
    } catch (JsonProcessingException e) {
      return text; // whoever reads the event says what is wrong
    }
    if (!(event.path(IMAGES) instanceof ObjectNode images)) {
      return text;
    }
    for (Map.Entry<String, JsonNode> image : images.properties()) {
      if (image.getValue().isTextual()) {
        String path = image.getValue().asText();
        image.setValue(JSON.createObjectNode().put("content", file(path)));
        files.put(image.getKey(), path);
      }
    }
    return files.isEmpty() ? text : JSON.writeValueAsString(event);
  }

  private static byte[] file(String path) throws IOException {
    Path file = Path.of(path);
    if (!Files.isRegularFile(file)) {
      throw new IOException("There is no file %s; name an image's file.".formatted(path));
    }
    if (Files.size(file) > MOST_BYTES) {
      throw new IOException(
          "The file %s has %d bytes; at most %d are accepted."
              .formatted(path, Files.size(file), MOST_BYTES));
    }
    return Files.readAllBytes(file);
  }

  /**
   * One prompt on each line; blank lines and lines that start with {@code #} are left out.
   *
   * @param file in UTF-8; {@code -} is standard input
   * @throws DemoException naming the line that is no prompt, or if the file cannot be read or holds
   *     no prompt
   */
  static List<AskedPrompt> ofFile(Path file) {
    String name = file.equals(STANDARD_INPUT) ? "standard input" : file.toString();
    List<AskedPrompt> prompts = new ArrayList<>();
    try (BufferedReader lines = open(file)) {
      int number = 0;
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        number++;
        String text = line.strip();
        if (!text.isEmpty() && !text.startsWith(COMMENT)) {
          prompts.add(of(text, "%s, line %d".formatted(name, number)));
        }
      }
    } catch (NoSuchFileException e) {
      throw new DemoException(
          "There is no file %s; --prompts takes a text file in UTF-8 with one prompt on each line."
              .formatted(name),
          e);
    } catch (IOException e) {
      throw new DemoException(
          ("Cannot read the prompts in %s (%s); --prompts takes a text file in UTF-8 with one"
                  + " prompt on each line.")
              .formatted(name, e),
          e);
    }
    if (prompts.isEmpty()) {
      throw new DemoException("There is no prompt in %s; write one on each line.".formatted(name));
    }
    return prompts;
  }

  private static BufferedReader open(Path file) throws IOException {
    return file.equals(STANDARD_INPUT)
        ? new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8.newDecoder()))
        : Files.newBufferedReader(file);
  }

  /**
   * Why it is refused: where it stands, its beginning, the reason, and the files of its images if
   * one of these is the reason.
   */
  DemoException refused(InvalidRequestException reason) {
    String images =
        reason.getCause() instanceof ImageException && !files.isEmpty()
            ? files.entrySet().stream()
                .map(Map.Entry::toString)
                .collect(Collectors.joining(", ", " (images: ", ")"))
            : "";
    return new DemoException(
        "%s, \"%s\": %s%s".formatted(where, shown(), reason.getMessage(), images), reason);
  }

  /** Its beginning, for messages. */
  String shown() {
    String prompt = event.getPrompt();
    return prompt.length() <= MOST_SHOWN ? prompt : prompt.substring(0, MOST_SHOWN) + "...";
  }
}
