/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.graph;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToIntFunction;
import org.apache.flink.annotation.Internal;

/**
 * Whether a method computes each row of a call by itself, so that a call may be made in parts: its
 * results' first dimension is that of its arguments, and no row reads another one's numbers.
 *
 * <p>Decided from the operations alone, and cautiously: what is not seen to be so is not so.
 */
@Internal
public final class RowWise {
  /**
   * What is known of a value.
   *
   * @param rank its dimensions
   * @param rows whether its first dimension is the call's rows; else it is the same for all rows
   * @param single whether its first dimension is one
   */
  private record Known(int rank, boolean rows, boolean single) {
    /** Counted from the first dimension, or from the last one when negative. */
    int dimension(Object attribute) {
      int dimension = (Integer) attribute;
      return dimension < 0 ? dimension + rank : dimension;
    }

    Known withRank(int other) {
      return new Known(other, rows, single);
    }
  }

  private final Graph graph;
  private final Map<Value, Known> known = new IdentityHashMap<>();

  private RowWise(Graph graph) {
    this.graph = graph;
  }

  /** Whether it is, of a call whose arguments all have the same first dimension. */
  public static boolean is(Method method) {
    RowWise analysis = new RowWise(method.graph());
    for (Value result : method.results()) {
      Known of = analysis.analyse(result);
      if (of == null || !of.rows()) {
        return false;
      }
    }
    return !method.results().isEmpty();
  }

  /**
   * Ranks of values of a method whose first dimension is the call's rows; -1 for what has none, or
   * where rows may meet.
   */
  public static ToIntFunction<Value> ranksOfRows(Method method) {
    RowWise analysis = new RowWise(method.graph());
    return value -> {
      Known of = analysis.analyse(value);
      return of != null && of.rows() ? of.rank() : -1;
    };
  }

  /** Inputs first; iterative, because networks are deep. Null when rows may meet. */
  private Known analyse(Value root) {
    Deque<Value> pending = new ArrayDeque<>();
    pending.push(root);
    while (!pending.isEmpty()) {
      Value value = pending.peek();
      boolean ready = true;
      for (Value input : value.inputs()) {
        if (input != null && !known.containsKey(input)) {
          pending.push(input);
          ready = false;
        }
      }
      if (ready) {
        pending.pop();
        known.computeIfAbsent(value, this::of);
        if (known.get(value) == null) {
          return null;
        }
      }
    }
    return known.get(root);
  }

  private Known of(Value value) {
    List<Object> a = value.attributes();
    Known[] in =
        value.inputs().stream().map(v -> v == null ? null : known.get(v)).toArray(Known[]::new);
    return switch (value.op()) {
      case INPUT -> (Integer) a.get(2) > 0 ? new Known((Integer) a.get(2), true, false) : null;
      case PARAMETER -> {
        long[] shape = graph.parameterShapes().get((String) a.get(0));
        yield new Known(shape.length, false, shape.length > 0 && shape[0] == 1);
      }
      case CONSTANT -> new Known(1, false, graph.constants().get((String) a.get(0)).length == 1);
      case SILU,
          MISH,
          RELU,
          SIGMOID,
          TANH,
          GELU,
          GELU_TANH,
          SIN,
          COS,
          EXP,
          LOG,
          SQRT,
          FLOOR,
          ADD_SCALAR,
          MULTIPLY_SCALAR,
          CLAMP,
          EQUALS_SCALAR,
          TO_FLOAT,
          CAST_AS ->
          in[0];
      case CONV2D, GROUP_NORM, PAD, PAD_REFLECT, UPSAMPLE_NEAREST, AVERAGE_POOL, MAX_POOL ->
          othersAreFixed(in) && in[0].rank() > 2 ? in[0] : null;
      case DEQUANTIZE, DEQUANTIZE_GROUPS -> in[0].rows() || in[1].rows() ? null : in[0];
      case LINEAR, LAYER_NORM, RMS_NORM -> othersAreFixed(in) && in[0].rank() > 1 ? in[0] : null;
      case UPSAMPLE_NEAREST_AS -> in[0].rank() == 4 ? in[0] : null;
      case EMBEDDING -> in[1].rows() ? null : in[0].withRank(in[0].rank() + 1);
      case ADD, SUBTRACT, MULTIPLY, DIVIDE -> broadcast(in[0], in[1]);
      case ATTENTION -> attention(in);
      case ROTATE ->
          in[0].rows() && (in[1].rows() || in[1].single()) && (in[2].rows() || in[2].single())
              ? in[0]
              : null;
      case MATRIX_PRODUCT -> in[0].rank() > 2 ? broadcast(in[0], in[1]) : null;
      case SOFTMAX -> in[0].rank() > 1 ? in[0] : null;
      case NARROW_AS ->
          in[0].dimension(a.get(0)) > 0 && in[1].dimension(a.get(1)) > 0 ? in[0] : null;
      case UNFLATTEN_AS ->
          in[0].dimension(a.get(0)) > 0 && in[1].dimension(a.get(1)) > 0
              ? in[0].withRank(in[0].rank() + 1)
              : null;
      case INDICES -> in[0].dimension(a.get(0)) > 0 ? new Known(1, false, false) : null;
      case CONCATENATE -> concatenate(in, a.get(0));
      case NARROW,
          ARGMAX,
          ARGMIN,
          MEAN_ALONG,
          SQUEEZE,
          UNFLATTEN,
          FLATTEN,
          TRANSPOSE,
          PERMUTE,
          UNSQUEEZE ->
          alongDimensions(value.op(), in[0], a);
      case RESHAPE_AS -> in[0].rows() && in[1].rows() ? in[0].withRank(in[1].rank()) : null;
      case EXPAND_AS -> {
        Known both = broadcast(in[0], in[1]);
        yield both != null && both.rank() == in[1].rank() ? both : null;
      }
      case SELECT_ROW -> in[0].rows() && in[1].rows() ? in[0].withRank(2) : null;
      case DISTANCES -> in[0].rank() == 2 && !in[1].rows() ? in[0] : null;
      // Of training, which has no rows to share out.
      case DROPOUT, DETACH, MEAN, MEAN_SQUARED_ERROR, MEAN_ABSOLUTE_ERROR -> null;
    };
  }

