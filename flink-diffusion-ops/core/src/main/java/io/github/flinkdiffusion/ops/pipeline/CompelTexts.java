/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.prompt.CompelChunks;
import io.github.flinkdiffusion.ops.prompt.CompelPrompt;
import io.github.flinkdiffusion.ops.prompt.PromptChunks;
import io.github.flinkdiffusion.ops.prompt.WeightedText;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * A prompt in Compel's language: what a text encoder is to encode, and what becomes of it. A weight
 * moves a token's state away from that of an empty text. For a text of less weight than 1, the
 * whole is mixed with an encoding that does not see that text.
 */
final class CompelTexts {
  private static final double LEAST = 1e-5;

  /**
   * One row of the text encoder.
   *
   * @param hidden tokens that no other one sees; empty for none
   */
  @SuppressWarnings("ArrayRecordComponent")
  record TokenRow(int[] ids, Optional<boolean[]> hidden) {
    static TokenRow of(int[] ids) {
      return new TokenRow(ids, Optional.empty());
    }
  }

  /**
   * An encoding of a text.
   *
   * @param first of its rows, one for each chunk
   * @param share of it among those of the text
   */
  private record Variant(int first, double share) {}

  private record Text(List<PromptChunks.Chunk> chunks, List<Variant> variants) {}

  private final CompelPrompt prompt;
  private final List<TokenRow> rows = new ArrayList<>();

  /** In the order of the prompt's. */
  private final List<Text> texts = new ArrayList<>();

  /**
   * @param pooled whether the state of the text's end is asked for, which is that of the prompt as
   *     it is written
   * @throws io.github.flinkdiffusion.ops.prompt.PromptSyntaxException for what cannot be read
   */
  CompelTexts(ClipTokenizer tokenizer, String text, boolean pooled) {
    this.prompt = CompelPrompt.parse(text);
    rows.add(TokenRow.of(tokenizer.encode("").ids()));
    if (pooled) {
      rows.add(TokenRow.of(tokenizer.encode(text).ids()));
    }
    for (CompelPrompt.Part part : prompt.parts()) {
      for (List<WeightedText> weighted : part.texts()) {
        add(tokenizer, weighted);
      }
    }
  }

  private void add(ClipTokenizer tokenizer, List<WeightedText> weighted) {
    CompelChunks cut = CompelChunks.of(tokenizer, weighted);
    int length = tokenizer.maxLength();
    List<Variant> variants = new ArrayList<>();
    variants.add(new Variant(rows.size(), 1));
    cut.chunks().forEach(chunk -> rows.add(TokenRow.of(chunk.ids())));
    for (int i = 0; i < weighted.size(); i++) {
      double weight = weighted.get(i).weight();
      Optional<CompelChunks.Place> place = cut.places().get(i);
      if (weight < 1 && place.isPresent()) {
        variants.add(
            new Variant(rows.size(), Math.tan((1 - Math.max(LEAST, weight)) * Math.PI / 2)));
        for (int chunk = 0; chunk < cut.chunks().size(); chunk++) {
          boolean[] hidden = new boolean[length];
          // A chunk's first and last token stay.
          for (int token = 1; token < length - 1; token++) {
            int at = chunk * length + token;
            hidden[token] = at >= place.get().first() && at <= place.get().last();
          }
          rows.add(new TokenRow(cut.chunks().get(chunk).ids(), Optional.of(hidden)));
        }
      }
    }
    texts.add(new Text(cut.chunks(), variants));
  }

  List<TokenRow> rows() {
    return rows;
  }

  boolean hides() {
    return rows.stream().anyMatch(row -> row.hidden().isPresent());
  }

  /** Chunks of the encoding. */
  int chunks() {
    int chunks = 0;
    int text = 0;
    for (CompelPrompt.Part part : prompt.parts()) {
      int longest = 0;
      for (int i = 0; i < part.texts().size(); i++) {
        longest = Math.max(longest, texts.get(text++).chunks().size());
      }
      chunks += longest;
    }
    return chunks;
  }

  /**
   * @param states of each of the rows
   * @param pooled of the second one; nothing where it is not asked for
   */
  PromptEncoding encoding(List<float[]> states, float[] pooled) {
    float[] empty = states.get(0);
    List<float[]> parts = new ArrayList<>();
    int text = 0;
    for (CompelPrompt.Part part : prompt.parts()) {
      List<float[]> blended = new ArrayList<>();
      for (int i = 0; i < part.texts().size(); i++) {
        blended.add(mixed(texts.get(text++), states, empty));
      }
      parts.add(weighted(blend(part, blended, empty), part.weight(), empty));
    }
    int size = parts.stream().mapToInt(part -> part.length).sum();
    float[] all = new float[size];
    int at = 0;
    for (float[] part : parts) {
      System.arraycopy(part, 0, all, at, part.length);
      at += part.length;
    }
    return new PromptEncoding(all, pooled, false);
  }

  private static float[] mixed(Text text, List<float[]> states, float[] empty) {
    int size = empty.length;
    double sum = text.variants().stream().mapToDouble(Variant::share).sum();
    float[] mixed = new float[text.chunks().size() * size];
    for (Variant variant : text.variants()) {
      float share = (float) (variant.share() / sum);
      for (int chunk = 0; chunk < text.chunks().size(); chunk++) {
        float[] own = states.get(variant.first() + chunk);
        double[] weights = text.chunks().get(chunk).weights();
        int hiddenSize = size / weights.length;
        for (int i = 0; i < size; i++) {
          float weight = (float) weights[i / hiddenSize];
          float value = weight == 1 ? own[i] : empty[i] + (own[i] - empty[i]) * weight;
          mixed[chunk * size + i] += share * value;
        }
      }
    }
    return mixed;
  }

  private static float[] blend(CompelPrompt.Part part, List<float[]> texts, float[] empty) {
    if (texts.size() == 1 && part.normalized()) {
      return texts.get(0);
    }
    int longest = texts.stream().mapToInt(each -> each.length).max().orElseThrow();
    double sum =
        part.normalized() ? part.shares().stream().mapToDouble(Double::doubleValue).sum() : 1;
    float[] all = new float[longest];
    for (int i = 0; i < texts.size(); i++) {
      float share = (float) (part.shares().get(i) / sum);
      float[] own = new PromptEncoding(texts.get(i), empty, false).filledUp(longest, empty);
      for (int j = 0; j < longest; j++) {
        all[j] += share * own[j];
      }
    }
    return all;
  }

  private static float[] weighted(float[] states, double weight, float[] empty) {
    if (weight == 1) {
      return states;
    }
    float[] all = Arrays.copyOf(states, states.length);
    for (int i = 0; i < all.length; i++) {
      float none = empty[i % empty.length];
      all[i] = none + (all[i] - none) * (float) weight;
    }
    return all;
  }
}
