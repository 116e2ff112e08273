/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.annotation.Internal;

/**
 * Named tensors, read-only. Implementations may be read by several threads at once. A name that is
 * not there is a {@link WeightsException} that says where it was looked for; after {@link #close()}
 * every read fails.
 */
@Internal
public interface TensorStore extends AutoCloseable {

  /** The names of all tensors, in the order in which reading them is fastest. */
  Set<String> names();

  /** Type and shape of one tensor. */
  TensorInfo info(String name);

  /**
   * The elements of one tensor as they are stored: little-endian, in C order, read-only, as few
   * buffers as possible. No element is split over two buffers. Nothing is copied where the store is
   * a memory-mapped file.
   */
  List<ByteBuffer> data(String name);

  /**
   * A range of a tensor's elements, as {@link #data(String)} has them. Where elements are computed
   * when they are read, computes few others.
   *
   * @param first index of the first element, in C order
   * @param elements how many
   */
  default List<ByteBuffer> data(String name, long first, long elements) {
    int bytes = info(name).dtype().bytes();
    return TensorReads.range(data(name), first * bytes, elements * bytes);
  }

  /**
   * Where the bytes that {@link #data} gives lie in a file; empty if they do in none, because they
   * are computed when they are read or are on the heap.
   */
  default Optional<TensorPlace> place(String name) {
    return Optional.empty();
  }

  /**
   * Looks whether the files are, under their names, still those that were opened.
   *
   * @throws WeightsException naming one that was replaced or written to
   */
  default void requireUnchanged() {}

  /**
   * Whether all elements of a tensor are known to be finite: false if one is not, and if nothing is
   * known. The first question about a file reads all of it, with its digest.
   *
   * @throws WeightsException if a file has changed since it was opened
   */
  default boolean isKnownFinite(String name) {
    return false;
  }

  /** Where the tensors come from, for messages: a path, mostly. */
  String source();

  /**
   * 64 hexadecimal digits that stand for all names, dtypes, shapes and elements: two stores with
   * the same digest hold the same tensors. That of a file is computed from its bytes, which takes a
   * second or so for each gigabyte, the first time; that of a view from what it shows and how,
   * without computing any element.
   *
   * @throws WeightsException if a file has changed since it was opened
   */
  String digest();

  /** Frees what the store holds; never fails. */
  @Override
  void close();

  default boolean contains(String name) {
    return names().contains(name);
  }

  /**
   * All elements of a floating-point tensor.
   *
   * @throws WeightsException if it is not floating-point or has more elements than a Java array can
   */
  default float[] floats(String name) {
    return TensorReads.floats(this, name);
  }

  /**
   * All elements of an integer or boolean tensor.
   *
   * @throws WeightsException if it is floating-point or has more elements than a Java array can
   */
  default long[] longs(String name) {
    return TensorReads.longs(this, name);
  }

  /** Writes a tensor's bytes as they are stored. */
  default void writeTo(String name, WritableByteChannel out) throws IOException {
    writeTo(name, info(name).dtype(), out);
  }

  /**
   * Writes a tensor's elements as {@code dtype}: unchanged if it is stored so, else converted
   * between floating-point types in chunks of bounded size.
   *
   * @throws WeightsException if one of the types is not floating-point, or if a finite element
   *     would become infinite (say 70000 as F16): a model loaded so would make no picture
   */
  default void writeTo(String name, DType dtype, WritableByteChannel out) throws IOException {
    TensorReads.write(this, name, dtype, out);
  }

  /**
   * As {@link #writeTo(String, DType, WritableByteChannel)}; the stream is neither flushed nor
   * closed.
   */
  default void writeTo(String name, DType dtype, OutputStream out) throws IOException {
    writeTo(name, dtype, new TensorReads.StreamChannel(out));
  }

  /**
   * As {@link #writeTo(String, DType, OutputStream)}, refusing elements that are not finite.
   *
   * @throws WeightsException also for a NaN or an infinite element, naming it
   */
  default void writeFiniteTo(String name, DType dtype, OutputStream out) throws IOException {
    TensorInfo written = TensorInfo.of(name, dtype, info(name).shape());
    writeTo(name, dtype, new FiniteChannel(new TensorReads.StreamChannel(out), source(), written));
  }
}
