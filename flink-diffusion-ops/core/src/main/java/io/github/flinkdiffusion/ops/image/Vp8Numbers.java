/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The tables of the VP8 standard (RFC 6386), from the resource {@code vp8-numbers.txt}. None is
 * changed: callers copy what a frame changes.
 */
final class Vp8Numbers {
  private static final String RESOURCE = "vp8-numbers.txt";

  /** Of 4 types x 8 bands x 3 contexts x 11. */
  static final int[] COEFFICIENTS;

  /** With which a frame changes each of {@link #COEFFICIENTS}. */
  static final int[] UPDATES;

  /** Of 10 modes above x 10 modes to the left x 9. */
  static final int[] SUBBLOCK_MODES;

  /** Quantization steps by index, of the first coefficient and of the others. */
  static final int[] DC_STEPS;

  static final int[] AC_STEPS;

  static {
    Map<String, List<Integer>> tables = read();
    COEFFICIENTS = table(tables, "coefficients", 4 * 8 * 3 * 11);
    UPDATES = table(tables, "updates", 4 * 8 * 3 * 11);
    SUBBLOCK_MODES = table(tables, "subblock modes", 10 * 10 * 9);
    DC_STEPS = table(tables, "dc steps", 128);
    AC_STEPS = table(tables, "ac steps", 128);
  }

  private Vp8Numbers() {}

  private static Map<String, List<Integer>> read() {
    Map<String, List<Integer>> tables = new LinkedHashMap<>();
    try (InputStream in = Vp8Numbers.class.getResourceAsStream(RESOURCE);
        BufferedReader lines =
            new BufferedReader(new InputStreamReader(in, StandardCharsets.US_ASCII))) {
      List<Integer> table = new ArrayList<>();
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.startsWith("#")) {
          table = new ArrayList<>();
          tables.put(line.substring(1).split(":")[0].strip(), table);
        } else {
          for (String number : line.split(" ")) {
            table.add(Integer.parseInt(number));
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read the resource " + RESOURCE, e);
    }
    return tables;
  }

  private static int[] table(Map<String, List<Integer>> tables, String name, int size) {
    int[] table = tables.getOrDefault(name, List.of()).stream().mapToInt(i -> i).toArray();
    if (table.length != size) {
      throw new IllegalStateException(
          "The resource %s has %d %s, not %d".formatted(RESOURCE, table.length, name, size));
    }
    return table;
  }
}
