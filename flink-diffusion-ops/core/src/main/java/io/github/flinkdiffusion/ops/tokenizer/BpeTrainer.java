/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;

/**
 * Learns a vocabulary of CLIP's kind from texts, for a model that is trained from nothing and needs
 * few words.
 *
 * <p>Texts are cleaned and cut as {@link ClipTokenizer} does it; then the most frequent pair of
 * neighbouring tokens becomes a token, again and again. Among equally frequent pairs the
 * alphabetically first is taken, so the same texts, in whatever order, give the same vocabulary.
 * Any other text can be encoded too, at worst byte by byte.
 */
@Internal
public final class BpeTrainer {
  private final Map<String, Integer> countOfWord = new TreeMap<>();

  /** Counts the words of one text. */
  public BpeTrainer add(String text) {
    Words.forEach(
        Words.normalize(text),
        word -> {
          StringBuilder characters = new StringBuilder();
          for (byte b : word) {
            characters.append(ByteAlphabet.character(b & 0xFF));
          }
          countOfWord.merge(characters.toString(), 1, Integer::sum);
          return true;
        });
    return this;
  }

  /** Counts the words of several texts. */
  public BpeTrainer addAll(Iterable<String> texts) {
    texts.forEach(this::add);
    return this;
  }

  private record Pair(String left, String right) {
    static final Comparator<Pair> ALPHABETICALLY =
        Comparator.comparing(Pair::left).thenComparing(Pair::right);

    String joined() {
      return left + right;
    }
  }

  private record Word(List<String> tokens, int count) {}

  /**
   * Learns the vocabulary.
   *
   * @param maxMerges how many tokens to learn at most; fewer if every word is one token before
   */
  public BpeVocabulary train(int maxMerges) {
    List<Word> words = new ArrayList<>();
    countOfWord.forEach((word, count) -> words.add(new Word(bytes(word), count)));
    List<String> learned = new ArrayList<>();
    List<String> merges = new ArrayList<>();
    while (merges.size() < maxMerges) {
      Map<Pair, Integer> counts = new HashMap<>();
      for (Word word : words) {
        for (int i = 0; i + 1 < word.tokens.size(); i++) {
          counts.merge(
              new Pair(word.tokens.get(i), word.tokens.get(i + 1)), word.count, Integer::sum);
        }
      }
      if (counts.isEmpty()) {
        break;
      }
      Pair best =
          counts.entrySet().stream()
              .min(
                  Map.Entry.<Pair, Integer>comparingByValue(Comparator.reverseOrder())
                      .thenComparing(Map.Entry.comparingByKey(Pair.ALPHABETICALLY)))
              .orElseThrow()
              .getKey();
      merges.add(best.left + " " + best.right);
      learned.add(best.joined());
      words.forEach(word -> join(word.tokens, best));
    }
    return new BpeVocabulary(vocabulary(learned), merges);
  }

  private static List<String> bytes(String word) {
    List<String> tokens = new ArrayList<>(word.length());
    for (int i = 0; i < word.length(); i++) {
      tokens.add(word.charAt(i) + (i == word.length() - 1 ? BytePairs.END_OF_WORD : ""));
    }
    return tokens;
  }

  private static void join(List<String> tokens, Pair pair) {
    for (int i = 0; i + 1 < tokens.size(); i++) {
      if (tokens.get(i).equals(pair.left) && tokens.get(i + 1).equals(pair.right)) {
        tokens.set(i, pair.joined());
        tokens.remove(i + 1);
      }
    }
  }

  /**
   * In CLIP's order: bytes, bytes that end a word, what was learned, start, end. Two merges may
   * give the same token.
   */
  private static List<String> vocabulary(List<String> learned) {
    Set<String> tokens = new LinkedHashSet<>();
    ByteAlphabet.inVocabularyOrder().forEach(character -> tokens.add(character.toString()));
    ByteAlphabet.inVocabularyOrder()
        .forEach(character -> tokens.add(character + BytePairs.END_OF_WORD));
    tokens.addAll(learned);
    tokens.add(TokenizerFiles.START);
    tokens.add(TokenizerFiles.END);
    return List.copyOf(tokens);
  }
}
