/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import io.github.flinkdiffusion.ops.tokenizer.AddedTokens.Section;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collections;
import java.util.Objects;
import java.util.stream.IntStream;
import org.apache.flink.annotation.Internal;

/**
 * CLIP's tokenizer, equal to transformers' {@code CLIPTokenizer} (version 5; a version 4 without
 * ftfy differs in that it puts spaces around Chinese characters and drops control characters): the
 * text is composed (NFC) and set in lower case, cut into runs of letters, single digits, runs of
 * other characters and English contractions, and each word is byte pair encoded. Special tokens
 * that are written out in the text are those tokens; with Stable Diffusion 2, which pads with "!",
 * so is every "!".
 *
 * <p>Any text has tokens: half of a surrogate pair counts as U+FFFD, a byte that the vocabulary
 * lacks as the unknown token. Encoding takes time in proportion to the text and stops where the
 * context is full. Immutable, for any number of threads.
 */
@Internal
public final class ClipTokenizer {
  private final AddedTokens added;
  private final BytePairs bytePairs;
  private final int start;
  private final int end;
  private final int padding;
  private final int maxLength;
  private final int vocabularySize;

  private ClipTokenizer(TokenizerFiles files) {
    added = AddedTokens.of(files.added(), files.vocabulary(), Words::normalize);
    bytePairs =
        new BytePairs(
            files.source(),
            files.modelVocabulary(),
            files.merges(),
            files.modelVocabulary().get(files.special().get("unk_token")),
            BytePairs.END_OF_WORD);
    start = files.vocabulary().get(files.special().get("bos_token"));
    end = files.vocabulary().get(files.special().get("eos_token"));
    padding = files.vocabulary().get(files.special().get("pad_token"));
    maxLength = files.maxLength();
    vocabularySize = Collections.max(files.vocabulary().values()) + 1;
  }

  /**
   * Reads a tokenizer folder: {@code vocab.json} and {@code merges.txt}, or {@code tokenizer.json};
   * and, as far as there, {@code tokenizer_config.json}, {@code special_tokens_map.json}, {@code
   * added_tokens.json}.
   *
   * @throws TokenizerException or {@link io.github.flinkdiffusion.ops.weights.WeightsException} if
   *     files are missing or malformed
   */
  public static ClipTokenizer load(Path folder) {
    return new ClipTokenizer(TokenizerFiles.read(folder));
  }

  /**
   * A model's tokenizer: that of its folder, or CLIP's own vocabulary with the component's settings
   * where there is no folder, as in a single-file checkpoint.
   *
   * @throws TokenizerException or {@link io.github.flinkdiffusion.ops.weights.WeightsException} if
   *     files are missing or malformed
   */
  public static ClipTokenizer load(ModelComponent component) {
    return component
        .folder()
        .map(ClipTokenizer::load)
        .orElseGet(() -> new ClipTokenizer(TokenizerFiles.ofClip(component.config())));
  }

  /**
   * The ids of a text, as {@code tokenizer(text, padding="max_length", truncation=True)} gives
   * them: a text that is too long loses its end, but keeps the end token.
   */
  public Tokens encode(String text) {
    int[] ids = new int[maxLength];
    Writer writer = new Writer(ids);
    boolean whole = true;
    for (Section section : added.split(WellFormed.text(Objects.requireNonNull(text, "text")))) {
      whole =
          section.token().isPresent()
              ? writer.add(section.token().getAsInt())
              : Words.forEach(section.text(), word -> writer.add(bytePairs.encode(word)));
      if (!whole) {
        break;
      }
    }
    ids[0] = start;
    ids[writer.at] = end;
    Arrays.fill(ids, writer.at + 1, maxLength, padding);
    return new Tokens(ids, !whole);
  }

  /**
   * All ids of a text, without start, end and padding.
   *
   * @param endsWord whether a word ends with it. Neither is to be changed
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record TextTokens(int[] ids, boolean[] endsWord) {}

  /** All ids of a text, without start, end and padding, however many they are. */
  public int[] tokens(String text) {
    return words(text).ids();
  }

  /** The same, with the ends of words. */
  public TextTokens words(String text) {
    IntStream.Builder ids = IntStream.builder();
    BitSet ends = new BitSet();
    int[] count = {0};
    for (Section section : added.split(WellFormed.text(Objects.requireNonNull(text, "text")))) {
      if (section.token().isPresent()) {
        ids.add(section.token().getAsInt());
        count[0]++;
      } else {
        Words.forEach(
            section.text(),
            word -> {
              int[] own = bytePairs.encode(word);
              Arrays.stream(own).forEach(ids::add);
              count[0] += own.length;
              ends.set(count[0] - 1);
              return true;
            });
      }
    }
    boolean[] endsWord = new boolean[count[0]];
    for (int i = 0; i < endsWord.length; i++) {
      endsWord[i] = ends.get(i);
    }
    return new TextTokens(ids.build().toArray(), endsWord);
  }

  /** The token that begins every encoding. */
  public int start() {
    return start;
  }

  /** The token that ends every text. */
  public int end() {
    return end;
  }

  /** The token that fills an encoding behind its end. */
  public int padding() {
    return padding;
  }

  /** Fills the ids between start and end token. */
  private static final class Writer {
    private final int[] ids;
    private int at = 1;

    Writer(int[] ids) {
      this.ids = ids;
    }

    /** Returns whether all had room. */
    boolean add(int... tokens) {
      int count = Math.min(tokens.length, ids.length - 1 - at);
      System.arraycopy(tokens, 0, ids, at, count);
      at += count;
      return count == tokens.length;
    }
  }

  /** The number of ids that {@link #encode} gives. */
  public int maxLength() {
    return maxLength;
  }

  /** One more than the largest id: the rows that the text encoder's embedding needs. */
  public int vocabularySize() {
    return vocabularySize;
  }
}
