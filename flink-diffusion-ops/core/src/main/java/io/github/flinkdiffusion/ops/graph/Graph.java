/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.graph;

import io.github.flinkdiffusion.ops.weights.DType;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.apache.flink.annotation.Internal;

/**
 * A network under construction: named parameters with their shapes, and one or more methods that
 * compute with them.
 *
 * <p>Not thread safe. Emitters read it; it knows none of them.
 */
@Internal
public final class Graph {
  private final Map<String, Value> parameters = new LinkedHashMap<>();
  private final Map<String, long[]> shapes = new LinkedHashMap<>();
  private final Map<String, DType> types = new HashMap<>();
  private final Map<String, Value> constants = new LinkedHashMap<>();
  private final Map<String, float[]> constantData = new LinkedHashMap<>();
  private final Map<String, Method> methods = new LinkedHashMap<>();

  /**
   * The parameter of that name, declared on first use.
   *
   * @param name as in the model's safetensors, e.g. {@code down_blocks.0.resnets.0.conv1.weight}
   * @param shape its shape; asking again with another shape is an error
   */
  public Value parameter(String name, long... shape) {
    long[] known = shapes.putIfAbsent(name, shape.clone());
    if (known != null && !Arrays.equals(known, shape)) {
      throw new GraphException(
          "Parameter "
              + name
              + " was declared with shape "
              + Arrays.toString(known)
              + " and is now used with "
              + Arrays.toString(shape)
              + ".");
    }
    return parameters.computeIfAbsent(name, n -> new Value(Op.PARAMETER, List.of(), List.of(n)));
  }

  /**
   * A parameter of its own type, whatever the precision of the others: quantised weights, or the
   * float32 scales beside them. Operations do not mix types; {@link Method#castAs} converts.
   *
   * @throws GraphException when it was declared before with another shape or type
   */
  public Value parameter(String name, DType type, long... shape) {
    if (shapes.containsKey(name) && types.get(name) != type) {
      throw new GraphException(
          "Parameter %s was declared %s and is now used as %s."
              .formatted(
                  name,
                  types.containsKey(name) ? "with type " + types.get(name) : "without a type",
                  type));
    }
    types.put(name, type);
    return parameter(name, shape);
  }

  /**
   * The type in which a parameter is kept.
   *
   * @param others of parameters that have none of their own
   */
  public DType type(String parameter, Precision others) {
    return types.getOrDefault(parameter, others.type());
  }

  /**
   * A fixed float32 vector, e.g. the frequencies of a timestep embedding; kept in float32 whatever
   * the weights' dtype.
   */
  public Value constant(String name, float[] data) {
    float[] known = constantData.putIfAbsent(name, data.clone());
    if (known != null && !Arrays.equals(known, data)) {
      throw new GraphException("Constant " + name + " was declared before with other values.");
    }
    return constants.computeIfAbsent(name, n -> new Value(Op.CONSTANT, List.of(), List.of(n)));
  }

  /** Starts a method; {@code forward} is the one that is called by default. */
  public Method method(String name) {
    Method method = new Method(this, name);
    if (methods.putIfAbsent(name, method) != null) {
      throw new GraphException("Method " + name + " is declared twice.");
    }
    return method;
  }

  /** Declared parameters, in order of declaration, with their shapes. */
  public Map<String, long[]> parameterShapes() {
    return Collections.unmodifiableMap(shapes);
  }

  public Map<String, float[]> constants() {
    return Collections.unmodifiableMap(constantData);
  }

  public List<Method> methods() {
    return new ArrayList<>(methods.values());
  }

  /** Whether a method computes with an operation. */
  public boolean has(Op op) {
    Set<Value> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    Deque<Value> pending = new ArrayDeque<>();
    methods.values().forEach(method -> pending.addAll(method.results()));
    while (!pending.isEmpty()) {
      Value value = pending.pop();
      if (seen.add(value)) {
        if (value.op() == op) {
          return true;
        }
        value.inputs().stream().filter(Objects::nonNull).forEach(pending::push);
      }
    }
    return false;
  }

