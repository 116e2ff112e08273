/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.docs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import morfologik.speller.Speller;
import morfologik.stemming.Dictionary;
import org.commonmark.node.AbstractVisitor;
import org.commonmark.node.Text;
import org.junit.jupiter.api.Test;

/**
 * American English, and the words of {@code docs/words.txt}. Code, and what looks like it, is not
 * read: a word with a digit, an underscore, a dot inside, or a capital behind a small letter.
 */
class SpellingTest {
  private static final Pattern TOKEN = Pattern.compile("[\\p{L}\\p{N}_.@/:$#'’-]+");
  private static final Pattern CODE =
      Pattern.compile(".*([\\p{N}_@/:$#]|\\p{L}\\.\\p{L}|\\p{Ll}\\p{Lu}).*");
  private static final Pattern WORD = Pattern.compile("\\p{L}+(['’]\\p{L}+)*");

  /** LanguageTool's, of its artifact english-pos-dict. */
  private static final String DICTIONARY = "/org/languagetool/resource/en/hunspell/en_US.dict";

  private static Speller speller() throws IOException {
    return new Speller(Dictionary.read(SpellingTest.class.getResource(DICTIONARY)));
  }

  private static boolean isKnown(Speller speller, String word) {
    return speller.isInDictionary(word)
        || speller.isInDictionary(word.toLowerCase(Locale.ROOT)) && isCapitalized(word);
  }

  /** At the beginning of a sentence, or as a title. */
  private static boolean isCapitalized(String word) {
    return Character.isUpperCase(word.charAt(0));
  }

  @Test
  void pagesHaveNoUnknownWords() throws Exception {
    Speller speller = speller();
    Set<String> ours = ours();
    List<String> unknown = new ArrayList<>();
    for (Page page : Page.all()) {
      page.root()
          .accept(
              new AbstractVisitor() {
                @Override
                public void visit(Text text) {
                  for (String word : words(text.getLiteral())) {
                    if (isKnown(speller, word)) {
                      continue;
                    }
                    if (!ours.contains(word) && !ours.contains(word.toLowerCase(Locale.ROOT))) {
                      unknown.add(page.place(text) + ": " + word);
                    }
                  }
                }
              });
    }
    assertThat(String.join("\n", unknown))
        .as("words that are wrong, or that docs/words.txt lacks")
        .isEmpty();
  }

  @Test
  void aWrongWordIsFound() throws Exception {
    assertThat(words("A recieved `image` of model.json, and isn't it x2?"))
        .containsExactly("A", "recieved", "image", "of", "and", "isn't", "it");
    assertThat(isKnown(speller(), "recieved")).isFalse();
    assertThat(isKnown(speller(), "received")).isTrue();
  }

  private static List<String> words(String text) {
    List<String> words = new ArrayList<>();
    Matcher tokens = TOKEN.matcher(text);
    while (tokens.find()) {
      if (!CODE.matcher(tokens.group()).matches()) {
        Matcher word = WORD.matcher(tokens.group());
        while (word.find()) {
          words.add(word.group().replace('’', '\'').replaceAll("'s$", ""));
        }
      }
    }
    return words;
  }

  private static Set<String> ours() throws IOException {
    List<String> lines = Files.readAllLines(Page.home().resolve("docs/words.txt"));
    List<String> words =
        lines.stream().filter(line -> !line.isBlank() && !line.startsWith("#")).toList();
    assertThat(words).as("docs/words.txt, sorted").isSorted().doesNotHaveDuplicates();
    return new TreeSet<>(words);
  }
}
