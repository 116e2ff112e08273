/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventJson;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A prompt as somebody wrote it: a text, or a JSON object with the fields of a {@link PromptEvent},
 * as a topic of JSON events has them.
 *
 * @param event its fields; the id is empty where none was given
 * @param negativePromptGiven whether it has a negative prompt of its own, which may be empty
 * @param where it stands, for messages
 */
record AskedPrompt(PromptEvent event, boolean negativePromptGiven, String where) {
  private static final String COMMENT = "#";
  private static final String OBJECT = "{";
  private static final int MOST_SHOWN = 80;
  private static final Path STANDARD_INPUT = Path.of("-");
  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * @throws DemoException if it begins as a JSON object and is no valid prompt event
   */
  static AskedPrompt of(String text, String where) {
    if (!text.startsWith(OBJECT)) {
      return new AskedPrompt(
          PromptEvent.newBuilder().setId("").setPrompt(text).build(), false, where);
    }
    try {
      PromptEvent event =
          EventJson.of(PromptEvent.class).read(text.getBytes(StandardCharsets.UTF_8), "");
      return new AskedPrompt(event, JSON.readTree(text).has("negativePrompt"), where);
    } catch (UndecodableEventException | JsonProcessingException e) {
      throw new DemoException("%s: %s".formatted(where, e.getMessage()), e);
    }
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

  /** Its beginning, for messages. */
  String shown() {
    String prompt = event.getPrompt();
    return prompt.length() <= MOST_SHOWN ? prompt : prompt.substring(0, MOST_SHOWN) + "...";
  }
}
