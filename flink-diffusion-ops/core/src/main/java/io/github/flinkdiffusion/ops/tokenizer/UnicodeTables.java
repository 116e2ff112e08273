/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPInputStream;

/**
 * What the reference tokenizer takes each code point for: the same on any Java. The tables come
 * from the reference itself, whose own are of three versions of Unicode at once: {@code
 * src/test/python/make_unicode_tables.py}.
 */
final class UnicodeTables {
  private static final String RESOURCE = "unicode.txt.gz";

  /** Below, nothing is composed, decomposed or ordered. */
  private static final int FIRST_MARK = 0x300;

  // Hangul is composed by arithmetic (section 3.12 of the Unicode Standard).
  private static final int SYLLABLES = 0xAC00;
  private static final int LEADING = 0x1100;
  private static final int VOWELS = 0x1161;
  private static final int TRAILING = 0x11A7;
  private static final int LEADING_COUNT = 19;
  private static final int VOWEL_COUNT = 21;
  private static final int TRAILING_COUNT = 28;
  private static final int SYLLABLE_COUNT = LEADING_COUNT * VOWEL_COUNT * TRAILING_COUNT;

  private static final UnicodeTables REFERENCE = read();

  private final BitSet letters;
  private final BitSet digits;
  private final BitSet spaces;
  private final Map<Integer, int[]> lower;
  private final Map<Integer, Integer> classes;
  private final Map<Integer, int[]> decompositions;

  /** First and second code point, 21 bits each, to what they become. */
  private final Map<Long, Integer> compositions;

  private UnicodeTables(Map<String, String> lines) {
    letters = set(lines.get("letters"));
    digits = set(lines.get("digits"));
    spaces = set(lines.get("spaces"));
    lower = mappings(lines.get("lower"));
    decompositions = mappings(lines.get("decompositions"));
    classes = new HashMap<>();
    lines.forEach(
        (key, value) -> {
          if (key.startsWith("class ")) {
            int number = Integer.parseInt(key.substring("class ".length()));
            set(value).stream().forEach(point -> classes.put(point, number));
          }
        });
    compositions = compositions(set(lines.get("uncomposed")));
  }

  static boolean isLetter(int point) {
    return REFERENCE.letters.get(point);
  }

  static boolean isDigit(int point) {
    return REFERENCE.digits.get(point);
  }

  static boolean isSpace(int point) {
    return REFERENCE.spaces.get(point);
  }

  /** Appends a code point in lower case, whatever stands around it. */
  static void appendLower(StringBuilder text, int point) {
    if (point < 0x80) {
      text.append((char) (point >= 'A' && point <= 'Z' ? point + 'a' - 'A' : point));
      return;
    }
    int[] small = REFERENCE.lower.get(point);
    if (small == null) {
      text.appendCodePoint(point);
      return;
    }
    for (int each : small) {
      text.appendCodePoint(each);
    }
  }

  /** The text in normalization form C. Takes time in proportion to n log n of its length. */
  static String compose(String text) {
    boolean plain = true;
    for (int i = 0; i < text.length() && plain; i++) {
      plain = text.charAt(i) < FIRST_MARK;
    }
    return plain ? text : REFERENCE.composed(REFERENCE.decomposed(text));
  }

  /** The text in normalization form D. */
  static String decompose(String text) {
    int[] points = REFERENCE.decomposed(text);
    return new String(points, 0, points.length);
  }

  private int classOf(int point) {
    return point < FIRST_MARK ? 0 : classes.getOrDefault(point, 0);
  }

  /** Fully decomposed, and each run of marks ordered by their classes. */
  private int[] decomposed(String text) {
    int[] points = new int[text.length() + 16];
    int count = 0;
    for (int at = 0; at < text.length(); ) {
      int point = text.codePointAt(at);
      at += Character.charCount(point);
      int[] parts = parts(point);
      if (count + parts.length > points.length) {
        points = Arrays.copyOf(points, 2 * (count + parts.length));
      }
      for (int part : parts) {
        points[count++] = part;
      }
    }
    points = Arrays.copyOf(points, count);
    for (int at = 0; at < count; ) {
      int end = at;
      while (end < count && classOf(points[end]) != 0) {
        end++;
      }
      if (end - at > 1) {
        order(points, at, end);
      }
      at = Math.max(end, at + 1);
    }
    return points;
  }

