/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The character sets of a DICOM file's texts (PS3.3, C.12.1.1.2): the first one, and those to which
 * escape sequences in a text switch.
 */
final class DicomCharset {
  private static final char ESCAPE = 0x1B;

  /** Terms as the standard writes them, and as some programs do: ISO-IR 100, ISO IR_100. */
  private static final Pattern NUMBERED = Pattern.compile("ISO[ _-](?:2022[ _-])?IR[ _-](\\d+)");

  private static final Map<String, String> SETS =
      Map.ofEntries(
          Map.entry("6", "ISO-8859-1"),
          Map.entry("100", "ISO-8859-1"),
          Map.entry("101", "ISO-8859-2"),
          Map.entry("109", "ISO-8859-3"),
          Map.entry("110", "ISO-8859-4"),
          Map.entry("144", "ISO-8859-5"),
          Map.entry("127", "ISO-8859-6"),
          Map.entry("126", "ISO-8859-7"),
          Map.entry("138", "ISO-8859-8"),
          Map.entry("148", "ISO-8859-9"),
          Map.entry("203", "ISO-8859-15"),
          Map.entry("13", "JIS_X0201"),
          Map.entry("166", "TIS-620"),
          Map.entry("192", "UTF-8"),
          Map.entry("GB18030", "GB18030"),
          Map.entry("GBK", "GBK"));

  /** What stands behind an escape, and the character set that it switches to. */
  private static final Map<String, String> ESCAPES =
      Map.ofEntries(
          Map.entry("-A", "ISO-8859-1"),
          Map.entry("-B", "ISO-8859-2"),
          Map.entry("-C", "ISO-8859-3"),
          Map.entry("-D", "ISO-8859-4"),
          Map.entry("-L", "ISO-8859-5"),
          Map.entry("-G", "ISO-8859-6"),
          Map.entry("-F", "ISO-8859-7"),
          Map.entry("-H", "ISO-8859-8"),
          Map.entry("-M", "ISO-8859-9"),
          Map.entry("-b", "ISO-8859-15"),
          Map.entry("-T", "TIS-620"),
          Map.entry("(J", "JIS_X0201"),
          Map.entry(")I", "JIS_X0201"),
          Map.entry("$)C", "EUC-KR"),
          Map.entry("$)A", "GB2312"));

  /** Sets of two bytes of 7 bits, which a decoder knows by the escape alone. */
  private static final List<String> JAPANESE = List.of("$B", "$(D");

  private final String terms;
  private final Optional<Charset> first;

  private DicomCharset(String terms, Optional<Charset> first) {
    this.terms = terms;
    this.first = first;
  }

  static DicomCharset of(DicomDataSet set) {
    List<String> terms = set.texts(DicomTag.CHARACTER_SET);
    String first = terms.isEmpty() ? "" : terms.get(0).strip();
    Matcher numbered = NUMBERED.matcher(first);
    // Without a term it is ASCII; what other programs put there nevertheless is mostly Latin.
    String key = first.isEmpty() ? "100" : numbered.matches() ? numbered.group(1) : first;
    return new DicomCharset(
        String.join("\\", terms), Optional.ofNullable(SETS.get(key)).flatMap(DicomCharset::named));
  }

  private static Optional<Charset> named(String name) {
    return Charset.isSupported(name) ? Optional.of(Charset.forName(name)) : Optional.empty();
  }

  /**
   * @throws ImageException if it has other characters than those of ASCII, in a set that is not
   *     known
   */
  String decode(byte[] bytes) {
    String latin = new String(bytes, StandardCharsets.ISO_8859_1);
    int escape = latin.indexOf(ESCAPE);
    if (escape < 0) {
      return plain(bytes, latin);
    }
    StringBuilder text = new StringBuilder(part(latin.substring(0, escape)));
    while (escape >= 0) {
      int next = latin.indexOf(ESCAPE, escape + 1);
      String part = latin.substring(escape + 1, next < 0 ? latin.length() : next);
      text.append(switched(part));
      escape = next;
    }
    return text.toString();
  }

  private String part(String latin) {
    return plain(latin.getBytes(StandardCharsets.ISO_8859_1), latin);
  }

  private String plain(byte[] bytes, String latin) {
    if (latin.chars().allMatch(c -> c < 0x80)) {
      return latin;
    }
    return new String(bytes, first.orElseThrow(() -> unknown(terms)));
  }

  private String switched(String part) {
    if (part.startsWith("(B")) {
      return part(part.substring(2));
    }
    for (String code : JAPANESE) {
      if (part.startsWith(code)) {
        Charset set = named("ISO-2022-JP-2").orElseThrow(() -> unknown("ISO-2022-JP-2"));
        return new String((ESCAPE + part).getBytes(StandardCharsets.ISO_8859_1), set);
      }
    }
    for (Map.Entry<String, String> escape : ESCAPES.entrySet()) {
      if (part.startsWith(escape.getKey())) {
        Charset set = named(escape.getValue()).orElseThrow(() -> unknown(escape.getValue()));
        byte[] rest =
            part.substring(escape.getKey().length()).getBytes(StandardCharsets.ISO_8859_1);
        return new String(rest, set);
      }
    }
    throw unknown(terms + ", escape " + part.substring(0, Math.min(3, part.length())));
  }

  private static ImageException unknown(String what) {
    return new ImageException(
        ("The DICOM file's texts are in the character set '%s', which is not known here; those of"
                + " PS3.3, C.12.1.1.2 are. Without diffusion.image.patient-data, texts are not"
                + " needed")
            .formatted(what));
  }
}
