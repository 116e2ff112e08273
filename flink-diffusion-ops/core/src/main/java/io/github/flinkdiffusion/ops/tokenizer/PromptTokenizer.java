/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.tokenizer.AddedTokens.AddedToken;
import io.github.flinkdiffusion.ops.tokenizer.AddedTokens.Section;
import io.github.flinkdiffusion.ops.tokenizer.TokenizerFiles.Model;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.apache.flink.annotation.Internal;

/**
 * The tokenizers of the text encoders of diffusion transformers and of models that write texts,
 * equal to transformers 5: {@code T5Tokenizer}, {@code Qwen2Tokenizer}, {@code GemmaTokenizer},
 * {@code GPT2Tokenizer}. As there, the class says how a text is normalized and cut, and the
 * folder's files give the vocabulary and the added tokens. A {@code tokenizer.json} that describes
 * another way than its class's is refused, because another version of transformers would follow it.
 *
 * <p>Half of a surrogate pair counts as U+FFFD. Immutable, for any number of threads.
 */
@Internal
public final class PromptTokenizer {
  private static final String SPIECE = "spiece.model";

  /** T5's sentinels, which stand after the pieces in its file, the last one first. */
  private static final int SENTINELS = 100;

  private static final int T5_UNKNOWN = 2;

  private final AddedTokens added;
  private final SectionEncoder sections;
  private final Map<String, Integer> ids;
  private final int[] before;
  private final int[] after;
  private final int padding;
  private final boolean padsLeft;

  private PromptTokenizer(
      Config config,
      TokenizerFiles files,
      UnaryOperator<String> normalizer,
      SectionEncoder sections,
      List<String> before,
      List<String> after,
      String paddingSide) {
    this.added = AddedTokens.of(files.added(), files.vocabulary(), normalizer);
    this.sections = sections;
    this.ids = files.vocabulary();
    this.before = before.stream().mapToInt(this::id).toArray();
    this.after = after.stream().mapToInt(this::id).toArray();
    this.padding = id(files.special().get("pad_token"));
    String side = config.string("padding_side", paddingSide);
    if (!side.equals("left") && !side.equals("right")) {
      throw config.unsupported("padding_side", side, "left or right");
    }
    this.padsLeft = side.equals("left");
  }

  /**
   * T5's: {@code tokenizer.json} or {@code spiece.model}.
   *
   * @throws TokenizerException or {@link io.github.flinkdiffusion.ops.weights.WeightsException} if
   *     files are missing, malformed or not supported
   */
  public static PromptTokenizer t5(ModelComponent component) {
    return t5(folder(component));
  }

  static PromptTokenizer t5(Path folder) {
    Map<String, String> defaults = new LinkedHashMap<>();
    defaults.put("eos_token", "</s>");
    defaults.put("unk_token", "<unk>");
    defaults.put("pad_token", "<pad>");
    Path json = folder.resolve("tokenizer.json");
    Map<Integer, AddedToken> listed = new TreeMap<>();
    List<String> pieces = new ArrayList<>();
    double[] scores;
    byte[] charsmap;
    if (Files.isRegularFile(json)) {
      Config file = Config.read(json);
      UnigramFile unigram = UnigramFile.of(file, T5_UNKNOWN);
      listed.putAll(TokenizerFiles.listed(file));
      pieces.addAll(unigram.pieces());
      scores = unigram.scores();
      charsmap = unigram.charsmap();
    } else {
      SentencePieceFile file = SentencePieceFile.read(folder.resolve(SPIECE), T5_UNKNOWN);
      pieces.addAll(file.pieces());
      charsmap = file.charsmap();
      file.added().forEach(id -> listed.put(id, new AddedToken(file.pieces().get(id), false)));
      for (int i = SENTINELS - 1; i >= 0; i--) {
        listed.put(pieces.size(), new AddedToken("<extra_id_%d>".formatted(i), false));
        pieces.add("<extra_id_%d>".formatted(i));
      }
      scores = Arrays.copyOf(file.scores(), pieces.size());
    }
    Map<String, Integer> vocabulary = new LinkedHashMap<>();
    for (String piece : pieces) {
      if (vocabulary.put(piece, vocabulary.size()) != null) {
        throw new TokenizerException(
            "Tokenizer %s: the vocabulary has the piece '%s' twice".formatted(folder, piece));
      }
    }
    if (vocabulary.size() <= T5_UNKNOWN) {
      throw new TokenizerException(
          "Tokenizer %s: the vocabulary has %d pieces; expected padding, end, unknown token and more"
              .formatted(folder, vocabulary.size()));
    }
    Config config = TokenizerFiles.config(folder);
    TokenizerFiles files =
        TokenizerFiles.read(folder, new Model(vocabulary, List.of(), listed, defaults));
    UnaryOperator<String> normalizer =
        charsmap.length == 0
            ? UnaryOperator.identity()
            : new Charsmap(folder.toString(), charsmap)::normalize;
    return new PromptTokenizer(
        config,
        files,
        normalizer,
        new T5Words(new Unigram(pieces, scores, T5_UNKNOWN)),
        List.of(),
        List.of(files.special().get("eos_token")),
        "right");
  }

