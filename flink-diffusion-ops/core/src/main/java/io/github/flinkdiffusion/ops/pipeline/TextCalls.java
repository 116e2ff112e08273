/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;

/**
 * Calls of a network that writes texts and keeps what it has read of them: some rows are read as a
 * whole, the others go on by one token.
 *
 * @param vocabulary scores of a row
 * @param keptSize numbers that are kept of a token
 */
record TextCalls(int vocabulary, int keptSize) {
  /** Characters of a token, of which longer texts than any tokens are refused before encoding. */
  private static final long MOST_CHARACTERS = 64;

  /**
   * The last tokens of texts that go on, and what is kept of those before.
   *
   * @param ids [rows, 1]
   * @param kept [rows, longest, keptSize]
   * @param lengths of what is kept
   */
  record Last(HostTensor.Longs ids, HostTensor.Floats kept, HostTensor.Floats lengths) {}

  /**
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a tokenizer with tokens
   *     that the network does not have; a GPU would not survive the embedding of such a token
   */
  static void requireVocabulary(Config config, int network, int tokenizer) {
    if (tokenizer > network) {
      throw config.unsupported("vocab_size", network, "at least the tokenizer's, " + tokenizer);
    }
  }

  /**
   * @param text may be null
   * @throws InvalidRequestException for one that is certainly longer than a number of tokens
   */
  static void requireLength(String text, int mostTokens) {
    if (text != null && text.length() > MOST_CHARACTERS * mostTokens) {
      throw new InvalidRequestException(
          "The prompt has %d characters; at most %d tokens are accepted."
              .formatted(text.length(), mostTokens));
    }
  }

  /**
   * Calls the network.
   *
   * @param calls numbers of the rows that share one: all of a call are read as a whole, or none
   * @param whole reads texts; its result has for each row the scores, then what is kept
   * @param last reads the last tokens of texts, likewise
   */
  TextTask.Next next(
      List<TextTask.Row> rows,
      List<List<Integer>> calls,
      Function<List<TextTask.Row>, HostTensor.Floats> whole,
      Function<List<TextTask.Row>, HostTensor.Floats> last) {
    float[] scores = new float[rows.size() * vocabulary];
    ReadTokens[] read = new ReadTokens[rows.size()];
    for (List<Integer> places : calls) {
      List<TextTask.Row> some = places.stream().map(rows::get).toList();
      boolean all = some.get(0).read() == null;
      HostTensor.Floats result = (all ? whole : last).apply(some);
      int width = (int) result.shape()[1];
      for (int i = 0; i < places.size(); i++) {
        int at = i * width;
        System.arraycopy(result.data(), at, scores, places.get(i) * vocabulary, vocabulary);
        int count = all ? some.get(i).tokens().length : 1;
        // Without the call's result, which has the scores and the other rows.
        float[] values =
            Arrays.copyOfRange(result.data(), at + vocabulary, at + vocabulary + count * keptSize);
        read[places.get(i)] = new ReadTokens(some.get(i).read(), values, count);
      }
    }
    return new TextTask.Next(new HostTensor.Floats(scores, rows.size(), vocabulary), List.of(read));
  }

  /** Of rows that are not read as a whole. */
  Last last(List<TextTask.Row> rows) {
    int longest = rows.stream().mapToInt(row -> row.read().length()).max().orElseThrow();
    long[] ids = new long[rows.size()];
    float[] kept = new float[rows.size() * longest * keptSize];
    float[] lengths = new float[rows.size()];
    for (int i = 0; i < rows.size(); i++) {
      TextTask.Row row = rows.get(i);
      ids[i] = row.tokens()[row.tokens().length - 1];
      row.read().copyTo(kept, i * longest * keptSize, keptSize);
      lengths[i] = row.read().length();
    }
    return new Last(
        new HostTensor.Longs(ids, rows.size(), 1),
        new HostTensor.Floats(kept, rows.size(), longest, keptSize),
        new HostTensor.Floats(lengths, rows.size()));
  }
}
