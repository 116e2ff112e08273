/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.graph;

import org.apache.flink.annotation.Internal;

/** The operations a {@link Graph} may hold, with their inputs and attributes. */
@Internal
public enum Op {
  /** A method's argument. Attributes: name, type ({@code F32} or {@code I64}), rank. */
  INPUT,
  /** A learned tensor. Attributes: name. */
  PARAMETER,
  /**
   * A fixed float32 tensor that keeps its precision in archives of half precision. Attributes:
   * name.
   */
  CONSTANT,
  /**
   * Inputs: x [N,C,H,W], weight [O,C/groups,kh,kw], bias [O] or null. Attributes: stride, padding,
   * groups.
   */
  CONV2D,
  /** Inputs: x [...,I], weight [O,I], bias [O] or null. */
  LINEAR,
  /** Inputs: x [N,C,...], weight [C] or null, bias [C] or null. Attributes: groups, epsilon. */
  GROUP_NORM,
  /** Inputs: x [...,C], weight [C] or null, bias [C] or null. Attributes: C, epsilon. */
  LAYER_NORM,
  /**
   * Inputs: x [...,C], weight [C] or null: x over the root of its mean square (Zhang and Sennrich
   * 2019), computed in float32. Attributes: C, epsilon.
   */
  RMS_NORM,
  SILU,
  MISH,
  RELU,
  SIGMOID,
  TANH,
  /** Exact (erf) GELU. */
  GELU,
  /** GELU by its tanh approximation. */
  GELU_TANH,
  SIN,
  COS,
  EXP,
  /** Natural logarithm. */
  LOG,
  SQRT,
  /** The greatest whole number that is not greater. */
  FLOOR,
  /**
   * In training: zeroes each element with a probability, and scales the others so that the mean
   * stays. Attributes: the probability.
   */
  DROPOUT,
  /** x as it is, but no gradient goes through. */
  DETACH,
  /**
   * Inputs: q [N,heads,T,d], k, v [N,heads,S,d], bias or null: added to the scores before softmax,
   * of q's type, of a shape that broadcasts to [N,heads,T,S]; a mask is minus infinity where
   * nothing is looked at. Attributes: causal, which goes without a bias. Scaled by 1/sqrt(d).
   */
  ATTENTION,
  /**
   * Rotary position embedding (Su et al. 2021), computed in float32. Inputs: x [N,heads,T,d], cos,
   * sin [1 or N,T,d/2] in float32. Attributes: d/2; whether the numbers that are turned together
   * are neighbours (2i, 2i+1), else they are (i, i+d/2).
   */
  ROTATE,
  /** Inputs: a [...,M,K], b [...,K,N]: products of matrices, what is before them broadcasts. */
  MATRIX_PRODUCT,
  /** Softmax over the last dimension. */
  SOFTMAX,
  ADD,
  SUBTRACT,
  MULTIPLY,
  DIVIDE,
  /** Attributes: the scalar. */
  ADD_SCALAR,
  /** Attributes: the scalar. */
  MULTIPLY_SCALAR,
  /** Attributes: minimum, maximum. */
  CLAMP,
  /** Inputs: any number. Attributes: dimension. */
  CONCATENATE,
  /** Attributes: dimension, start, length. */
  NARROW,
  /**
   * Inputs: x, reference: the part of x that is as long as the reference. Attributes: dimension of
   * x, dimension of the reference, whether the part is x's last; else it is its first.
   */
  NARROW_AS,
  /** Inputs: reference. 0, 1, 2 ... along a dimension of it, float32. Attributes: dimension. */
  INDICES,
  /** Attributes: two dimensions. */
  TRANSPOSE,
  /** Attributes: the new order of the dimensions. */
  PERMUTE,
  /** Attributes: first and last dimension to fold into one. */
  FLATTEN,
  /** Attributes: dimension, sizes it is split into. */
  UNFLATTEN,
  /**
   * Inputs: x, reference: a dimension of x is split into two, of the sizes of the reference's.
   * Attributes: dimension of x, the first of the two dimensions of the reference.
   */
  UNFLATTEN_AS,
  /** Inputs: x, reference. x takes the reference's shape. */
  RESHAPE_AS,
  /** Attributes: dimension. */
  UNSQUEEZE,
  /** Attributes: dimension. Removes a dimension of size one. */
  SQUEEZE,
  /** Zero padding of the last two dimensions. Attributes: left, right, top, bottom. */
  PAD,
  /**
   * Mirrors the last two dimensions of [N,C,H,W] at their edges, which are not repeated.
   * Attributes: left, right, top, bottom, each less than the side.
   */
  PAD_REFLECT,
  /** Nearest-neighbour resize of [N,C,H,W]. Attributes: integer factor. */
  UPSAMPLE_NEAREST,
  /**
   * Inputs: x [N,C,h,w], reference [N,*,H,W]: nearest-neighbour resize to the reference's H x W.
   */
  UPSAMPLE_NEAREST_AS,
  /**
   * Mean pooling of [N,C,H,W]. Padding does not count: at an edge the mean is over the pixels that
   * are there. Attributes: kernel size, stride, padding of at most half the kernel.
   */
  AVERAGE_POOL,
  /**
   * The greatest of each window of [N,C,H,W]; padding is less than any number. Attributes: kernel
   * size, stride, padding of at most half the kernel.
   */
  MAX_POOL,
  /** Inputs: integer ids [...], weight [V,C]. */
  EMBEDDING,
  /** Attributes: an integer. 1 where an element equals it, else 0; float32. */
  EQUALS_SCALAR,
  /** Index of the first greatest element along a dimension, int64. Attributes: dimension. */
  ARGMAX,
  /** Index of the first least element along a dimension, int64. Attributes: dimension. */
  ARGMIN,
  /** Inputs: x [N,T,C], indices int64 [N]: of each n its row at that index, [N,C]. */
  SELECT_ROW,
  /** Inputs: a [M,C], b [V,C]. Euclidean distance of each row to each other, [M,V]. */
  DISTANCES,
  /** Inputs: x, reference. x repeated where its size is one, to the reference's shape. */
  EXPAND_AS,
  /** Inputs: x, reference. x takes the reference's dtype and device. */
  CAST_AS,
  /**
   * Inputs: weight [O,...] of {@code I8}, scale [O]: each row of the weight times its scale, of the
   * scale's type. Attributes: the weight's rank. Engines keep the weight in 8 bits, and compute the
   * product when a call needs it.
   */
  DEQUANTIZE,
  /**
   * Inputs: weight [O,16 G] of {@code U8}, scale [O,G]. Two elements a byte, the first in the lower
   * half, each 8 more than what is multiplied by its group's scale; a row's groups of 32 one after
   * another, of which the first are the result's row. Attributes: the result's shape [O,...].
   * Engines keep the weight in 4 bits, and compute the product when a call needs it.
   */
  DEQUANTIZE_GROUPS,
  /** x in float32. */
  TO_FLOAT,
  /** Mean along a dimension, which keeps size one. Attributes: dimension. */
  MEAN_ALONG,
  /** Mean over all elements: a scalar. */
  MEAN,
  /** Inputs: x, target. Mean of squared differences: a scalar. */
  MEAN_SQUARED_ERROR,
  /** Inputs: x, target. Mean of absolute differences: a scalar. */
  MEAN_ABSOLUTE_ERROR
}
