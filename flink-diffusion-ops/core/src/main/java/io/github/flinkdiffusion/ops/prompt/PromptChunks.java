/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * Weighted texts as tokens of several encodings, as AUTOMATIC1111's web UI cuts them ({@code
 * tokenize_line} of {@code FrozenCLIPEmbedderWithCustomWords}): as many tokens in each as fit, but
 * if a comma is among the last twenty, what is behind it goes into the next.
 */
@Internal
public final class PromptChunks {
  /** Each is 77 tokens of every row. */
  static final int MOST = 16;

  /** The web UI's option comma_padding_backtrack. */
  private static final int BACKTRACK = 20;

  /**
   * One encoding's tokens.
   *
   * @param ids start, the texts' tokens, end, padding. Not to be changed
   * @param weights of each. Not to be changed
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Chunk(int[] ids, double[] weights) {}

  private final ClipTokenizer tokenizer;
  private final int room;
  private final int comma;
  private final List<Chunk> chunks = new ArrayList<>();
  private final List<Integer> ids = new ArrayList<>();
  private final List<Double> weights = new ArrayList<>();
  private int lastComma = -1;

  private PromptChunks(ClipTokenizer tokenizer) {
    this.tokenizer = tokenizer;
    this.room = tokenizer.maxLength() - 2;
    int[] tokens = tokenizer.tokens(",");
    this.comma = tokens.length == 1 ? tokens[0] : -1;
  }

  /**
   * The encodings of a prompt.
   *
   * @param prompt of {@link Attention#parse}
   * @return at least one
   * @throws PromptSyntaxException if there are more than sixteen
   */
  public static List<Chunk> of(ClipTokenizer tokenizer, List<WeightedText> prompt) {
    PromptChunks chunks = new PromptChunks(tokenizer);
    for (WeightedText part : prompt) {
      if (Attention.isBreak(part)) {
        chunks.end();
      } else {
        for (int id : tokenizer.tokens(part.text())) {
          chunks.add(id, part.weight());
        }
      }
    }
    if (!chunks.ids.isEmpty() || chunks.chunks.isEmpty()) {
      chunks.end();
    }
    return List.copyOf(chunks.chunks);
  }

  private void add(int id, double weight) {
    if (id == comma) {
      lastComma = ids.size();
    } else if (ids.size() == room && lastComma != -1 && ids.size() - lastComma <= BACKTRACK) {
      List<Integer> movedIds = ids.subList(lastComma + 1, ids.size());
      List<Double> movedWeights = weights.subList(lastComma + 1, weights.size());
      List<Integer> nextIds = List.copyOf(movedIds);
      List<Double> nextWeights = List.copyOf(movedWeights);
      movedIds.clear();
      movedWeights.clear();
      end();
      ids.addAll(nextIds);
      weights.addAll(nextWeights);
    }
    if (ids.size() == room) {
      end();
    }
    ids.add(id);
    weights.add(weight);
  }

  private void end() {
    if (chunks.size() == MOST) {
      throw new PromptSyntaxException(
          "The prompt has more than %d tokens in its %d chunks; shorten it, or use BREAK less often."
              .formatted(MOST * room, MOST));
    }
    chunks.add(
        chunk(
            tokenizer,
            ids.stream().mapToInt(Integer::intValue).toArray(),
            weights.stream().mapToDouble(Double::doubleValue).toArray(),
            0,
            ids.size()));
    ids.clear();
    weights.clear();
    lastComma = -1;
  }

  /** The encoding of some of a text's tokens. */
  static Chunk chunk(ClipTokenizer tokenizer, int[] ids, double[] weights, int first, int end) {
    int[] all = new int[tokenizer.maxLength()];
    double[] factors = new double[all.length];
    Arrays.fill(all, tokenizer.padding());
    Arrays.fill(factors, 1);
    all[0] = tokenizer.start();
    System.arraycopy(ids, first, all, 1, end - first);
    System.arraycopy(weights, first, factors, 1, end - first);
    all[end - first + 1] = tokenizer.end();
    return new Chunk(all, factors);
  }
}