  private static boolean othersAreFixed(Known[] in) {
    for (int i = 1; i < in.length; i++) {
      if (in[i] != null && in[i].rows()) {
        return false;
      }
    }
    return true;
  }

  private static Known broadcast(Known a, Known b) {
    if (a.rows() && b.rows()) {
      return a.rank() == b.rank() ? a : null;
    }
    if (!a.rows() && !b.rows()) {
      return new Known(Math.max(a.rank(), b.rank()), false, a.single() && b.single());
    }
    Known rows = a.rows() ? a : b;
    Known fixed = a.rows() ? b : a;
    return fixed.rank() < rows.rank() || fixed.rank() == rows.rank() && fixed.single()
        ? rows
        : null;
  }

  private static Known attention(Known[] in) {
    if (!in[0].rows() || !in[1].rows() || !in[2].rows()) {
      return null;
    }
    Known bias = in[3];
    return bias == null || broadcast(in[0], bias) != null ? in[0] : null;
  }

  private static Known concatenate(Known[] in, Object dimension) {
    if (in[0].dimension(dimension) == 0) {
      return null;
    }
    for (Known each : in) {
      if (each.rows() != in[0].rows() || each.rank() != in[0].rank()) {
        return null;
      }
    }
    return in[0];
  }

  /** Operations that move, split, join or sum up dimensions, which must not be the rows'. */
  private static Known alongDimensions(Op op, Known x, List<Object> a) {
    int rank =
        switch (op) {
          case ARGMAX, ARGMIN, SQUEEZE -> x.rank() - 1;
          case UNSQUEEZE -> x.rank() + 1;
          case UNFLATTEN -> x.rank() - 1 + ((List<?>) a.get(1)).size();
          case FLATTEN -> x.rank() - x.dimension(a.get(1)) + x.dimension(a.get(0));
          default -> x.rank();
        };
    boolean leavesTheFirst =
        switch (op) {
          case PERMUTE -> ((List<?>) a.get(0)).get(0).equals(0);
          case TRANSPOSE -> x.dimension(a.get(0)) > 0 && x.dimension(a.get(1)) > 0;
          case UNSQUEEZE -> x.withRank(rank).dimension(a.get(0)) > 0;
          default -> x.dimension(a.get(0)) > 0;
        };
    if (leavesTheFirst) {
      return x.withRank(rank);
    }
    boolean single =
        op == Op.UNSQUEEZE
            || op == Op.MEAN_ALONG
            || op == Op.UNFLATTEN && ((List<?>) a.get(1)).get(0).equals(1);
    return x.rows() ? null : new Known(rank, false, single);
  }
}