  private int[] parts(int point) {
    int syllable = point - SYLLABLES;
    if (syllable >= 0 && syllable < SYLLABLE_COUNT) {
      int leading = LEADING + syllable / (VOWEL_COUNT * TRAILING_COUNT);
      int vowel = VOWELS + syllable % (VOWEL_COUNT * TRAILING_COUNT) / TRAILING_COUNT;
      int trailing = syllable % TRAILING_COUNT;
      return trailing == 0
          ? new int[] {leading, vowel}
          : new int[] {leading, vowel, TRAILING + trailing};
    }
    int[] parts = decompositions.get(point);
    return parts == null ? new int[] {point} : parts;
  }

  /** Stable: marks of one class stay in their order. */
  private void order(int[] points, int from, int to) {
    List<Integer> marks = new ArrayList<>();
    for (int i = from; i < to; i++) {
      marks.add(points[i]);
    }
    marks.sort(Comparator.comparingInt(this::classOf));
    for (int i = from; i < to; i++) {
      points[i] = marks.get(i - from);
    }
  }

  private String composed(int[] points) {
    StringBuilder text = new StringBuilder(points.length);
    int[] kept = new int[points.length];
    int count = 0;
    int starter = -1;
    int lastClass = 0;
    for (int point : points) {
      int own = classOf(point);
      // A mark is blocked from its starter by one of its own class or a higher one between.
      boolean reaches = starter >= 0 && (starter == count - 1 || lastClass < own && lastClass != 0);
      if (reaches) {
        int together = together(kept[starter], point);
        if (together >= 0) {
          kept[starter] = together;
          continue;
        }
      }
      if (own == 0) {
        starter = count;
      }
      lastClass = own;
      kept[count++] = point;
    }
    for (int i = 0; i < count; i++) {
      text.appendCodePoint(kept[i]);
    }
    return text.toString();
  }

  /** What two code points become, or -1. */
  private int together(int first, int second) {
    int leading = first - LEADING;
    int vowel = second - VOWELS;
    if (leading >= 0 && leading < LEADING_COUNT && vowel >= 0 && vowel < VOWEL_COUNT) {
      return SYLLABLES + (leading * VOWEL_COUNT + vowel) * TRAILING_COUNT;
    }
    int syllable = first - SYLLABLES;
    int trailing = second - TRAILING;
    if (syllable >= 0
        && syllable < SYLLABLE_COUNT
        && syllable % TRAILING_COUNT == 0
        && trailing > 0
        && trailing < TRAILING_COUNT) {
      return first + trailing;
    }
    return compositions.getOrDefault(pair(first, second), -1);
  }

  private static long pair(int first, int second) {
    return (long) first << 21 | second;
  }

  /** A full decomposition is that of its first part, which may itself be composed, and a mark. */
  private Map<Long, Integer> compositions(BitSet uncomposed) {
    Map<List<Integer>, Integer> byParts = new HashMap<>();
    decompositions.forEach(
        (point, parts) -> {
          if (!uncomposed.get(point)) {
            byParts.put(Arrays.stream(parts).boxed().toList(), point);
          }
        });
    Map<Long, Integer> found = new HashMap<>();
    byParts.forEach(
        (parts, point) -> {
          List<Integer> before = parts.subList(0, parts.size() - 1);
          int first = before.size() == 1 ? before.get(0) : byParts.get(before);
          found.put(pair(first, parts.get(parts.size() - 1)), point);
        });
    return found;
  }

  static BitSet set(String ranges) {
    BitSet set = new BitSet();
    for (String range : ranges.split(" ")) {
      String[] ends = range.split("-");
      set.set(Integer.parseInt(ends[0], 16), Integer.parseInt(ends[ends.length - 1], 16) + 1);
    }
    return set;
  }

  private static Map<Integer, int[]> mappings(String entries) {
    Map<Integer, int[]> mappings = new HashMap<>();
    for (String entry : entries.split(" ")) {
      String[] sides = entry.split(":");
      mappings.put(
          Integer.parseInt(sides[0], 16),
          Arrays.stream(sides[1].split(","))
              .mapToInt(part -> Integer.parseInt(part, 16))
              .toArray());
    }
    return mappings;
  }

  private static UnicodeTables read() {
    Map<String, String> lines = new HashMap<>();
    try (BufferedReader reader =
        new BufferedReader(
            new InputStreamReader(
                new GZIPInputStream(UnicodeTables.class.getResourceAsStream(RESOURCE)),
                StandardCharsets.US_ASCII))) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        int space = line.indexOf(' ');
        if (line.startsWith("class ")) {
          space = line.indexOf(' ', space + 1);
        }
        lines.put(line.substring(0, space), line.substring(space + 1));
      }
      return new UnicodeTables(lines);
    } catch (IOException e) {
      throw new AssertionError(RESOURCE + " is a resource beside this class", e);
    }
  }
}
