/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.tokenizer.AddedTokens.Section;
import io.github.flinkdiffusion.ops.tokenizer.TokenizerFiles.Model;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.apache.flink.annotation.Internal;

/**
 * BERT's tokenizer, equal to transformers 5's {@code BertTokenizer}: the text is cleaned, set in
 * lower case and freed of accents where the files say so, cut at white space and punctuation, and
 * each word is cut into the longest pieces that the vocabulary has.
 *
 * <p>Half of a surrogate pair counts as U+FFFD, which is removed. Lower case, decomposition and
 * white space are those of the reference ({@link UnicodeTables}); which characters are punctuation,
 * accents or control characters is Java's own idea of Unicode, and may differ for characters that
 * are newer than it. Immutable, for any number of threads.
 */
@Internal
public final class WordPieceTokenizer {
  private static final String PREFIX = "##";

  /** A longer word is one unknown token, as in the reference. */
  private static final int LONGEST_WORD = 100;

  private final AddedTokens added;
  private final Map<String, Integer> pieces;
  private final Map<Integer, String> texts;
  private final Set<Integer> special;
  private final Map<String, Integer> ids;
  private final int unknown;
  private final int start;
  private final int end;
  private final boolean lowerCase;
  private final boolean withoutAccents;
  private final boolean cutsChinese;

  /**
   * A model's tokenizer: {@code tokenizer.json} or {@code vocab.txt}, and as far as there {@code
   * tokenizer_config.json}.
   *
   * @throws TokenizerException or {@link io.github.flinkdiffusion.ops.weights.WeightsException} if
   *     files are missing, malformed or not supported
   */
  public static WordPieceTokenizer load(ModelComponent component) {
    return load(
        component
            .folder()
            .orElseThrow(
                () ->
                    new TokenizerException(
                        "The model has no folder %s with a tokenizer's files"
                            .formatted(component.name()))));
  }

  /** As {@link #load(ModelComponent)}. */
  public static WordPieceTokenizer load(Path folder) {
    return new WordPieceTokenizer(folder);
  }

  private WordPieceTokenizer(Path folder) {
    Map<String, String> defaults = new LinkedHashMap<>();
    for (String key : List.of("unk", "sep", "pad", "cls", "mask")) {
      defaults.put(key + "_token", "[" + key.toUpperCase(Locale.ROOT) + "]");
    }
    Config config = TokenizerFiles.config(folder);
    Path json = folder.resolve("tokenizer.json");
    Model model;
    if (Files.isRegularFile(json)) {
      Config file = Config.read(json);
      model = model(file, defaults);
      requireSame(file, config);
    } else {
      model = new Model(lines(folder.resolve("vocab.txt")), List.of(), new TreeMap<>(), defaults);
    }
    lowerCase = config.flag("do_lower_case", true);
    withoutAccents = config.has("strip_accents") ? config.flag("strip_accents", true) : lowerCase;
    cutsChinese = config.flag("tokenize_chinese_chars", true);
    TokenizerFiles files = TokenizerFiles.read(folder, model);
    pieces = files.modelVocabulary();
    ids = files.vocabulary();
    added = AddedTokens.of(files.added(), ids, this::normalize);
    texts = new LinkedHashMap<>();
    ids.forEach((text, id) -> texts.put(id, text));
    special = new HashSet<>();
    files.special().values().forEach(token -> special.add(ids.get(token)));
    model
        .listed()
        .forEach(
            (id, token) -> {
              if (!token.normalized()) {
                special.add(id);
              }
            });
    config.strings("additional_special_tokens", List.of()).forEach(t -> special.add(ids.get(t)));
    config.strings("extra_special_tokens", List.of()).forEach(t -> special.add(ids.get(t)));
    unknown = id(files.special().get("unk_token"));
    start = id(files.special().get("cls_token"));
    end = id(files.special().get("sep_token"));
  }

