/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import java.util.List;
import java.util.stream.IntStream;

/** Texts of a call, the shorter ones filled up with token 0. */
record PaddedTokens(List<int[]> texts, int longest) {
  static PaddedTokens of(List<int[]> texts) {
    return new PaddedTokens(
        texts, texts.stream().mapToInt(text -> text.length).max().orElseThrow());
  }

  HostTensor.Longs ids() {
    long[] ids = new long[texts.size() * longest];
    for (int i = 0; i < texts.size(); i++) {
      for (int j = 0; j < texts.get(i).length; j++) {
        ids[i * longest + j] = texts.get(i)[j];
      }
    }
    return new HostTensor.Longs(ids, texts.size(), longest);
  }

  HostTensor.Longs positions() {
    return new HostTensor.Longs(
        IntStream.range(0, texts.size() * longest).mapToLong(i -> i % longest).toArray(),
        texts.size(),
        longest);
  }

  HostTensor.Longs last() {
    return new HostTensor.Longs(
        texts.stream().mapToLong(text -> text.length - 1).toArray(), texts.size());
  }

  HostTensor.Floats lengths() {
    float[] lengths = new float[texts.size()];
    for (int i = 0; i < lengths.length; i++) {
      lengths[i] = texts.get(i).length;
    }
    return new HostTensor.Floats(lengths, lengths.length);
  }
}
