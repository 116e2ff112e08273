/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.util.Arrays;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * What a tensor is, without its elements.
 *
 * @param name its key in the weights file
 * @param dtype the type of its elements
 * @param shape its dimensions, outermost first; empty for a scalar. A copy is handed out
 * @param byteLength the product of the shape times the bytes of one element
 */
@Internal
public record TensorInfo(String name, DType dtype, long[] shape, long byteLength) {

  public TensorInfo {
    Objects.requireNonNull(name, "name");
    Objects.requireNonNull(dtype, "dtype");
    shape = shape.clone();
    long expected = byteLength(name, dtype, shape);
    if (byteLength != expected) {
      throw new WeightsException(
          "Tensor '%s': %s%s takes %d bytes, not %d"
              .formatted(name, dtype, Arrays.toString(shape), expected, byteLength));
    }
  }

  /** The same with the byte length computed from dtype and shape. */
  public static TensorInfo of(String name, DType dtype, long... shape) {
    return new TensorInfo(name, dtype, shape, byteLength(name, dtype, shape));
  }

  /** The number of elements; 1 for a scalar. */
  public long elements() {
    return byteLength / dtype.bytes();
  }

  @Override
  public long[] shape() {
    return shape.clone();
  }

  /** The same tensor under another name. */
  public TensorInfo withName(String newName) {
    return new TensorInfo(newName, dtype, shape, byteLength);
  }

  private static long byteLength(String name, DType dtype, long[] shape) {
    boolean empty = false;
    for (long dimension : shape) {
      if (dimension < 0) {
        throw new WeightsException(
            "Tensor '%s': shape %s has a negative dimension"
                .formatted(name, Arrays.toString(shape)));
      }
      empty |= dimension == 0;
    }
    if (empty) {
      return 0;
    }
    try {
      long length = dtype.bytes();
      for (long dimension : shape) {
        length = Math.multiplyExact(length, dimension);
      }
      return length;
    } catch (ArithmeticException overflow) {
      throw new WeightsException(
          "Tensor '%s': shape %s of %s takes more than 2^63 bytes"
              .formatted(name, Arrays.toString(shape), dtype));
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TensorInfo that
        && name.equals(that.name)
        && dtype == that.dtype
        && Arrays.equals(shape, that.shape);
  }

  @Override
  public int hashCode() {
    return Objects.hash(name, dtype, Arrays.hashCode(shape));
  }

  @Override
  public String toString() {
    return name + " " + dtype + Arrays.toString(shape);
  }
}