  private static Model model(Config file, Map<String, String> defaults) {
    Config model = TokenizerJson.model(file, "WordPiece");
    TokenizerJson.require(model, "continuing_subword_prefix", PREFIX);
    TokenizerJson.require(model, "max_input_chars_per_word", LONGEST_WORD);
    TokenizerJson.requireNoFrame(file);
    for (JsonNode each : TokenizerJson.steps(file, "normalizer", "normalizers")) {
      if (!each.path("type").asText().equals("BertNormalizer")
          || !each.path("clean_text").asBoolean(true)) {
        throw file.unsupported("normalizer", each, "BertNormalizer with clean_text");
      }
    }
    for (JsonNode each : TokenizerJson.steps(file, "pre_tokenizer", "pretokenizers")) {
      if (!each.path("type").asText().equals("BertPreTokenizer")) {
        throw file.unsupported("pre_tokenizer", each, "BertPreTokenizer");
      }
    }
    Config vocabulary =
        model.section("vocab").orElseThrow(() -> model.unsupported("vocab", null, "an object"));
    return new Model(
        TokenizerFiles.vocabulary(vocabulary), List.of(), TokenizerFiles.listed(file), defaults);
  }

  /** The config counts; a file that says otherwise would be read otherwise by other versions. */
  private static void requireSame(Config file, Config config) {
    for (JsonNode normalizer : TokenizerJson.steps(file, "normalizer", "normalizers")) {
      requireSame(file, normalizer, "lowercase", config.flag("do_lower_case", true));
      requireSame(
          file, normalizer, "handle_chinese_chars", config.flag("tokenize_chinese_chars", true));
      if (config.has("strip_accents")) {
        requireSame(file, normalizer, "strip_accents", config.flag("strip_accents", true));
      } else if (normalizer.hasNonNull("strip_accents")) {
        throw file.unsupported("strip_accents", normalizer, "as in tokenizer_config.json, null");
      }
    }
  }

  private static void requireSame(Config file, JsonNode normalizer, String key, boolean value) {
    if (normalizer.hasNonNull(key) && normalizer.get(key).asBoolean() != value) {
      throw file.unsupported(key, normalizer.get(key), "as in tokenizer_config.json, " + value);
    }
  }

  private static Map<String, Integer> lines(Path file) {
    Map<String, Integer> vocabulary = new LinkedHashMap<>();
    try {
      List<String> lines = Files.readAllLines(file, StandardCharsets.UTF_8);
      for (int id = 0; id < lines.size(); id++) {
        vocabulary.put(lines.get(id), id);
      }
    } catch (IOException e) {
      throw new TokenizerException(
          "Cannot read the tokenizer's vocabulary from " + file + ": " + e, e);
    }
    if (vocabulary.isEmpty()) {
      throw new TokenizerException("Tokenizer vocabulary %s is empty".formatted(file));
    }
    return vocabulary;
  }

  /** The id of a token of the vocabulary. */
  public int id(String token) {
    Integer id = ids.get(token);
    if (id == null) {
      throw new TokenizerException("The vocabulary does not have the token '%s'".formatted(token));
    }
    return id;
  }

  /** One more than the largest id: the rows that an embedding needs. */
  public int vocabularySize() {
    return texts.keySet().stream().mapToInt(Integer::intValue).max().orElseThrow() + 1;
  }

  /** A text's ids between the start token {@code [CLS]} and the end token {@code [SEP]}. */
  public int[] encode(String text) {
    IntStream.Builder all = IntStream.builder();
    all.add(start);
    for (Section section : added.split(WellFormed.text(Objects.requireNonNull(text, "text")))) {
      if (section.token().isPresent()) {
        all.add(section.token().getAsInt());
      } else {
        words(section.text(), all::add);
      }
    }
    all.add(end);
    return all.build().toArray();
  }

  /**
   * The text of ids, as {@code decode(ids, skip_special_tokens=True)} gives it. Ids that the
   * vocabulary does not have are left out.
   */
  public String decode(int[] tokens) {
    StringBuilder text = new StringBuilder();
    boolean first = true;
    for (int token : tokens) {
      String piece = texts.get(token);
      if (piece == null || special.contains(token)) {
        continue;
      }
      String shown = piece;
      if (!first) {
        shown = piece.startsWith(PREFIX) ? piece.substring(PREFIX.length()) : " " + piece;
      }
      text.append(withoutSpaces(shown));
      first = false;
    }
    return text.toString();
  }

  /** What the reference does to each piece, in its order. */
  private static String withoutSpaces(String piece) {
    return piece
        .replace(" .", ".")
        .replace(" ?", "?")
        .replace(" !", "!")
        .replace(" ,", ",")
        .replace(" ' ", "'")
        .replace(" n't", "n't")
        .replace(" 'm", "'m")
        .replace(" do not", " don't")
        .replace(" 's", "'s")
        .replace(" 've", "'ve")
        .replace(" 're", "'re");
  }