  /**
   * Qwen 2's and Qwen 3's: {@code tokenizer.json}, or {@code vocab.json} and {@code merges.txt}.
   *
   * @throws TokenizerException or {@link io.github.flinkdiffusion.ops.weights.WeightsException} if
   *     files are missing, malformed or not supported
   */
  public static PromptTokenizer qwen2(ModelComponent component) {
    return qwen2(folder(component));
  }

  static PromptTokenizer qwen2(Path folder) {
    Map<String, String> defaults = new LinkedHashMap<>();
    for (String key : List.of("unk_token", "eos_token", "pad_token")) {
      defaults.put(key, "<|endoftext|>");
    }
    Path json = folder.resolve("tokenizer.json");
    Config config = TokenizerFiles.config(folder);
    if (config.flag("add_prefix_space", false)) {
      throw config.unsupported("add_prefix_space", true, "false");
    }
    Model model;
    if (Files.isRegularFile(json)) {
      Config file = Config.read(json);
      TokenizerJson.requireQwen2(file);
      model = TokenizerJson.pairs(file, defaults);
    } else {
      model =
          new Model(
              TokenizerFiles.vocabulary(Config.read(folder.resolve("vocab.json"))),
              TokenizerFiles.mergesOf(folder.resolve("merges.txt")),
              Map.of(),
              defaults);
    }
    TokenizerFiles files = TokenizerFiles.read(folder, model);
    BytePairs pairs =
        new BytePairs(files.source(), files.modelVocabulary(), files.merges(), null, "");
    return new PromptTokenizer(
        config,
        files,
        UnicodeTables::compose,
        new QwenWords(pairs),
        added(config, "bos_token", List.of()),
        added(config, "eos_token", List.of()),
        "right");
  }

  /**
   * Gemma's: {@code tokenizer.json}.
   *
   * @throws TokenizerException or {@link io.github.flinkdiffusion.ops.weights.WeightsException} if
   *     files are missing, malformed or not supported
   */
  public static PromptTokenizer gemma(ModelComponent component) {
    return gemma(folder(component));
  }

  static PromptTokenizer gemma(Path folder) {
    Map<String, String> defaults = new LinkedHashMap<>();
    for (String name : List.of("bos", "eos", "unk", "pad", "mask")) {
      defaults.put(name + "_token", "<" + name + ">");
    }
    Config config = TokenizerFiles.config(folder);
    Config file = Config.read(folder.resolve("tokenizer.json"));
    TokenizerJson.requireGemma(file);
    TokenizerFiles files = TokenizerFiles.read(folder, TokenizerJson.pairs(file, defaults));
    Integer unknown = files.modelVocabulary().get(files.special().get("unk_token"));
    if (unknown == null) {
      throw new TokenizerException(
          "Tokenizer %s: the vocabulary does not have the unknown token '%s'"
              .formatted(folder, files.special().get("unk_token")));
    }
    return new PromptTokenizer(
        config,
        files,
        text -> text.replace(' ', T5Words.MARK),
        new CharacterPairs(files.source(), files.modelVocabulary(), files.merges(), unknown),
        added(config, "bos_token", TokenizerJson.template(file, true)),
        added(config, "eos_token", TokenizerJson.template(file, false)),
        "left");
  }

