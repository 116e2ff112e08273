/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What images a model was trained for, by the file {@code domain.json} in its folder. A small model
 * answers for every image; of what is not in its domain, the answer means nothing.
 *
 * @param input images that it takes
 * @param trainedOn the data
 * @param notFor what was never seen, or does not work
 * @param steps denoising steps that suit the model, if the file says
 * @param samples likewise of one image
 */
record ModelDomain(
    String input,
    List<String> trainedOn,
    List<String> notFor,
    OptionalInt steps,
    OptionalInt samples) {
  static final String FILE = "domain.json";

  ModelDomain {
    trainedOn = List.copyOf(trainedOn);
    notFor = List.copyOf(notFor);
  }

  /**
   * That of a model; empty when its folder does not say.
   *
   * @throws DemoException when the file is there and cannot be understood
   */
  static Optional<ModelDomain> of(Path model) {
    Path file = model.resolve(FILE);
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try {
      JsonNode json = new ObjectMapper().readTree(file.toFile());
      List<String> trainedOn = texts(json.path("trained_on"));
      if (!json.path("input").isTextual() || trainedOn.isEmpty()) {
        throw new DemoException(
            "%s has no \"input\" or no \"trained_on\"; write a text and a list of texts, or delete the file."
                .formatted(file));
      }
      return Optional.of(
          new ModelDomain(
              json.path("input").asText(),
              trainedOn,
              texts(json.path("not_for")),
              count(json, "steps", file),
              count(json, "samples", file)));
    } catch (IOException e) {
      throw new DemoException("Cannot read the model's domain in %s: %s".formatted(file, e), e);
    }
  }

  private static OptionalInt count(JsonNode json, String name, Path file) {
    JsonNode value = json.path(name);
    if (value.isMissingNode()) {
      return OptionalInt.empty();
    }
    if (!value.isInt() || value.asInt() < 1) {
      throw new DemoException(
          "\"%s\" in %s is %s; write a whole number from 1 up, or leave it out."
              .formatted(name, file, value));
    }
    return OptionalInt.of(value.asInt());
  }

  private static List<String> texts(JsonNode list) {
    List<String> texts = new ArrayList<>();
    list.forEach(each -> texts.add(each.asText()));
    return texts;
  }

  /** For a person: a line for each part. */
  List<String> lines() {
    List<String> lines = new ArrayList<>();
    lines.add("takes: " + input);
    lines.add("trained on: " + String.join("; ", trainedOn));
    if (!notFor.isEmpty()) {
      lines.add("not for: " + String.join("; ", notFor));
    }
    if (steps.isPresent() && samples.isPresent()) {
      lines.add(
          "best asked for: "
              + Count.of(samples.getAsInt(), "sample")
              + " of "
              + Count.of(steps.getAsInt(), "step"));
    }
    return lines;
  }
}