  // ------------------------------------------------------------------ from text to pieces

  /** BertNormalizer: cleaned, Chinese characters apart, without accents, in lower case. */
  String normalize(String text) {
    StringBuilder clean = new StringBuilder(text.length());
    text.codePoints()
        .forEach(
            c -> {
              if (c == 0 || c == 0xFFFD || isControl(c)) {
                return;
              }
              if (UnicodeTables.isSpace(c)) {
                clean.append(' ');
              } else if (cutsChinese && isChinese(c)) {
                clean.append(' ').appendCodePoint(c).append(' ');
              } else {
                clean.appendCodePoint(c);
              }
            });
    String plain = clean.toString();
    if (withoutAccents) {
      StringBuilder kept = new StringBuilder(plain.length());
      UnicodeTables.decompose(plain)
          .codePoints()
          .filter(c -> Character.getType(c) != Character.NON_SPACING_MARK)
          .forEach(kept::appendCodePoint);
      plain = kept.toString();
    }
    if (!lowerCase) {
      return plain;
    }
    StringBuilder lower = new StringBuilder(plain.length());
    plain.codePoints().forEach(c -> UnicodeTables.appendLower(lower, c));
    return lower.toString();
  }

  private static boolean isControl(int c) {
    if (c == '\t' || c == '\n' || c == '\r') {
      return false;
    }
    return switch (Character.getType(c)) {
      case Character.CONTROL, Character.FORMAT, Character.PRIVATE_USE, Character.UNASSIGNED -> true;
      default -> false;
    };
  }

  private static boolean isChinese(int c) {
    return c >= 0x4E00 && c <= 0x9FFF
        || c >= 0x3400 && c <= 0x4DBF
        || c >= 0x20000 && c <= 0x2A6DF
        || c >= 0x2A700 && c <= 0x2B73F
        || c >= 0x2B740 && c <= 0x2B81F
        || c >= 0x2B920 && c <= 0x2CEAF
        || c >= 0xF900 && c <= 0xFAFF
        || c >= 0x2F800 && c <= 0x2FA1F;
  }

  private static boolean isPunctuation(int c) {
    if (c < 0x80) {
      return c >= 33 && c <= 47 || c >= 58 && c <= 64 || c >= 91 && c <= 96 || c >= 123 && c <= 126;
    }
    return switch (Character.getType(c)) {
      case Character.CONNECTOR_PUNCTUATION,
          Character.DASH_PUNCTUATION,
          Character.START_PUNCTUATION,
          Character.END_PUNCTUATION,
          Character.INITIAL_QUOTE_PUNCTUATION,
          Character.FINAL_QUOTE_PUNCTUATION,
          Character.OTHER_PUNCTUATION ->
          true;
      default -> false;
    };
  }

  private void words(String text, IntConsumer take) {
    int from = 0;
    for (int at = 0; at < text.length(); ) {
      int c = text.codePointAt(at);
      int next = at + Character.charCount(c);
      if (UnicodeTables.isSpace(c)) {
        word(text.substring(from, at), take);
        from = next;
      } else if (isPunctuation(c)) {
        word(text.substring(from, at), take);
        word(text.substring(at, next), take);
        from = next;
      }
      at = next;
    }
    word(text.substring(from), take);
  }

  /** The longest pieces from the left; a word that is not made of pieces is unknown. */
  private void word(String word, IntConsumer take) {
    if (word.isEmpty()) {
      return;
    }
    if (word.codePointCount(0, word.length()) > LONGEST_WORD) {
      take.accept(unknown);
      return;
    }
    IntStream.Builder found = IntStream.builder();
    for (int from = 0; from < word.length(); ) {
      int to = word.length();
      Integer id = null;
      while (to > from) {
        String piece = word.substring(from, to);
        id = pieces.get(from == 0 ? piece : PREFIX + piece);
        if (id != null) {
          break;
        }
        to = word.offsetByCodePoints(to, -1);
      }
      if (id == null) {
        take.accept(unknown);
        return;
      }
      found.add(id);
      from = to;
    }
    found.build().forEach(take);
  }
}
