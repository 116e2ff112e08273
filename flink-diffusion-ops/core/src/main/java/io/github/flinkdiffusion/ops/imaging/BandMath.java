/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.ImageException;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.IntConsumer;
import java.util.function.IntToDoubleFunction;

/**
 * A number for each pixel, computed of its bands: {@code B4}, {@code (B8-B4)/(B8+B4)}. Bands are
 * counted from 1; there are decimal numbers, {@code + - * /}, a sign, and parentheses. Immutable.
 */
final class BandMath {
  /** Longer than any index in use. */
  private static final int MOST_CHARACTERS = 500;

  private static final int MOST_DEPTH = 32;

  private sealed interface Term {
    double of(IntToDoubleFunction bands);

    default void bands(IntConsumer each) {}
  }

  private record Number(double value) implements Term {
    @Override
    public double of(IntToDoubleFunction bands) {
      return value;
    }
  }

  /**
   * @param index from 0
   */
  private record Band(int index) implements Term {
    @Override
    public double of(IntToDoubleFunction bands) {
      return bands.applyAsDouble(index);
    }

    @Override
    public void bands(IntConsumer each) {
      each.accept(index);
    }
  }

  private record Operation(char operator, Term left, Term right) implements Term {
    @Override
    public double of(IntToDoubleFunction bands) {
      double a = left.of(bands);
      double b = right.of(bands);
      return switch (operator) {
        case '+' -> a + b;
        case '-' -> a - b;
        case '*' -> a * b;
        default -> a / b;
      };
    }

    @Override
    public void bands(IntConsumer each) {
      left.bands(each);
      right.bands(each);
    }
  }

  private final String text;
  private final Term term;

  private BandMath(String text, Term term) {
    this.text = text;
    this.term = term;
  }

  /**
   * Expressions with commas between them.
   *
   * @throws ImageException if they are none, naming the place
   */
  static List<BandMath> parseAll(String list) {
    if (list.length() > MOST_CHARACTERS) {
      throw new ImageException(
          "Band expressions of %d characters; at most %d are accepted"
              .formatted(list.length(), MOST_CHARACTERS));
    }
    List<BandMath> all = new ArrayList<>();
    for (String one : list.split(",", -1)) {
      all.add(new BandMath(one.strip(), new Parser(one).whole()));
    }
    return List.copyOf(all);
  }

  /** The band that it is, from 0; empty if it is computed. */
  OptionalInt band() {
    return term instanceof Band band ? OptionalInt.of(band.index()) : OptionalInt.empty();
  }

  void bands(IntConsumer each) {
    term.bands(each);
  }

  /**
   * @param bands number of a band, from 0
   * @return not finite where it divides by 0
   */
  double of(IntToDoubleFunction bands) {
    return term.of(bands);
  }

  @Override
  public String toString() {
    return text;
  }

  /** By recursive descent. */
  private static final class Parser {
    private final String text;
    private int at;
    private int depth;

    Parser(String text) {
      this.text = text;
    }

    Term whole() {
      Term sum = sum();
      if (peek() != 0) {
        throw unexpected();
      }
      return sum;
    }

    private char peek() {
      while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
        at++;
      }
      return at < text.length() ? text.charAt(at) : 0;
    }

    private ImageException unexpected() {
      String found =
          at < text.length() ? "'" + text.charAt(at) + "' at character " + (at + 1) : "its end";
      return new ImageException(
          "Band expression '%s': %s is not expected. Bands are B1, B2 and so on; numbers, + - * / and parentheses are accepted"
              .formatted(text.strip(), found));
    }

    private Term sum() {
      if (++depth > MOST_DEPTH) {
        throw new ImageException(
            "Band expression '%s': more than %d parentheses and signs within each other"
                .formatted(text.strip(), MOST_DEPTH));
      }
      Term left = product();
      for (char next = peek(); next == '+' || next == '-'; next = peek()) {
        at++;
        left = new Operation(next, left, product());
      }
      depth--;
      return left;
    }

    private Term product() {
      Term left = factor();
      for (char next = peek(); next == '*' || next == '/'; next = peek()) {
        at++;
        left = new Operation(next, left, factor());
      }
      return left;
    }

    private Term factor() {
      int signs = 0;
      boolean negative = false;
      for (char next = peek(); next == '-' || next == '+'; next = peek()) {
        at++;
        negative ^= next == '-';
        if (++signs > MOST_DEPTH) {
          throw unexpected();
        }
      }
      Term plain = plain();
      return negative ? new Operation('-', new Number(0), plain) : plain;
    }

    private Term plain() {
      char next = peek();
      if (next == '(') {
        at++;
        Term sum = sum();
        if (peek() != ')') {
          throw unexpected();
        }
        at++;
        return sum;
      }
      if (next == 'B' || next == 'b') {
        int begin = ++at;
        while (at < text.length() && isDigit(text.charAt(at))) {
          at++;
        }
        if (at == begin || at - begin > 5) {
          at = begin;
          throw unexpected();
        }
        int number = Integer.parseInt(text.substring(begin, at));
        if (number < 1) {
          at = begin;
          throw unexpected();
        }
        return new Band(number - 1);
      }
      if (isDigit(next) || next == '.') {
        return number();
      }
      throw unexpected();
    }

    private Term number() {
      int begin = at;
      while (at < text.length() && (isDigit(text.charAt(at)) || text.charAt(at) == '.')) {
        at++;
      }
      if (at < text.length() && (text.charAt(at) == 'e' || text.charAt(at) == 'E')) {
        at++;
        if (at < text.length() && (text.charAt(at) == '-' || text.charAt(at) == '+')) {
          at++;
        }
        while (at < text.length() && isDigit(text.charAt(at))) {
          at++;
        }
      }
      try {
        double value = Double.parseDouble(text.substring(begin, at));
        if (Double.isFinite(value)) {
          return new Number(value);
        }
      } catch (NumberFormatException e) {
        // Said below, as is a number that is too large.
      }
      at = begin;
      throw unexpected();
    }

    private static boolean isDigit(char letter) {
      return letter >= '0' && letter <= '9';
    }
  }
}
