/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * A network's tensors with LoRAs added, in float32 whatever the file's type. A tensor is computed
 * when it is read, and the last one is kept, since archives read each one twice: the heap holds one
 * tensor and its factors, never the model.
 */
final class MergedTensors implements TensorStore {
  /** A LoRA's change to one tensor. */
  record Term(LoraFile file, LoraFile.Change change) {
    double factor() {
      return file.lora().scale() * change.alphaOverRank();
    }
  }

  private record Computed(String name, ByteBuffer data) {}

  private final TensorStore store;
  private final Map<String, List<Term>> terms = new LinkedHashMap<>();
  private volatile Computed last;

  /**
   * @param store the network's own tensors; closed with this
   */
  MergedTensors(TensorStore store, List<Term> all) {
    this.store = store;
    all.forEach(
        term -> terms.computeIfAbsent(term.change.weight(), w -> new ArrayList<>()).add(term));
  }

  @Override
  public Set<String> names() {
    return store.names();
  }

  @Override
  public TensorInfo info(String name) {
    TensorInfo info = store.info(name);
    return terms.containsKey(name) ? TensorInfo.of(name, DType.F32, info.shape()) : info;
  }

  @Override
  public List<ByteBuffer> data(String name) {
    if (!terms.containsKey(name)) {
      return store.data(name);
    }
    Computed computed = last;
    if (computed == null || !computed.name.equals(name)) {
      computed = new Computed(name, merge(name));
      last = computed;
    }
    return List.of(computed.data.duplicate().order(ByteOrder.LITTLE_ENDIAN));
  }

  @Override
  public Optional<TensorPlace> place(String name) {
    return terms.containsKey(name) ? Optional.empty() : store.place(name);
  }

  private ByteBuffer merge(String name) {
    float[] weight = store.floats(name);
    int rows = (int) store.info(name).shape()[0];
    int columns = weight.length / rows;
    for (Term term : terms.get(name)) {
      float[] down = term.file.tensors().floats(term.change.down());
      float[] up = term.file.tensors().floats(term.change.up());
      int rank = down.length / columns;
      float factor = (float) term.factor();
      int upRows = up.length / rank;
      int firstRow = term.change.firstRow();
      float[] magnitudes = term.change.magnitude().map(term.file.tensors()::floats).orElse(null);
      // Each row by itself, so that the sum's order does not depend on the threads.
      IntStream.range(0, rows)
          .parallel()
          .forEach(
              row -> {
                int upRow = (firstRow + row) % upRows;
                addRow(weight, row, columns, up, upRow, down, rank, factor);
                if (magnitudes != null) {
                  stretchRow(weight, row, columns, magnitudes[upRow]);
                }
              });
    }
    ByteBuffer data =
        ByteBuffer.allocate(Math.multiplyExact(weight.length, Float.BYTES))
            .order(ByteOrder.LITTLE_ENDIAN);
    data.asFloatBuffer().put(weight);
    return data.asReadOnlyBuffer();
  }

  private static void addRow(
      float[] weight,
      int row,
      int columns,
      float[] up,
      int upRow,
      float[] down,
      int rank,
      float factor) {
    float[] change = new float[columns];
    for (int r = 0; r < rank; r++) {
      float share = up[upRow * rank + r];
      for (int column = 0, at = r * columns; column < columns; column++, at++) {
        change[column] += share * down[at];
      }
    }
    for (int column = 0, at = row * columns; column < columns; column++, at++) {
      weight[at] += factor * change[column];
    }
  }

  /** To a length, as PEFT merges a DoRA: the scale of an adapter is in the sum alone. */
  private static void stretchRow(float[] weight, int row, int columns, float length) {
    double squares = 0;
    for (int column = 0, at = row * columns; column < columns; column++, at++) {
      squares += (double) weight[at] * weight[at];
    }
    double factor = length / Math.sqrt(squares);
    for (int column = 0, at = row * columns; column < columns; column++, at++) {
      weight[at] = (float) (factor * weight[at]);
    }
  }

  @Override
  public void requireUnchanged() {
    store.requireUnchanged();
  }

  @Override
  public boolean isKnownFinite(String name) {
    return !terms.containsKey(name) && store.isKnownFinite(name);
  }

  @Override
  public String source() {
    return store.source();
  }

  @Override
  public String digest() {
    Sha256 sha256 = new Sha256().add(store.digest());
    terms.forEach(
        (name, all) -> {
          sha256.add(name);
          for (Term term : all) {
            sha256
                .add(term.file.tensors().digest())
                .add(term.change.down())
                .add(term.change.up())
                .add(term.change.magnitude().orElse(""))
                .add(Double.toHexString(term.factor()))
                .add(term.change.firstRow() == 0 ? "" : " from row " + term.change.firstRow());
          }
        });
    return sha256.hex();
  }

  @Override
  public void close() {
    last = null;
    store.close();
  }
}
