/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.core.fs.Path;

/**
 * A place in a file system, of which there is only one way to write it.
 *
 * <p>URIs come with events, hence from anybody. Rather than normalising them and hoping that every
 * file system normalises alike, whatever could mean two things is refused: percent encoding (which
 * Flink's {@code Path} does not decode, {@code java.net.URI} does, and some stores decode once
 * more), {@code .} and {@code ..}, empty segments, backslashes, queries, fragments and control
 * characters. What is left can be compared segment by segment.
 *
 * @param scheme in lower case
 * @param authority as written, empty for none
 * @param segments of the path; none for the root of a store, which is a folder only
 */
record Location(String scheme, String authority, List<String> segments) {
  static final String LOCAL_SCHEME = "file";

  private static final int MAX_CHARS = 2048;
  private static final Pattern URI =
      Pattern.compile("([A-Za-z][A-Za-z0-9+.-]*):(?://([^/]*))?(/.*)", Pattern.DOTALL);
  private static final Pattern AUTHORITY = Pattern.compile("[A-Za-z0-9._@:-]*");
  private static final Pattern ROOT =
      Pattern.compile("([A-Za-z][A-Za-z0-9+.-]*)://([A-Za-z0-9._@:-]+)/?");
  private static final String FORBIDDEN = "%\\?#";

  Location {
    segments = List.copyOf(segments);
  }

  /**
   * @throws PayloadException saying what of the URI is not accepted
   */
  static Location parse(String uri) {
    if (uri.length() > MAX_CHARS) {
      throw refused(
          uri.substring(0, 60) + "...",
          "has " + uri.length() + " characters",
          "at most " + MAX_CHARS);
    }
    Matcher parts = URI.matcher(uri);
    if (!parts.matches()) {
      throw refused(
          uri,
          "is not an absolute URI",
          "a scheme such as s3 or file, a colon, and a path that begins with a slash");
    }
    String scheme = parts.group(1).toLowerCase(Locale.ROOT);
    String authority = parts.group(2) == null ? "" : parts.group(2);
    if (!AUTHORITY.matcher(authority).matches()) {
      throw refused(uri, "has the authority '" + authority + "'", "letters, digits and . _ @ : -");
    }
    if (scheme.equals(LOCAL_SCHEME) && !authority.isEmpty()) {
      throw refused(
          uri, "has the authority '" + authority + "'", "a path of this machine, without a host");
    }
    List<String> segments = List.of(parts.group(3).substring(1).split("/", -1));
    for (String segment : segments) {
      checkSegment(uri, segment);
    }
    return new Location(scheme, authority, segments);
  }

  /**
   * A folder: may have a slash behind it, and may be the root of a store such as {@code
   * s3://bucket/}.
   *
   * @throws PayloadException saying what of the URI is not accepted
   */
  static Location parseFolder(String uri) {
    Matcher root = ROOT.matcher(uri);
    if (root.matches() && !root.group(1).equalsIgnoreCase(LOCAL_SCHEME)) {
      return new Location(root.group(1).toLowerCase(Locale.ROOT), root.group(2), List.of());
    }
    return parse(uri.endsWith("/") ? uri.substring(0, uri.length() - 1) : uri);
  }

  private static void checkSegment(String uri, String segment) {
    if (segment.isEmpty() || segment.equals(".") || segment.equals("..")) {
      throw refused(
          uri,
          "has '" + segment + "' for a part of its path",
          "a path without empty parts, . or ..");
    }
    for (int i = 0; i < segment.length(); i++) {
      char c = segment.charAt(i);
      if (FORBIDDEN.indexOf(c) >= 0 || Character.isISOControl(c)) {
        throw refused(
            uri,
            "has the character U+%04X in its path".formatted((int) c),
            "plain text without percent encoding, backslash, query, fragment and control characters");
      }
    }
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(segment)) {
      throw refused(uri, "has half a character in its path", "text that can be written as UTF-8");
    }
  }

  private static PayloadException refused(String uri, String what, String accepted) {
    return new PayloadException(
        PayloadException.Kind.REFUSED,
        "The URI '%s' %s; expected %s.".formatted(printable(uri), what, accepted));
  }

  private static String printable(String uri) {
    return uri.replaceAll("\\p{Cntrl}", "\uFFFD");
  }

  /** True when this place is within the folder, at whatever depth, and is not the folder itself. */
  boolean isBelow(Location folder) {
    int depth = folder.segments.size();
    return scheme.equals(folder.scheme)
        && authority.equals(folder.authority)
        && segments.size() > depth
        && segments.subList(0, depth).equals(folder.segments);
  }

  /** A place in this folder. */
  Location child(String... names) {
    List<String> longer = new ArrayList<>(segments);
    longer.addAll(List.of(names));
    return new Location(scheme, authority, longer);
  }

  boolean isLocal() {
    return scheme.equals(LOCAL_SCHEME);
  }

  /** For Flink's file systems. */
  Path toPath() {
    return new Path(
        scheme, authority.isEmpty() ? null : authority, "/" + String.join("/", segments));
  }

  /** For the local file system; only of a local place. */
  java.nio.file.Path toLocalPath() {
    return java.nio.file.Path.of("/" + String.join("/", segments));
  }

  /** As references have it; parses to the same location. */
  @Override
  public String toString() {
    return scheme
        + ":"
        + (authority.isEmpty() ? "" : "//" + authority)
        + "/"
        + String.join("/", segments);
  }
}
