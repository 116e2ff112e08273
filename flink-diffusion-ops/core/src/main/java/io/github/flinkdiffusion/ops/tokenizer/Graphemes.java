/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.Map;
import java.util.zip.GZIPInputStream;

/**
 * User-perceived characters: the extended grapheme clusters of Unicode's annex 29, with the
 * reference's tables ({@code src/test/python/make_grapheme_tables.py}), the same on any Java.
 */
final class Graphemes {
  private static final String RESOURCE = "graphemes.txt.gz";

  /** Below, each character but a carriage return before a line feed is one by itself. */
  private static final int FIRST_JOINING = 0xA9;

  private enum Kind {
    CONTROL,
    EXTEND,
    SPACING,
    PREPEND,
    PICTURE,
    CONSONANT,
    LINKER,
    CONJUNCT
  }

  private static final Map<Kind, BitSet> SETS = read();

  private static final int JOINER = 0x200D;

  private Graphemes() {}

  /** Takes each cluster, as positions in the text. */
  interface Taker {
    void take(int from, int to);
  }

  static void forEach(String text, Taker taker) {
    int from = 0;
    Before before = new Before();
    for (int at = 0; at < text.length(); ) {
      int point = text.codePointAt(at);
      if (at > 0 && before.endsBefore(point)) {
        taker.take(from, at);
        from = at;
      }
      before.add(point);
      at += Character.charCount(point);
    }
    if (from < text.length()) {
      taker.take(from, text.length());
    }
  }

  private static boolean is(Kind kind, int point) {
    return SETS.get(kind).get(point);
  }

  /** What the rules look back at. */
  private static final class Before {
    private int last = -1;

    /** Whether it ends in a pictograph with marks; and that with a joiner behind. */
    private boolean picture;

    private boolean joinedPicture;

    /** Whether it ends in an Indic consonant with marks; and whether a virama is among these. */
    private boolean consonant;

    private boolean linked;

    /** Regional indicators that it ends in: two are a flag. */
    private int indicators;

    void add(int point) {
      if (point < FIRST_JOINING) {
        last = point;
        picture = false;
        joinedPicture = false;
        consonant = false;
        linked = false;
        indicators = 0;
        return;
      }
      joinedPicture = picture && point == JOINER;
      picture = is(Kind.PICTURE, point) || picture && is(Kind.EXTEND, point);
      boolean linker = is(Kind.LINKER, point);
      boolean goesOn = consonant && (linker || is(Kind.CONJUNCT, point));
      linked = goesOn && (linked || linker);
      consonant = goesOn || is(Kind.CONSONANT, point);
      indicators = isIndicator(point) ? indicators + 1 : 0;
      last = point;
    }

    boolean endsBefore(int point) {
      if (last < FIRST_JOINING && point < FIRST_JOINING) {
        return last != '\r' || point != '\n';
      }
      if (isControl(last) || isControl(point)) {
        return true;
      }
      if (joinsHangul(last, point)
          || point == JOINER
          || is(Kind.EXTEND, point)
          || is(Kind.SPACING, point)
          || is(Kind.PREPEND, last)) {
        return false;
      }
      boolean joins =
          linked && is(Kind.CONSONANT, point)
              || joinedPicture && is(Kind.PICTURE, point)
              || isIndicator(point) && indicators % 2 == 1;
      return !joins;
    }

    private static boolean isControl(int point) {
      return point == '\r' || point == '\n' || is(Kind.CONTROL, point);
    }

    private static boolean isIndicator(int point) {
      return point >= 0x1F1E6 && point <= 0x1F1FF;
    }

    private static boolean joinsHangul(int first, int second) {
      boolean syllable = first >= 0xAC00 && first <= 0xD7A3;
      boolean open = syllable && (first - 0xAC00) % 28 == 0;
      if (isLeading(first)) {
        return isLeading(second) || isVowel(second) || second >= 0xAC00 && second <= 0xD7A3;
      }
      if (open || isVowel(first)) {
        return isVowel(second) || isTrailing(second);
      }
      return (syllable || isTrailing(first)) && isTrailing(second);
    }

    private static boolean isLeading(int point) {
      return point >= 0x1100 && point <= 0x115F || point >= 0xA960 && point <= 0xA97C;
    }

    private static boolean isVowel(int point) {
      return point >= 0x1160 && point <= 0x11A7 || point >= 0xD7B0 && point <= 0xD7C6;
    }

    private static boolean isTrailing(int point) {
      return point >= 0x11A8 && point <= 0x11FF || point >= 0xD7CB && point <= 0xD7FB;
    }
  }

  private static Map<Kind, BitSet> read() {
    Map<Kind, BitSet> sets = new EnumMap<>(Kind.class);
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(
                new GZIPInputStream(Graphemes.class.getResourceAsStream(RESOURCE)),
                StandardCharsets.US_ASCII))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        int space = line.indexOf(' ');
        sets.put(
            Kind.valueOf(line.substring(0, space)), UnicodeTables.set(line.substring(space + 1)));
      }
      return sets;
    } catch (IOException e) {
      throw new AssertionError(RESOURCE + " is a resource beside this class", e);
    }
  }
}
