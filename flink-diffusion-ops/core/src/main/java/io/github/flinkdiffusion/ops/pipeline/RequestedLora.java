/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * One LoRA of {@link Parameters#LORAS}: {@code name}, {@code name:scale} or {@code
 * name:scale@digest}.
 *
 * @param scale how much of it, from -100 to 100
 * @param digest SHA-256 of its file, hexadecimal; empty takes the file as it is
 */
record RequestedLora(String name, double scale, Optional<String> digest) {
  /** Most of one request. */
  static final int MOST = 8;

  /** Of a scale, in either direction. */
  private static final int GREATEST = 100;

  static final String ACCEPTED =
      "one to "
          + MOST
          + " different names with scales from -"
          + GREATEST
          + " to "
          + GREATEST
          + ", such as style:0.8,face:-0.3";

  private static final Pattern ONE =
      Pattern.compile("(" + AdapterSettings.NAME + ")(?::([-+.0-9eE]{1,32}))?(?:@([0-9a-f]{64}))?");

  static boolean isValid(String text) {
    try {
      parse(text);
      return true;
    } catch (InvalidRequestException e) {
      return false;
    }
  }

  /** Those of a request; none where it has none. */
  static List<RequestedLora> of(GenerationRequest request) {
    String text = request.get(Parameters.LORAS);
    return text == null ? List.of() : parse(text);
  }

  /**
   * @throws InvalidRequestException for anything else
   */
  static List<RequestedLora> parse(String text) {
    List<RequestedLora> all = new ArrayList<>();
    Set<String> names = new HashSet<>();
    for (String part : text.split(",", MOST + 1)) {
      Matcher matcher = ONE.matcher(part.strip());
      if (!matcher.matches() || !names.add(matcher.group(1))) {
        throw refused(text);
      }
      all.add(
          new RequestedLora(
              matcher.group(1),
              scale(matcher.group(2), text),
              Optional.ofNullable(matcher.group(3))));
    }
    if (all.size() > MOST) {
      throw refused(text);
    }
    return all;
  }

  private static double scale(String scale, String text) {
    if (scale == null) {
      return 1;
    }
    try {
      double value = Double.parseDouble(scale);
      if (Math.abs(value) <= GREATEST) {
        return value;
      }
    } catch (NumberFormatException e) {
      // As if it were too great.
    }
    throw refused(text);
  }

  private static InvalidRequestException refused(String text) {
    return new InvalidRequestException(
        "loras is '%s'; it must be %s.".formatted(Parameter.shown(text), ACCEPTED));
  }

  RequestedLora withDigest(String known) {
    return new RequestedLora(name, scale, Optional.of(known));
  }

  static String format(List<RequestedLora> loras) {
    return loras.stream()
        .map(each -> each.name + ":" + each.scale + each.digest.map(own -> "@" + own).orElse(""))
        .collect(Collectors.joining(","));
  }
}
