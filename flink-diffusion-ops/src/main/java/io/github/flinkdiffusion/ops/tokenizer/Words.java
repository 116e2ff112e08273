package io.github.flinkdiffusion.ops.tokenizer;

import java.nio.charset.StandardCharsets;
import java.text.Normalizer;
import java.util.function.Predicate;

/**
 * How CLIP cleans a text and cuts it into words.
 *
 * <p>Unicode's classes are those of the running Java, the reference's those of its own tables: a
 * letter that is newer than the older of the two may be cut in another place.
 */
final class Words {
  private static final String[] CONTRACTIONS = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

  /**
   * Literals of the reference's first pattern; its second pattern then cuts them in three again.
   */
  private static final String[] SPECIAL_LITERALS = {"<|startoftext|>", "<|endoftext|>"};

  private static final int MAX_MARKS_IN_A_ROW = 1024;

  private Words() {}

  /** Composed characters (NFC), white space as single spaces, lower case. */
  static String normalize(String text) {
    String composed = compose(text);
    StringBuilder normal = new StringBuilder(composed.length());
    boolean inSpace = false;
    for (int at = 0; at < composed.length(); ) {
      int c = composed.codePointAt(at);
      at += Character.charCount(c);
      if (isSpace(c)) {
        if (!inSpace) {
          normal.append(' ');
        }
        inSpace = true;
      } else {
        inSpace = false;
        if (c == 'İ') {
          // The one character whose lower case is two, whatever stands around it.
          normal.append("i\u0307");
        } else {
          // One by one: String.toLowerCase would give a final sigma another form.
          normal.appendCodePoint(Character.toLowerCase(c));
        }
      }
    }
    return normal.toString();
  }

  /**
   * NFC. Java sorts the combining marks behind one character in time that grows with the square of
   * their number, so a text that holds absurdly many, which nobody writes except to keep us busy,
   * is composed in parts.
   */
  private static String compose(String text) {
    StringBuilder composed = new StringBuilder(text.length());
    int partStart = 0;
    int marks = 0;
    for (int at = 0; at < text.length(); ) {
      int c = text.codePointAt(at);
      at += Character.charCount(c);
      marks = isMark(c) ? marks + 1 : 0;
      if (marks == MAX_MARKS_IN_A_ROW) {
        composed.append(Normalizer.normalize(text.substring(partStart, at), Normalizer.Form.NFC));
        partStart = at;
        marks = 0;
      }
    }
    return composed
        .append(Normalizer.normalize(text.substring(partStart), Normalizer.Form.NFC))
        .toString();
  }

  /**
   * Gives the UTF-8 bytes of each word of a normalized text, in order, until the taker has had
   * enough.
   *
   * @param take returns whether it wants more
   * @return false if the taker stopped it
   */
  static boolean forEach(String text, Predicate<byte[]> take) {
    for (int at = 0; at < text.length(); ) {
      int c = text.codePointAt(at);
      if (isSpace(c)) {
        at += Character.charCount(c);
        continue;
      }
      int literal = lengthOfAny(SPECIAL_LITERALS, text, at);
      if (literal > 0) {
        if (!take(text, at, at + 2, take)
            || !take(text, at + 2, at + literal - 2, take)
            || !take(text, at + literal - 2, at + literal, take)) {
          return false;
        }
        at += literal;
        continue;
      }
      int end = at + wordLength(text, at, c);
      if (!take(text, at, end, take)) {
        return false;
      }
      at = end;
    }
    return true;
  }

  private static boolean take(String text, int from, int to, Predicate<byte[]> take) {
    return take.test(text.substring(from, to).getBytes(StandardCharsets.UTF_8));
  }

  private static int wordLength(String text, int from, int first) {
    int contraction = lengthOfAny(CONTRACTIONS, text, from);
    if (contraction > 0) {
      return contraction;
    }
    int at = from + Character.charCount(first);
    if (isNumber(first)) {
      return at - from; // each digit is a word
    }
    boolean letters = Character.isLetter(first);
    while (at < text.length()) {
      int c = text.codePointAt(at);
      boolean goesOn =
          letters ? Character.isLetter(c) : !isSpace(c) && !Character.isLetter(c) && !isNumber(c);
      if (!goesOn) {
        break;
      }
      at += Character.charCount(c);
    }
    return at - from;
  }

  private static int lengthOfAny(String[] literals, String text, int at) {
    for (String literal : literals) {
      if (text.startsWith(literal, at)) {
        return literal.length();
      }
    }
    return 0;
  }

  private static boolean isMark(int c) {
    return switch (Character.getType(c)) {
      case Character.NON_SPACING_MARK, Character.COMBINING_SPACING_MARK, Character.ENCLOSING_MARK ->
          true;
      default -> false;
    };
  }

  private static boolean isNumber(int c) {
    return switch (Character.getType(c)) {
      case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER -> true;
      default -> false;
    };
  }

  /** Unicode's White_Space; Java's own two notions of it both differ. */
  private static boolean isSpace(int c) {
    return c >= 0x09 && c <= 0x0D || c == 0x85 || Character.isSpaceChar(c);
  }
}