  /**
   * GPT-2's: {@code tokenizer.json}, or {@code vocab.json} and {@code merges.txt}. As in
   * transformers 5, the file says that digits are cut out first ({@code Digits}), unless the class
   * is {@code GPT2Tokenizer}, which cuts nothing out.
   *
   * @throws TokenizerException or {@link io.github.flinkdiffusion.ops.weights.WeightsException} if
   *     files are missing, malformed or not supported
   */
  public static PromptTokenizer gpt2(ModelComponent component) {
    Path folder = folder(component);
    boolean gpt2 = component.className().startsWith("GPT2Tokenizer");
    Map<String, String> defaults = new LinkedHashMap<>();
    for (String key : List.of("bos_token", "unk_token", "eos_token", "pad_token")) {
      defaults.put(key, "<|endoftext|>");
    }
    Path json = folder.resolve("tokenizer.json");
    Config config = TokenizerFiles.config(folder);
    if (config.flag("add_prefix_space", false)) {
      throw config.unsupported("add_prefix_space", true, "false");
    }
    Model model;
    boolean digits = false;
    if (gpt2 && !Files.isRegularFile(json)) {
      model =
          new Model(
              TokenizerFiles.vocabulary(Config.read(folder.resolve("vocab.json"))),
              TokenizerFiles.mergesOf(folder.resolve("merges.txt")),
              Map.of(),
              defaults);
    } else {
      Config file = Config.read(json);
      digits = TokenizerJson.requireGpt2(file) && !gpt2;
      model = TokenizerJson.pairs(file, defaults);
    }
    TokenizerFiles files = TokenizerFiles.readWhole(folder, model);
    BytePairs pairs =
        new BytePairs(files.source(), files.modelVocabulary(), files.merges(), null, "");
    return new PromptTokenizer(
        config,
        files,
        UnaryOperator.identity(),
        new GptWords(pairs, digits),
        added(config, "bos_token", List.of()),
        added(config, "eos_token", List.of()),
        "right");
  }

  /** The special token that a config's {@code add_bos_token} or {@code add_eos_token} asks for. */
  private static List<String> added(Config config, String token, List<String> otherwise) {
    if (!config.has("add_bos_token") && !config.has("add_eos_token")) {
      return otherwise;
    }
    if (!config.flag("add_" + token, false)) {
      return List.of();
    }
    JsonNode named = config.node().path(token);
    String content = named.isObject() ? named.path("content").asText(null) : named.asText(null);
    if (content == null) {
      throw config.unsupported(token, named, "a token, because add_" + token + " is true");
    }
    return List.of(content);
  }

  private static Path folder(ModelComponent component) {
    return component
        .folder()
        .orElseThrow(
            () ->
                new TokenizerException(
                    "The model has no folder %s with a tokenizer's files"
                        .formatted(component.name())));
  }

  /** The id of a token of the vocabulary. */
  public int id(String token) {
    Integer id = ids.get(token);
    if (id == null) {
      throw new TokenizerException("The vocabulary does not have the token '%s'".formatted(token));
    }
    return id;
  }

  /** A whole text's ids with the special tokens around it, without padding. */
  public int[] ids(String text) {
    IntStream.Builder all = IntStream.builder();
    for (int id : before) {
      all.add(id);
    }
    for (Section section : added.split(WellFormed.text(Objects.requireNonNull(text, "text")))) {
      if (section.token().isPresent()) {
        all.add(section.token().getAsInt());
      } else {
        sections.encode(section.text(), all::add);
      }
    }
    for (int id : after) {
      all.add(id);
    }
    return all.build().toArray();
  }

  /**
   * The ids of a text as {@code tokenizer(text, padding="max_length", max_length=length,
   * truncation=True)} gives them: a text that is too long loses its end, but keeps the special
   * tokens.
   */
  public MaskedTokens encode(String text, int length) {
    int[] whole = ids(text);
    int[] padded = new int[length];
    int[] mask = new int[length];
    int kept = Math.min(whole.length, length);
    int start = padsLeft ? length - kept : 0;
    Arrays.fill(padded, padding);
    System.arraycopy(whole, 0, padded, start, kept);
    if (kept < whole.length) {
      System.arraycopy(after, 0, padded, start + kept - after.length, after.length);
    }
    Arrays.fill(mask, start, start + kept, 1);
    return new MaskedTokens(padded, mask, kept < whole.length);
  }

  /** One more than the largest id: the rows that the text encoder's embedding needs. */
  public int vocabularySize() {
    return Collections.max(ids.values()) + 1;
  }
}
