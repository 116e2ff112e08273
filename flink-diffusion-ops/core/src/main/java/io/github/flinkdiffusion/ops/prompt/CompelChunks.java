/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer.TextTokens;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * Weighted texts as tokens of several encodings, as Compel cuts them ({@code
 * SplitLongTextMode.SENTENCES}): behind the last full stop that fits, else behind the last
 * punctuation mark, else behind the last word.
 *
 * @param chunks at least one
 * @param places of each text's tokens among those of all chunks; empty for a text without
 */
@Internal
public record CompelChunks(List<PromptChunks.Chunk> chunks, List<Optional<Place>> places) {
  /** From the first token to the last one, counted over all chunks. */
  public record Place(int first, int last) {}

  public CompelChunks {
    chunks = List.copyOf(chunks);
    places = List.copyOf(places);
  }

  /**
   * @throws PromptSyntaxException if there are more than sixteen chunks
   */
  public static CompelChunks of(ClipTokenizer tokenizer, List<WeightedText> texts) {
    List<TextTokens> tokens = texts.stream().map(text -> tokenizer.words(text.text())).toList();
    int size = tokens.stream().mapToInt(each -> each.ids().length).sum();
    int[] ids = new int[size];
    double[] weights = new double[size];
    boolean[] ends = new boolean[size];
    int at = 0;
    for (int i = 0; i < texts.size(); i++) {
      int[] own = tokens.get(i).ids();
      System.arraycopy(own, 0, ids, at, own.length);
      System.arraycopy(tokens.get(i).endsWord(), 0, ends, at, own.length);
      Arrays.fill(weights, at, at + own.length, texts.get(i).weight());
      at += own.length;
    }
    int length = tokenizer.maxLength();
    int room = length - 2;
    int[] positions = new int[size];
    List<PromptChunks.Chunk> chunks = new ArrayList<>();
    int first = 0;
    do {
      if (chunks.size() == PromptChunks.MOST) {
        throw new PromptSyntaxException(
            "The prompt has more than %d chunks of %d tokens; shorten it."
                .formatted(PromptChunks.MOST, room));
      }
      int end = size - first <= room ? size : first + cut(tokenizer, ids, ends, first, room);
      chunks.add(PromptChunks.chunk(tokenizer, ids, weights, first, end));
      for (int i = first; i < end; i++) {
        positions[i] = (chunks.size() - 1) * length + 1 + i - first;
      }
      first = end;
    } while (first < size);
    List<Optional<Place>> places = new ArrayList<>();
    at = 0;
    for (TextTokens each : tokens) {
      int last = at + each.ids().length - 1;
      places.add(
          last < at ? Optional.empty() : Optional.of(new Place(positions[at], positions[last])));
      at = last + 1;
    }
    return new CompelChunks(chunks, places);
  }

  private static int cut(ClipTokenizer tokenizer, int[] ids, boolean[] ends, int first, int room) {
    for (List<String> marks : List.of(List.of("."), List.of(".", ",", ";", ":"))) {
      int[] cuts =
          marks.stream()
              .map(tokenizer::tokens)
              .filter(each -> each.length == 1)
              .mapToInt(each -> each[0])
              .toArray();
      for (int i = room; i > 0; i--) {
        int id = ids[first + i - 1];
        if (Arrays.stream(cuts).anyMatch(each -> each == id)) {
          return i;
        }
      }
    }
    for (int i = room; i > 0; i--) {
      if (ends[first + i - 1]) {
        return i;
      }
    }
    return room;
  }
}
