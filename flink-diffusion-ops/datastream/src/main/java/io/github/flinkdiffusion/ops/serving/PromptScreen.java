/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.io.Serializable;
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
 * Refuses prompts with phrases of a list, and prompts that are close to listed concepts ({@link
 * PromptConcepts}). Words are compared as a reader sees them: letters in any case, with or without
 * accents, in full width or as mathematical symbols, with invisible characters between them, or
 * with the like letters of the Cyrillic and Greek alphabets, are the same.
 *
 * <p>A list of phrases is a file in UTF-8 with a phrase of one or more words a line. {@code *} at
 * the end of a word stands for any ending. Lines that begin with {@code #} are comments. Negative
 * prompts are not looked at: they say what shall not be in an image.
 */
@Internal
public final class PromptScreen implements Serializable {
  private static final long serialVersionUID = 1L;

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
  private final PromptConcepts concepts;
  private transient List<Phrase> phrases;

  private PromptScreen(String file, PromptConcepts concepts) {
    this.file = file;
    this.concepts = concepts;
  }

  static PromptScreen of(ReadableConfig config) {
    return new PromptScreen(
        config.get(DiffusionOptions.SAFETY_BLOCKED_PHRASES_FILE), PromptConcepts.of(config));
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

  /** A user of the screen: requests can be compared with concepts until it is closed. */
  public final class Use implements AutoCloseable {
    private boolean closed;

    private Use() {
      concepts.open();
    }

    /** Idempotent. */
    @Override
    public synchronized void close() {
      if (!closed) {
        closed = true;
        concepts.close();
      }
    }
  }

  /**
   * Reads the lists and loads the CLIP, if there are to be any, so that a job without them fails at
   * once.
   *
   * @throws DiffusionException naming the file, and the line that is none, or the folder
   */
  public Use open() {
    requireList();
    return new Use();
  }

  synchronized void requireList() {
    if (file != null && phrases == null) {
      phrases = read();
    }
  }

  private List<Phrase> read() {
    List<Phrase> read = new ArrayList<>();
    for (ListedLine line :
        ListedLine.read(
            file,
            DiffusionOptions.SAFETY_BLOCKED_PHRASES_FILE,
            "list of blocked phrases",
            MOST_PHRASES)) {
      List<String> words = words(line.text(), true);
      if (words.isEmpty() || words.contains("*")) {
        throw new DiffusionException(
            "Line %d of the list of blocked phrases %s has no word, or a '*' without letters before it"
                .formatted(line.number(), file));
      }
      read.add(new Phrase(line.number(), words));
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

  /**
   * Compares the prompts with the concepts; the screen must be open. A text that is new takes a
   * network call.
   *
   * @throws InvalidRequestException naming the parameter, the concept and the cosine, if a prompt
   *     is too close to one
   */
  void compare(Arguments arguments) {
    for (Parameter<String> parameter : SCREENED) {
      String text = arguments.get(parameter);
      if (text != null && !text.isBlank()) {
        concepts
            .find(text)
            .ifPresent(
                found -> {
                  throw new InvalidRequestException(
                      String.format(
                          Locale.ROOT,
                          "%s is too close to the concept '%s': the cosine is %.4f, the limit is %s"
                              + " (line %d of the list in %s). Send the request with another text.",
                          parameter,
                          found.concept().text(),
                          found.cosine(),
                          found.concept().limit(),
                          found.concept().line(),
                          DiffusionOptions.SAFETY_CONCEPTS_FILE.key()));
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
    return other instanceof PromptScreen that
        && Objects.equals(file, that.file)
        && concepts.equals(that.concepts);
  }

  @Override
  public int hashCode() {
    return Objects.hash(file, concepts);
  }
}
