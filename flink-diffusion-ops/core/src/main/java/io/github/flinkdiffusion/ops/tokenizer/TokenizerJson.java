/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.tokenizer.TokenizerFiles.Model;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Reads a {@code tokenizer.json}, and refuses what is not known of it by name. */
final class TokenizerJson {
  private TokenizerJson() {}

  static Config model(Config file, String type) {
    Config model =
        file.section("model").orElseThrow(() -> file.unsupported("model", null, "an object"));
    String found = model.string("type", type);
    if (!found.equals(type)) {
      throw model.unsupported("type", found, type);
    }
    return model;
  }

  /** A key that must have that value where it is there. */
  static void require(Config config, String key, Object value) {
    if (config.has(key) && !config.node().get(key).asText().equals(String.valueOf(value))) {
      throw config.unsupported(key, config.node().get(key), String.valueOf(value));
    }
  }

  /** The one step of a key, or those of a sequence. */
  static List<JsonNode> steps(Config file, String key, String parts) {
    List<JsonNode> steps = new ArrayList<>();
    JsonNode node = file.node().path(key);
    if (node.path("type").asText().equals("Sequence")) {
      node.path(parts).forEach(steps::add);
    } else if (node.isObject()) {
      steps.add(node);
    }
    return steps;
  }

  /** Padding and truncation are the pipeline's. */
  static void requireNoFrame(Config file) {
    for (String part : List.of("padding", "truncation")) {
      JsonNode direction = file.node().path(part).path("direction");
      if (!direction.asText("Right").equals("Right")) {
        throw file.unsupported(part, direction, "Right");
      }
    }
  }

  private static Config bytePairs(Config file) {
    Config model = model(file, "BPE");
    require(model, "dropout", null);
    require(model, "continuing_subword_prefix", "");
    require(model, "end_of_word_suffix", "");
    require(model, "ignore_merges", false);
    requireNoFrame(file);
    return model;
  }

  static void requireQwen2(Config file) {
    Config model = bytePairs(file);
    require(model, "byte_fallback", false);
    for (JsonNode each : steps(file, "normalizer", "normalizers")) {
      if (!each.path("type").asText().equals("NFC")) {
        throw file.unsupported("normalizer", each, "NFC");
      }
    }
    for (JsonNode each : steps(file, "pre_tokenizer", "pretokenizers")) {
      boolean split =
          each.path("type").asText().equals("Split")
              && each.path("pattern").path("Regex").asText().equals(QwenWords.PATTERN)
              && each.path("behavior").asText().equals("Isolated")
              && !each.path("invert").asBoolean();
      boolean bytes =
          each.path("type").asText().equals("ByteLevel")
              && !each.path("add_prefix_space").asBoolean()
              && !each.path("use_regex").asBoolean(true);
      if (!split && !bytes) {
        throw file.unsupported("pre_tokenizer", each, "those of Qwen2Tokenizer");
      }
    }
    JsonNode after = file.node().path("post_processor");
    if (after.isObject() && !addsNothing(after)) {
      throw file.unsupported("post_processor", after, "ByteLevel, or a template of the text alone");
    }
  }

  /**
   * @return whether each digit is cut out first
   */
  static boolean requireGpt2(Config file) {
    Config model = bytePairs(file);
    require(model, "byte_fallback", false);
    if (!steps(file, "normalizer", "normalizers").isEmpty()) {
      throw file.unsupported("normalizer", file.node().get("normalizer"), "none");
    }
    List<JsonNode> steps = steps(file, "pre_tokenizer", "pretokenizers");
    boolean digits =
        steps.size() == 2
            && steps.get(0).path("type").asText().equals("Digits")
            && steps.get(0).path("individual_digits").asBoolean();
    JsonNode last =
        steps.isEmpty() ? file.node().path("pre_tokenizer") : steps.get(steps.size() - 1);
    if (steps.size() != (digits ? 2 : 1)
        || !last.path("type").asText().equals("ByteLevel")
        || last.path("add_prefix_space").asBoolean()
        || !last.path("use_regex").asBoolean(true)) {
      throw file.unsupported(
          "pre_tokenizer",
          file.node().path("pre_tokenizer"),
          "ByteLevel without add_prefix_space, or single Digits and that");
    }
    JsonNode after = file.node().path("post_processor");
    if (after.isObject() && !addsNothing(after)) {
      throw file.unsupported("post_processor", after, "ByteLevel, or a template of the text alone");
    }
    return digits;
  }

  /** Whether a text's tokens are the same after it; pairs of texts are never given. */
  private static boolean addsNothing(JsonNode after) {
    JsonNode single = after.path("single");
    return switch (after.path("type").asText()) {
      case "ByteLevel" -> true;
      case "TemplateProcessing" ->
          single.size() == 1 && single.path(0).path("Sequence").path("id").asText().equals("A");
      case "Sequence" -> {
        boolean nothing = after.path("processors").isArray();
        for (JsonNode each : after.path("processors")) {
          nothing &= addsNothing(each);
        }
        yield nothing;
      }
      default -> false;
    };
  }

  static void requireGemma(Config file) {
    Config model = bytePairs(file);
    require(model, "byte_fallback", true);
    require(model, "fuse_unk", true);
    for (JsonNode each : steps(file, "normalizer", "normalizers")) {
      if (!each.path("type").asText().equals("Replace")
          || !each.path("pattern").path("String").asText().equals(" ")
          || !each.path("content").asText().equals("" + T5Words.MARK)) {
        throw file.unsupported("normalizer", each, "Replace of a space by U+2581");
      }
    }
    for (JsonNode each : steps(file, "pre_tokenizer", "pretokenizers")) {
      if (!each.path("type").asText().equals("Split")
          || !each.path("pattern").path("String").asText().equals(" ")
          || !each.path("behavior").asText().equals("MergedWithPrevious")) {
        throw file.unsupported("pre_tokenizer", each, "Split at a space, MergedWithPrevious");
      }
    }
  }

  /**
   * The special tokens that the file's template puts before or after a text.
   *
   * @param before else after
   */
  static List<String> template(Config file, boolean before) {
    List<String> tokens = new ArrayList<>();
    JsonNode template = file.node().path("post_processor");
    if (!template.isObject()) {
      return tokens;
    }
    if (!template.path("type").asText().equals("TemplateProcessing")) {
      throw file.unsupported("post_processor", template, "TemplateProcessing");
    }
    boolean text = false;
    for (JsonNode each : template.path("single")) {
      if (each.has("Sequence")) {
        text = true;
      } else if (text != before) {
        tokens.add(each.path("SpecialToken").path("id").asText());
      }
    }
    return tokens;
  }

  /** The vocabulary and merges of byte pair encoding. */
  static Model pairs(Config file, Map<String, String> defaults) {
    Config model = model(file, "BPE");
    Config vocabulary =
        model.section("vocab").orElseThrow(() -> model.unsupported("vocab", null, "an object"));
    return new Model(
        TokenizerFiles.vocabulary(vocabulary),
        TokenizerFiles.mergesOf(model),
        TokenizerFiles.listed(file),
        defaults);
  }
}
