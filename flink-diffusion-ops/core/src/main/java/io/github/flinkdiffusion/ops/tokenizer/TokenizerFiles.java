/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.tokenizer.AddedTokens.AddedToken;
import io.github.flinkdiffusion.ops.weights.Config;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.zip.GZIPInputStream;

/**
 * What a tokenizer folder says, with transformers' rules for which file counts: {@code
 * tokenizer.json} before {@code vocab.json} and {@code merges.txt}; {@code special_tokens_map.json}
 * before {@code tokenizer_config.json}, unless the latter lists all added tokens.
 *
 * @param vocabulary token to id, added tokens included
 * @param modelVocabulary without them
 * @param merges pairs, the first learned first
 * @param special the special tokens' contents by their key, such as {@code pad_token}
 * @param added all tokens to be found in the text itself
 */
record TokenizerFiles(
    String source,
    Map<String, Integer> vocabulary,
    Map<String, Integer> modelVocabulary,
    List<String[]> merges,
    Map<String, String> special,
    List<AddedToken> added,
    int maxLength) {

  static final String END = "<|endoftext|>";
  static final String START = "<|startoftext|>";

  /** What CLIPTokenizer takes where the files are silent, in the order in which it adds them. */
  private static final Map<String, String> DEFAULTS = new LinkedHashMap<>();

  static {
    DEFAULTS.put("bos_token", START);
    DEFAULTS.put("eos_token", END);
    DEFAULTS.put("unk_token", END);
    DEFAULTS.put("pad_token", END);
  }

  /** Beyond any vocabulary; an embedding has a row for each id. */
  private static final int LARGEST_ID = (1 << 24) - 1;

  /** A resource; where it is from, and its license, stand beside it. */
  private static final String CLIP_MERGES = "clip-merges.txt.gz";

  /** CLIP's context, where the files do not say another. */
  private static final int DEFAULT_MAX_LENGTH = 77;

  /** Beyond any text encoder; transformers writes 1e30 for "unlimited". */
  private static final int LARGEST_MAX_LENGTH = 1 << 16;

  /**
   * The vocabulary as its own file or files hold it.
   *
   * @param listed added tokens that they list by id
   * @param defaults special tokens where no file names them
   */
  record Model(
      Map<String, Integer> vocabulary,
      List<String[]> merges,
      Map<Integer, AddedToken> listed,
      Map<String, String> defaults) {}

  static TokenizerFiles read(Path folder) {
    Path single = folder.resolve("tokenizer.json");
    Config config = config(folder);
    requireDefault(config, "padding_side", "right");
    Model model;
    if (Files.isRegularFile(single)) {
      Config file = Config.read(single);
      requireDefaultDirections(file, config);
      model = singleFile(file);
    } else {
      model = twoFiles(folder);
    }
    return read(folder, model);
  }

  /** A vocabulary with what the folder's other files say of added tokens. */
  static TokenizerFiles read(Path folder, Model model) {
    requireDefault(config(folder), "truncation_side", "right");
    return readWhole(folder, model);
  }

  /** As {@link #read(Path, Model)}, for texts of which nothing is ever cut off, on either side. */
  static TokenizerFiles readWhole(Path folder, Model model) {
    return of(
        folder.toString(),
        model,
        config(folder),
        optional(folder.resolve("special_tokens_map.json")),
        optional(folder.resolve("added_tokens.json")));
  }

  static Config config(Path folder) {
    return optional(folder.resolve("tokenizer_config.json"));
  }

  /**
   * CLIP's own vocabulary, which all of Stable Diffusion uses, with the settings of a {@code
   * tokenizer_config.json}.
   */
  static TokenizerFiles ofClip(Config config) {
    requireDefault(config, "padding_side", "right");
    requireDefault(config, "truncation_side", "right");
    return of(config.source(), clip(), config, Config.empty(""), Config.empty(""));
  }

  private static TokenizerFiles of(
      String source, Model model, Config config, Config specialTokensMap, Config addedTokens) {
    if (config.flag("split_special_tokens", false)) {
      throw config.unsupported("split_special_tokens", true, "false");
    }
    Map<Integer, AddedToken> listed = new TreeMap<>(model.listed);
    Map<String, JsonNode> named = named(config, model.defaults);
    List<AddedToken> additional = new ArrayList<>(additional(config));
    Optional<Config> decoder = config.section("added_tokens_decoder");
    if (decoder.isPresent()) {
      listed.clear();
      listed.putAll(listedIn(decoder.get()));
    } else {
      named.putAll(named(specialTokensMap, model.defaults));
      additional.addAll(additional(specialTokensMap));
      for (String content : addedTokens.keys()) {
        boolean special =
            named.values().stream().anyMatch(value -> contentOf(value).equals(content));
        listed.putIfAbsent(addedTokens.integer(content), new AddedToken(content, !special));
      }
    }

    Map<String, String> special = new LinkedHashMap<>();
    List<AddedToken> others = new ArrayList<>();
    model.defaults.forEach(
        (key, content) -> {
          AddedToken token =
              named.containsKey(key)
                  ? addedToken(config, key, named.get(key))
                  : new AddedToken(content, false);
          special.put(key, token.content());
          others.add(token);
        });
    others.addAll(additional);
    // A listed token's flags count; among the others, those of the last that has its content (the
    // padding token is mostly the
    // end token once more, as a plain string).
    List<AddedToken> all = new ArrayList<>(listed.values());
    Set<String> contents = all.stream().map(AddedToken::content).collect(Collectors.toSet());
    others.stream().filter(token -> !contents.contains(token.content())).forEach(all::add);
    return new TokenizerFiles(
        source,
        withAdded(model.vocabulary, all),
        model.vocabulary,
        model.merges,
        special,
        all,
        maxLength(config));
  }

  private static void requireDefault(Config config, String key, String supported) {
    String value = config.string(key, supported);
    if (!value.equals(supported)) {
      throw config.unsupported(key, value, supported);
    }
  }

  /** What the tokenizer's own file says of sides counts where its config says nothing. */
  private static void requireDefaultDirections(Config file, Config config) {
    for (String part : new String[] {"padding", "truncation"}) {
      if (!config.has(part + "_side")) {
        file.section(part).ifPresent(each -> requireDefault(each, "direction", "Right"));
      }
    }
  }

  private static Model twoFiles(Path folder) {
    return new Model(
        vocabulary(Config.read(folder.resolve("vocab.json"))),
        mergesOf(folder.resolve("merges.txt")),
        Map.of(),
        DEFAULTS);
  }

  /** Ids are given in this order: bytes, bytes at a word's end, merges, special tokens. */
  private static Model clip() {
    List<String[]> merges = new ArrayList<>();
    Map<String, Integer> vocabulary = new LinkedHashMap<>();
    for (String end : new String[] {"", BytePairs.END_OF_WORD}) {
      for (char character : ByteAlphabet.inVocabularyOrder()) {
        vocabulary.put(character + end, vocabulary.size());
      }
    }
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(
                new GZIPInputStream(TokenizerFiles.class.getResourceAsStream(CLIP_MERGES)),
                StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        String[] pair = checked(line.split(" ", -1), CLIP_MERGES, merges.size() + 1);
        merges.add(pair);
        vocabulary.put(pair[0] + pair[1], vocabulary.size());
      }
    } catch (IOException e) {
      throw new AssertionError(CLIP_MERGES + " is a resource beside this class", e);
    }
    vocabulary.put(START, vocabulary.size());
    vocabulary.put(END, vocabulary.size());
    return new Model(vocabulary, merges, Map.of(), DEFAULTS);
  }

  private static Model singleFile(Config file) {
    Config model =
        file.section("model").orElseThrow(() -> file.unsupported("model", null, "an object"));
    String type =
        model.string("type", "BPE")
            + " with end_of_word_suffix "
            + model.string("end_of_word_suffix", null);
    if (!type.equals("BPE with end_of_word_suffix " + BytePairs.END_OF_WORD)) {
      throw model.unsupported("type", type, "BPE with end_of_word_suffix </w>, as CLIP has it");
    }
    Config vocabulary =
        model.section("vocab").orElseThrow(() -> model.unsupported("vocab", null, "an object"));
    return new Model(vocabulary(vocabulary), mergesOf(model), listed(file), DEFAULTS);
  }

  /** The added tokens of a {@code tokenizer.json} by their ids. */
  static Map<Integer, AddedToken> listed(Config file) {
    Map<Integer, AddedToken> listed = new TreeMap<>();
    for (JsonNode token : file.node().path("added_tokens")) {
      if (!token.path("id").canConvertToInt()) {
        throw file.unsupported("added_tokens", token, "objects with an \"id\"");
      }
      listed.put(token.get("id").intValue(), addedToken(file, "added_tokens", token));
    }
    return listed;
  }

  private static Map<String, JsonNode> named(Config config, Map<String, String> defaults) {
    Map<String, JsonNode> named = new LinkedHashMap<>();
    defaults.keySet().stream()
        .filter(config::has)
        .forEach(key -> named.put(key, config.node().get(key)));
    return named;
  }

  private static Map<Integer, AddedToken> listedIn(Config decoder) {
    Map<Integer, AddedToken> listed = new TreeMap<>();
    for (String id : decoder.keys()) {
      if (!id.matches("\\d{1,9}")) {
        throw decoder.unsupported(id, decoder.node().get(id), "keys that are token ids");
      }
      listed.put(Integer.parseInt(id), addedToken(decoder, id, decoder.node().get(id)));
    }
    return listed;
  }

  private static Config optional(Path file) {
    return Files.isRegularFile(file) ? Config.read(file) : Config.empty(file.toString());
  }

  private static int maxLength(Config config) {
    double maxLength = config.number("model_max_length", DEFAULT_MAX_LENGTH);
    if (maxLength > LARGEST_MAX_LENGTH) {
      return DEFAULT_MAX_LENGTH;
    }
    if (maxLength < 2 || maxLength != Math.rint(maxLength)) {
      throw config.unsupported(
          "model_max_length", maxLength, "a whole number from 2, to hold start and end token");
    }
    return (int) maxLength;
  }

  static Map<String, Integer> vocabulary(Config file) {
    Map<String, Integer> vocabulary = new LinkedHashMap<>();
    for (String token : file.keys()) {
      int id = file.integer(token);
      if (id < 0 || id > LARGEST_ID) {
        throw file.unsupported(token, id, "ids from 0 to " + LARGEST_ID);
      }
      vocabulary.put(token, id);
    }
    if (vocabulary.isEmpty()) {
      throw new TokenizerException("Tokenizer vocabulary %s is empty".formatted(file.source()));
    }
    return vocabulary;
  }

  static List<String[]> mergesOf(Config model) {
    List<String[]> merges = new ArrayList<>();
    for (JsonNode merge : model.node().path("merges")) {
      String[] pair =
          merge.isArray() && merge.size() == 2
              ? new String[] {merge.get(0).asText(), merge.get(1).asText()}
              : merge.asText().split(" ", -1);
      merges.add(checked(pair, model.source() + " [merges]", merges.size() + 1));
    }
    return merges;
  }

  static List<String[]> mergesOf(Path file) {
    List<String> lines;
    try {
      lines = Files.readAllLines(file, StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new TokenizerException("Cannot read the tokenizer's merges from " + file + ": " + e, e);
    }
    List<String[]> merges = new ArrayList<>(lines.size());
    for (int i = 0; i < lines.size(); i++) {
      if (!lines.get(i).startsWith("#version") && !lines.get(i).isEmpty()) {
        merges.add(checked(lines.get(i).split(" ", -1), file.toString(), i + 1));
      }
    }
    return merges;
  }

  private static String[] checked(String[] pair, String source, int number) {
    if (pair.length != 2 || pair[0].isEmpty() || pair[1].isEmpty()) {
      throw new TokenizerException(
          "Tokenizer merges %s: number %d is '%s'; expected two tokens with a space between"
              .formatted(source, number, String.join(" ", pair)));
    }
    return pair;
  }

  private static List<AddedToken> additional(Config config) {
    List<AddedToken> additional = new ArrayList<>();
    for (String key : new String[] {"additional_special_tokens", "extra_special_tokens"}) {
      for (JsonNode token : config.node().path(key)) {
        additional.add(addedToken(config, key, token));
      }
    }
    return additional;
  }

  private static String contentOf(JsonNode value) {
    return value.isObject() ? value.path("content").asText() : value.asText();
  }

  /** A plain string is looked for in the original text. */
  private static AddedToken addedToken(Config config, String key, JsonNode value) {
    if (value.isTextual()) {
      return new AddedToken(value.textValue(), false);
    }
    if (!value.path("content").isTextual() || value.path("single_word").asBoolean()) {
      throw config.unsupported(
          key, value, "a string, or an object with \"content\" and without single_word");
    }
    return new AddedToken(
        value.get("content").textValue(),
        value.path("normalized").asBoolean(!value.path("special").asBoolean()),
        value.path("lstrip").asBoolean(),
        value.path("rstrip").asBoolean());
  }

  /** Tokens that the vocabulary lacks get the ids after it. */
  private static Map<String, Integer> withAdded(
      Map<String, Integer> vocabulary, List<AddedToken> added) {
    Map<String, Integer> all = new LinkedHashMap<>(vocabulary);
    int next = vocabulary.size();
    for (AddedToken token : added) {
      if (all.putIfAbsent(token.content(), next) == null) {
        next++;
      }
    }
    return all;
  }
}
