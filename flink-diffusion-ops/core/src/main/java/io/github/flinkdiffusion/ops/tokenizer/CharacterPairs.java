/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * Byte pair encoding of a whole text from its characters, as Gemma has it. A character that the
 * vocabulary lacks is its bytes ({@code <0x0A>}), and without tokens for these the unknown token,
 * once for several in a row.
 */
final class CharacterPairs implements SectionEncoder {
  private final Map<String, Integer> vocabulary;
  private final Merges merges;
  private final int unknown;

  CharacterPairs(
      String source, Map<String, Integer> vocabulary, List<String[]> merges, int unknown) {
    this.vocabulary = vocabulary;
    this.merges = new Merges(source, vocabulary, merges);
    this.unknown = unknown;
  }

  @Override
  public void encode(String text, IntConsumer taker) {
    int[] ids = new int[4 * text.length()];
    int count = 0;
    boolean pending = false;
    for (int at = 0; at < text.length(); ) {
      int end = at + Character.charCount(text.codePointAt(at));
      String character = text.substring(at, end);
      at = end;
      Integer id = vocabulary.get(character);
      if (id != null) {
        if (pending) {
          ids[count++] = unknown;
          pending = false;
        }
        ids[count++] = id;
        continue;
      }
      List<Integer> bytes = bytes(character);
      if (bytes.isEmpty()) {
        pending = true;
      }
      // An unknown token before is written after them, as in the reference.
      for (int each : bytes) {
        ids[count++] = each;
      }
    }
    if (pending) {
      ids[count++] = unknown;
    }
    if (count > 0) {
      for (int id : merges.join(Arrays.copyOf(ids, count))) {
        taker.accept(id);
      }
    }
  }

  /** Empty unless there is a token for each byte. */
  private List<Integer> bytes(String character) {
    List<Integer> ids = new ArrayList<>();
    for (byte b : character.getBytes(StandardCharsets.UTF_8)) {
      Integer id = vocabulary.get("<0x%02X>".formatted(b & 0xFF));
      if (id == null) {
        return List.of();
      }
      ids.add(id);
    }
    return ids;
  }
}
