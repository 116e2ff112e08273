/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.graph.Method;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Sessions of ONNX Runtime for the methods of a graph. One call at a time: arguments are copied to
 * memory that calls share.
 */
final class OnnxRuntimeNetwork implements Network {
  private final String name;
  private final OrtEnvironment environment;
  private final Map<String, Call> calls;
  private final Optional<RowParts> rowParts;
  private final Set<OnnxRuntimeTensor> results = ConcurrentHashMap.newKeySet();
  private final AtomicBoolean closed = new AtomicBoolean();

  /**
   * @param name for messages
   * @param calls by the method's name; closed with this
   * @param rowParts for the calls that have a session of rows; closed with this
   */
  OnnxRuntimeNetwork(
      String name,
      OrtEnvironment environment,
      Map<String, Call> calls,
      Optional<RowParts> rowParts) {
    this.rowParts = rowParts;
    this.name = name;
    this.environment = environment;
    this.calls = calls;
  }

  /** A method's sessions, and the native memory that its arguments are copied to. */
  static final class Call implements AutoCloseable {
    private final Method method;
    private final OrtSession session;
    private final Optional<OrtSession> ofRows;
    private final List<String> names = new ArrayList<>();
    private final List<ByteBuffer> arguments = new ArrayList<>();

    /** Of the last call whose arguments were all on the heap, or null. */
    private BoundCall bound;

    /**
     * @param session for all rows of a call together
     * @param ofRows of one thread, for some rows; empty where rows are not computed apart
     */
    Call(Method method, OrtSession session, Optional<OrtSession> ofRows) {
      this.method = method;
      this.session = session;
      this.ofRows = ofRows;
      method.inputs().forEach(input -> names.add((String) input.attributes().get(0)));
      method.inputs().forEach(input -> arguments.add(ByteBuffer.allocateDirect(0)));
    }

    boolean sharesOutRows() {
      return ofRows.isPresent();
    }

    /** The tensors of a call with these arguments; of the last call, if they are alike. */
    private BoundCall bound(OrtEnvironment environment, int parts, HostTensor... inputs)
        throws OrtException {
      if (bound == null || !bound.fits(parts, inputs)) {
        forget();
        for (int i = 0; i < inputs.length; i++) {
          room(i, BoundCall.bytes(inputs[i]));
        }
        bound = new BoundCall(environment, names, arguments, parts, inputs);
      }
      return bound;
    }

    private void forget() {
      if (bound != null) {
        bound.close();
        bound = null;
      }
    }

    /**
     * Memory of an argument that stays the same from call to call, as long as it is large enough.
     */
    private ByteBuffer room(int argument, int bytes) {
      if (arguments.get(argument).capacity() < bytes) {
        arguments.set(argument, ByteBuffer.allocateDirect(bytes));
      }
      return arguments.get(argument);
    }

    /** Copies an argument to memory that the next call uses again. */
    private ByteBuffer copy(int argument, HostTensor tensor) {
      int bytes = BoundCall.bytes(tensor);
      if (arguments.get(argument).capacity() < bytes) {
        forget();
      }
      ByteBuffer memory = room(argument, bytes).slice(0, bytes).order(ByteOrder.nativeOrder());
      BoundCall.put(tensor, memory);
      return memory;
    }

    @Override
    public void close() {
      forget();
      try {
        session.close();
        if (ofRows.isPresent()) {
          ofRows.get().close();
        }
      } catch (OrtException e) {
        throw OnnxRuntime.translate("Closing a session", e);
      }
    }
  }

  @Override
  public HostTensor.Floats call(String method, Tensor... inputs) {
    Call call = call(method, inputs.length);
    try {
      if (Arrays.stream(inputs).allMatch(HostTensor.class::isInstance)) {
        return callBound(call, Arrays.copyOf(inputs, inputs.length, HostTensor[].class));
      }
      try (OrtSession.Result result = run(call, inputs)) {
        return OnnxRuntimeTensor.floats((OnnxTensor) result.get(0));
      }
    } catch (OrtException e) {
      throw OnnxRuntime.translate("Calling " + method + " of " + name, e);
    }
  }

  private HostTensor.Floats callBound(Call call, HostTensor... inputs) throws OrtException {
    int parts = call.sharesOutRows() ? rowParts.orElseThrow().of(inputs) : 1;
    BoundCall bound = call.bound(environment, parts, inputs);
    bound.write(inputs);
    if (parts == 1) {
      try (OrtSession.Result result = bound.run(0, call.session)) {
        return bound.result(List.of(result));
      }
    }
    List<Callable<OrtSession.Result>> work = new ArrayList<>();
    for (int i = 0; i < parts; i++) {
      int part = i;
      work.add(() -> bound.run(part, call.ofRows.orElseThrow()));
    }
    List<OrtSession.Result> results = List.of();
    try {
      results = rowParts.orElseThrow().run(work);
      return bound.result(results);
    } catch (OrtException | RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new EngineException("Calling " + call.method.name() + " of " + name + " failed.", e);
    } finally {
      results.forEach(OrtSession.Result::close);
    }
  }

  @Override
  public List<DeviceTensor> callOnDevice(String method, Tensor... inputs) {
    try {
      OrtSession.Result result = run(call(method, inputs.length), inputs);
      List<DeviceTensor> tensors = new ArrayList<>();
      for (int i = 0; i < result.size(); i++) {
        OnnxRuntimeTensor tensor =
            new OnnxRuntimeTensor((OnnxTensor) result.get(i), results::remove);
        results.add(tensor);
        tensors.add(tensor);
      }
      return tensors;
    } catch (OrtException e) {
      throw OnnxRuntime.translate("Calling " + method + " of " + name, e);
    }
  }

  private Call call(String method, int arguments) {
    Call call = calls.get(method);
    if (call == null || closed.get()) {
      throw new EngineException(
          call == null
              ? "Network %s has no method '%s'; it has %s.".formatted(name, method, calls.keySet())
              : "Network " + name + " is called after it was closed.");
    }
    int declared = call.method.inputs().size();
    if (declared != arguments) {
      throw new EngineException(
          "Calling %s of %s failed: it takes %d arguments, not %d."
              .formatted(method, name, declared, arguments));
    }
    return call;
  }

  private OrtSession.Result run(Call call, Tensor... inputs) throws OrtException {
    Map<String, OnnxTensor> arguments = new HashMap<>();
    List<OnnxTensor> made = new ArrayList<>();
    try {
      for (int i = 0; i < inputs.length; i++) {
        OnnxTensor tensor;
        if (inputs[i] instanceof DeviceTensor there) {
          tensor = OnnxRuntimeTensor.tensor(there);
        } else {
          HostTensor host = (HostTensor) inputs[i];
          tensor = BoundCall.tensor(environment, host, call.copy(i, host), host.shape());
          made.add(tensor);
        }
        arguments.put(call.names.get(i), tensor);
      }
      return call.session.run(arguments);
    } finally {
      made.forEach(OnnxTensor::close);
    }
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      List.copyOf(results).forEach(OnnxRuntimeTensor::close);
      calls.values().forEach(Call::close);
      rowParts.ifPresent(RowParts::close);
    }
  }
}
