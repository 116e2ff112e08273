/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;

/**
 * Makes the text of an exception fit to be sent to whoever sent the request: one line of bounded
 * length, without paths of the machine that it ran on.
 *
 * <p>Exceptions come from this project, from Java, from file systems and from native libraries, and
 * name whatever they were working on: scratch files, model folders, buckets. A path that the
 * request itself named stays, since the sender needs it and knows it.
 */
@Internal
public final class FailureMessages {
  /** Most characters of a message. */
  public static final int MAX_CHARS = 1_000;

  /** Most characters of a path that stays: the rest of the message has to stay, too. */
  private static final int MAX_PATH_CHARS = 400;

  private static final String HIDDEN = "(a path on the server)";

  /** What no path in a message holds, unless quotes enclose it. */
  private static final String END = "\\s'\"`<>|,;()\\[\\]{}";

  /**
   * An absolute path or a URI with one. It begins where no word goes on, so that {@code image/png},
   * {@code 3/4} and {@code owner/model} are none. Enclosed in quotes, it may hold blanks.
   */
  private static final Pattern PATH =
      Pattern.compile(
          ("(?<=['\"`])(?:SCHEME:)?/+[^'\"`\\v]+(?=['\"`])"
                  + "|(?<![\\p{Alnum}_./~%+-])(?:SCHEME:)?/+[^END]+"
                  + "|(?<![\\p{Alnum}])[A-Za-z]:\\\\[^END]+")
              .replace("SCHEME", "[A-Za-z][A-Za-z0-9+.-]*")
              .replace("END", END));

  private static final Pattern END_OF_SENTENCE = Pattern.compile("[.:!?]+$");
  private static final Pattern BEFORE_PATH = Pattern.compile("^(?:[A-Za-z][A-Za-z0-9+.-]*:)?/+");
  private static final Pattern CONTROL = Pattern.compile("[\\p{Cntrl}\\s]+");

  private FailureMessages() {}

  /**
   * The message as a failure event may hold it.
   *
   * @param message null for an exception without one
   * @param request what the sender sent; null when that is unknown, and every path is hidden
   */
  public static String safe(String message, SpecificRecord request) {
    if (message == null || message.isBlank()) {
      return "The request failed, and the error has no message; the job's log has the rest.";
    }
    // Cut before anything else: a native library's message may be of any length. What is cut off
    // there is beyond the limit even if every path before it is replaced by a shorter text.
    String some = message.length() > 8 * MAX_CHARS ? message.substring(0, 8 * MAX_CHARS) : message;
    String line = CONTROL.matcher(some).replaceAll(" ").strip();
    return shortened(PATH.matcher(line).replaceAll(path -> replacement(path, request)), MAX_CHARS);
  }

  /** At most so many characters, the last of which says that some are missing. */
  public static String shortened(String text, int maxChars) {
    if (text.length() <= maxChars) {
      return text;
    }
    int end = maxChars - 1;
    return text.substring(0, Character.isHighSurrogate(text.charAt(end - 1)) ? end - 1 : end) + "…";
  }

  private static String replacement(MatchResult path, SpecificRecord request) {
    Matcher sentence = END_OF_SENTENCE.matcher(path.group());
    String text = sentence.find() ? path.group().substring(0, sentence.start()) : path.group();
    String name = BEFORE_PATH.matcher(text).replaceFirst("");
    return Matcher.quoteReplacement(
        name.isEmpty() || request != null && names(request, name)
            ? shortened(text, MAX_PATH_CHARS) + path.group().substring(text.length())
            : HIDDEN + path.group().substring(text.length()));
  }

  /** Avro's encoding and JSON hold a text's bytes as they are. */
  private static boolean contains(ByteBuffer encoded, byte[] part) {
    for (int at = encoded.position(); at <= encoded.limit() - part.length; at++) {
      int same = 0;
      while (same < part.length && encoded.get(at + same) == part[same]) {
        same++;
      }
      if (same == part.length) {
        return true;
      }
    }
    return false;
  }

  /** Whether a text of the request, at whatever depth, has this part. */
  private static boolean names(Object value, String part) {
    if (value instanceof CharSequence text) {
      return text.toString().contains(part);
    } else if (value instanceof ByteBuffer encoded) {
      return contains(encoded, part.getBytes(StandardCharsets.UTF_8));
    } else if (value instanceof SpecificRecord record) {
      for (int i = 0; i < record.getSchema().getFields().size(); i++) {
        if (names(record.get(i), part)) {
          return true;
        }
      }
      return false;
    } else if (value instanceof Collection<?> items) {
      return items.stream().anyMatch(item -> names(item, part));
    } else if (value instanceof Map<?, ?> entries) {
      return names(entries.keySet(), part) || names(entries.values(), part);
    }
    return false;
  }
}
