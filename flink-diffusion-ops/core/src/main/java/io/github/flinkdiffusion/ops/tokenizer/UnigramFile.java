/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/**
 * What a {@code tokenizer.json} with a unigram model says, if it cuts texts as T5 does.
 *
 * @param charsmap {@code precompiled_charsmap}; empty for none
 */
record UnigramFile(List<String> pieces, double[] scores, byte[] charsmap) {

  /**
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException naming what is not supported
   */
  static UnigramFile of(Config file, int unknown) {
    Config model = TokenizerJson.model(file, "Unigram");
    TokenizerJson.require(model, "unk_id", unknown);
    TokenizerJson.require(model, "byte_fallback", false);
    TokenizerJson.requireNoFrame(file);
    byte[] charsmap = {};
    for (JsonNode each : TokenizerJson.steps(file, "normalizer", "normalizers")) {
      switch (each.path("type").asText()) {
        case "Precompiled" -> charsmap = decoded(file, each);
        // What these change, cutting at white space undoes.
        case "Strip" -> {}
        case "Replace" -> {
          if (!each.path("pattern").path("Regex").asText().equals(" {2,}")
              || !each.path("content").asText().equals("" + T5Words.MARK)) {
            throw file.unsupported("normalizer", each, "of several spaces by U+2581");
          }
        }
        default -> throw file.unsupported("normalizer", each, "Precompiled, Strip, Replace");
      }
    }
    for (JsonNode each : TokenizerJson.steps(file, "pre_tokenizer", "pretokenizers")) {
      boolean metaspace =
          each.path("type").asText().equals("Metaspace")
              && each.path("replacement").asText().equals("" + T5Words.MARK)
              && each.path("prepend_scheme").asText("always").equals("always")
              && each.path("split").asBoolean(true);
      if (!metaspace && !each.path("type").asText().equals("WhitespaceSplit")) {
        throw file.unsupported(
            "pre_tokenizer", each, "WhitespaceSplit, and Metaspace of U+2581 that is always there");
      }
    }
    List<String> pieces = new ArrayList<>();
    List<Double> scores = new ArrayList<>();
    for (JsonNode entry : model.node().path("vocab")) {
      if (!entry.path(0).isTextual() || !entry.path(1).isNumber()) {
        throw model.unsupported("vocab", entry, "a list of pieces with their scores");
      }
      pieces.add(entry.get(0).textValue());
      scores.add(entry.get(1).doubleValue());
    }
    return new UnigramFile(
        pieces, scores.stream().mapToDouble(Double::doubleValue).toArray(), charsmap);
  }

  private static byte[] decoded(Config file, JsonNode precompiled) {
    try {
      return Base64.getDecoder().decode(precompiled.path("precompiled_charsmap").asText());
    } catch (IllegalArgumentException e) {
      throw file.unsupported("normalizer", "a precompiled_charsmap", "one in Base64");
    }
  }
}