  /**
   * A change of a graph's operations.
   *
   * @see Graph#rewritten
   */
  @FunctionalInterface
  public interface Rewrite {
    /**
     * What stands in an operation's place.
     *
     * @param method of the new graph
     * @param operation of the graph that is rewritten; also its parameters and constants
     * @param inputs what stands in its inputs' places
     * @return empty to take it over as it is
     */
    Optional<Value> replace(Method method, Value operation, List<Value> inputs);
  }

  /**
   * A graph with the same methods whose operations were changed, such as by adding adapters to
   * layers. Parameters that nothing uses any more are not in it.
   */
  public Graph rewritten(Rewrite rewrite) {
    Graph copy = new Graph();
    for (Method method : methods.values()) {
      Method target = copy.method(method.name());
      Map<Value, Value> done = new IdentityHashMap<>();
      method.inputs().forEach(input -> done.put(input, target.sameInput(input)));
      Value[] results =
          method.results().stream()
              .map(result -> copyInto(copy, target, result, done, rewrite))
              .toArray(Value[]::new);
      target.returns(results);
    }
    return copy;
  }

  /**
   * Adds a method that computes as another one does, with changed operations. It shares all
   * parameters with that one.
   *
   * @param change declares what the new method takes after the other's inputs
   */
  public Method variant(String name, Method of, Function<Method, Rewrite> change) {
    Method target = method(name);
    Map<Value, Value> done = new IdentityHashMap<>();
    of.inputs().forEach(input -> done.put(input, target.sameInput(input)));
    Rewrite rewrite = change.apply(target);
    target.returns(
        of.results().stream()
            .map(result -> copyInto(this, target, result, done, rewrite))
            .toArray(Value[]::new));
    return target;
  }

  /** Inputs first; iterative, because networks are deep. */
  private Value copyInto(
      Graph copy, Method target, Value root, Map<Value, Value> done, Rewrite rewrite) {
    Deque<Value> pending = new ArrayDeque<>();
    pending.push(root);
    while (!pending.isEmpty()) {
      Value value = pending.peek();
      List<Value> missing =
          value.inputs().stream().filter(in -> in != null && !done.containsKey(in)).toList();
      if (!done.containsKey(value) && !missing.isEmpty()) {
        for (int i = missing.size() - 1; i >= 0; i--) {
          pending.push(missing.get(i));
        }
        continue;
      }
      pending.pop();
      if (!done.containsKey(value)) {
        List<Value> inputs = new ArrayList<>();
        value.inputs().forEach(in -> inputs.add(in == null ? null : done.get(in)));
        done.put(
            value,
            rewrite.replace(target, value, inputs).orElseGet(() -> takenOver(copy, value, inputs)));
      }
    }
    return done.get(root);
  }

  private Value takenOver(Graph copy, Value value, List<Value> inputs) {
    if (value.op() == Op.PARAMETER) {
      String name = (String) value.attributes().get(0);
      return types.containsKey(name)
          ? copy.parameter(name, types.get(name), shapes.get(name))
          : copy.parameter(name, shapes.get(name));
    }
    if (value.op() == Op.CONSTANT) {
      String name = (String) value.attributes().get(0);
      return copy.constant(name, constantData.get(name));
    }
    return new Value(value.op(), inputs, value.attributes());
  }

  /** Number of learned scalars. */
  public long parameterCount() {
    long count = 0;
    for (long[] shape : shapes.values()) {
      count += elements(shape);
    }
    return count;
  }

  /** Product of a shape's sizes, refusing overflow. */
  public static long elements(long[] shape) {
    long count = 1;
    for (long size : shape) {
      count = Math.multiplyExact(count, size);
    }
    return count;
  }
}
