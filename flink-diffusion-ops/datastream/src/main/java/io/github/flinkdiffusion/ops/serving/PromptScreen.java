/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/**
 * Refuses prompts with phrases of a list. Words are compared as a reader sees them: letters in any
 * case, with or without accents, in full width or as mathematical symbols, with invisible
 * characters between them, or with the like letters of the Cyrillic and Greek alphabets, are the
 * same.
 *
 * <p>A list is a file in UTF-8 with a phrase of one or more words a line. {@code *} at the end of a
 * word stands for any ending. Lines that begin with {@code #} are comments. Negative prompts are
 * not looked at: they say what shall not be in an image.
 */
@Internal
public final class PromptScreen implements Serializable {
  private static final long serialVersionUID = 1L;

  private static final int MOST_BYTES = 1 << 20;
  private static final int MOST_PHRASES = 10_000;

  private static final List<Parameter<String>> SCREENED =
      List.of(
          Parameters.PROMPT,
          Parameters.PROMPT_2,
          Parameters.PROMPT_3,
          Parameters.SOURCE_PROMPT,
          Parameters.GLIGEN_OBJECTS);

  /** Letters of other alphabets in lower case, and the Latin ones that look like them. */
  private static final String LOOKALIKES =
      "\u0430a\u0432b\u0441c\u0501d\u0435e\u04bbh\u0456i\u0458j\u043ak\u04cfl\u043cm\u043dh\u043eo"
          + "\u0440p\u051bq\u0455s\u0442t\u0443y\u0445x\u051dw\u03b1a\u03b2b\u03b5e\u03b9i\u03bak"
          + "\u03bdv\u03bfo\u03c1p\u03c4t\u03c5u\u03c7x\u0131i\u0142l\u00f8o\u0111d";

  /** Their words have no spaces between them, so each character counts as a word. */
  private static final Set<Character.UnicodeScript> UNSPACED =
      EnumSet.of(
          Character.UnicodeScript.HAN,
          Character.UnicodeScript.HIRAGANA,
          Character.UnicodeScript.KATAKANA,
          Character.UnicodeScript.THAI,
          Character.UnicodeScript.LAO,
          Character.UnicodeScript.KHMER,
          Character.UnicodeScript.MYANMAR);

  private static final Map<Character, Character> LATIN = new HashMap<>();

  static {
    for (int i = 0; i < LOOKALIKES.length(); i += 2) {
      LATIN.put(LOOKALIKES.charAt(i), LOOKALIKES.charAt(i + 1));
    }
  }

  private final String file;
  private transient List<Phrase> phrases;

  private PromptScreen(String file) {
    this.file = file;
  }

  static PromptScreen of(ReadableConfig config) {
    return new PromptScreen(config.get(DiffusionOptions.SAFETY_BLOCKED_PHRASES_FILE));
  }

  /**
   * @param line in the file, from 1
   * @param words folded; a word of any ending has {@code *} at its end
   */
  private record Phrase(int line, List<String> words) {
    boolean isAt(List<String> text, int from) {
      if (from + words.size() > text.size()) {
        return false;
      }
      for (int i = 0; i < words.size(); i++) {
        String word = words.get(i);
        String found = text.get(from + i);
        boolean same =
            word.endsWith("*")
                ? found.regionMatches(0, word, 0, word.length() - 1)
                : found.equals(word);
        if (!same) {
          return false;
        }
      }
      return true;
    }
  }

  /**
   * Reads the list, if there is to be one, so that a job without it fails at once.
   *
   * @throws DiffusionException naming the file, and the line that is none
   */
  public synchronized void requireList() {
    if (file != null && phrases == null) {
      phrases = read();
    }
  }

  private List<Phrase> read() {
    byte[] bytes;
    try (var stream = Files.newInputStream(Path.of(file))) {
      bytes = stream.readNBytes(MOST_BYTES + 1);
    } catch (IOException e) {
      throw new DiffusionException(
          "Cannot read the list of blocked phrases %s (%s): %s"
              .formatted(file, DiffusionOptions.SAFETY_BLOCKED_PHRASES_FILE.key(), e));
    }
    List<String> lines = new String(bytes, StandardCharsets.UTF_8).lines().toList();
    if (bytes.length > MOST_BYTES || lines.size() > MOST_PHRASES) {
      throw new DiffusionException(
          "The list of blocked phrases %s is too long; at most %d lines and %d bytes are accepted"
              .formatted(file, MOST_PHRASES, MOST_BYTES));
    }
    List<Phrase> read = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i).strip();
      if (line.isEmpty() || line.startsWith("#")) {
        continue;
      }
      List<String> words = words(line, true);
      if (words.isEmpty() || words.contains("*")) {
        throw new DiffusionException(
            "Line %d of the list of blocked phrases %s has no word, or a '*' without letters before it"
                .formatted(i + 1, file));
      }
      read.add(new Phrase(i + 1, words));
    }
    return read;
  }

  /**
   * @throws InvalidRequestException naming the parameter and the line of the list, if a prompt
   *     holds a blocked phrase
   */
  void check(Arguments arguments) {
    if (file == null) {
      return;
    }
    requireList();
    for (Parameter<String> parameter : SCREENED) {
      String text = arguments.get(parameter);
      if (text != null) {
        blocked(text)
            .ifPresent(
                line -> {
                  throw new InvalidRequestException(
                      "%s holds a phrase that is blocked here (line %d of the list in %s). Send the request without it."
                          .formatted(
                              parameter, line, DiffusionOptions.SAFETY_BLOCKED_PHRASES_FILE.key()));
                });
      }
    }
  }

  /** The line of the list. */
  private Optional<Integer> blocked(String text) {
    List<String> words = words(text, false);
    for (Phrase phrase : phrases) {
      for (int i = 0; i < words.size(); i++) {
        if (phrase.isAt(words, i)) {
          return Optional.of(phrase.line());
        }
      }
    }
    return Optional.empty();
  }

  /**
   * Runs of letters and digits, folded; single characters where no spaces are written.
   *
   * @param stars whether {@code *} belongs to a word
   */
  static List<String> words(String text, boolean stars) {
    String decomposed = Normalizer.normalize(text, Normalizer.Form.NFKD);
    // To upper case first: of the sharp s and of ligatures, only that leads to plain letters.
    String lower = decomposed.toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT);
    List<String> words = new ArrayList<>();
    StringBuilder word = new StringBuilder();
    Normalizer.normalize(lower, Normalizer.Form.NFKD)
        .codePoints()
        .forEach(
            point -> {
              int type = Character.getType(point);
              if (type == Character.FORMAT
                  || type == Character.NON_SPACING_MARK
                  || type == Character.ENCLOSING_MARK) {
                return; // nothing that is seen as a letter of its own
              }
              boolean alone = UNSPACED.contains(Character.UnicodeScript.of(point));
              if (alone && word.length() > 0) {
                words.add(word.toString());
                word.setLength(0);
              }
              if (alone) {
                words.add(Character.toString(point));
              } else if (Character.isLetterOrDigit(point) || stars && point == '*') {
                Character latin = Character.isBmpCodePoint(point) ? LATIN.get((char) point) : null;
                word.appendCodePoint(latin == null ? point : latin);
              } else if (word.length() > 0) {
                words.add(word.toString());
                word.setLength(0);
              }
            });
    if (word.length() > 0) {
      words.add(word.toString());
    }
    return words;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof PromptScreen that && Objects.equals(file, that.file);
  }

  @Override
  public int hashCode() {
    return Objects.hashCode(file);
  }
}
