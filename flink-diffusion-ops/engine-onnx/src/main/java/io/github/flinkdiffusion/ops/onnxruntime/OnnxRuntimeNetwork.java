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
import io.github.flinkdiffusion.ops.engine.StackedTensor;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.graph.Method;
import java.nio.ByteBuffer;
import java.util.ArrayList;
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
  private final RowSessions rowSessions;
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
    this.rowSessions = new RowSessions(environment);
    this.calls = calls;
  }

  /** A method's sessions, and the native memory that its arguments are copied to. */
  static final class Call implements AutoCloseable {
    private final Method method;
    private final OrtSession session;
    private final Optional<OrtSession> ofOneThread;
    private final SmallCalls small;
    private final List<String> names = new ArrayList<>();
    private final List<ByteBuffer> arguments = new ArrayList<>();

    /** Of the last call, or null. */
    private BoundCall bound;

    /**
     * @param session of all threads, for all rows of a call together
     * @param ofOneThread for some rows, and for small calls where threads wait asleep; empty where
     *     rows are not computed apart
     */
    Call(Method method, OrtSession session, Optional<OrtSession> ofOneThread) {
      this.method = method;
      this.session = session;
      this.ofOneThread = ofOneThread;
      this.small = new SmallCalls(method);
      method.inputs().forEach(input -> names.add((String) input.attributes().get(0)));
      method.inputs().forEach(input -> arguments.add(ByteBuffer.allocateDirect(0)));
    }

    boolean sharesOutRows() {
      return ofOneThread.isPresent();
    }

    /** The session of a call with these arguments, or of each of its parts. */
    private OrtSession session(int parts, Tensor... inputs) {
      return ofOneThread.isPresent() && (parts > 1 || !OnnxRuntime.maySpin() && small.has(inputs))
          ? ofOneThread.get()
          : session;
    }

    /**
     * The tensors of a call with these arguments, for those that are on the heap; of the last call,
     * if they are alike.
     */
    private BoundCall bound(OrtEnvironment environment, int parts, Tensor... inputs)
        throws OrtException {
      if (bound == null || !bound.fits(parts, inputs)) {
        forget();
        for (int i = 0; i < inputs.length; i++) {
          if (inputs[i] instanceof HostTensor onHeap) {
            room(i, BoundCall.bytes(onHeap));
          }
        }
        bound = new BoundCall(environment, names, arguments, parts, inputs);
      }
      bound.write(inputs);
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
    private void room(int argument, int bytes) {
      if (arguments.get(argument).capacity() < bytes) {
        arguments.set(argument, ByteBuffer.allocateDirect(bytes));
      }
    }

    @Override
    public void close() {
      forget();
      try {
        session.close();
        if (ofOneThread.isPresent()) {
          ofOneThread.get().close();
        }
      } catch (OrtException e) {
        throw OnnxRuntime.translate("Closing a session", e);
      }
    }
  }

  @Override
  public HostTensor.Floats call(String method, Tensor... inputs) {
    return run(method, false, inputs).result();
  }

  @Override
  public Kept callKeepingRows(String method, Tensor... inputs) {
    return run(method, true, inputs);
  }

  private Kept run(String method, boolean keepsRows, Tensor... inputs) {
    Call call = call(method, inputs.length);
    if (keepsRows && call.method.results().size() < 2) {
      throw new EngineException(
          "Calling %s of %s failed: it has no second result to keep.".formatted(method, name));
    }
    try {
      return run(call, keepsRows, inputs);
    } catch (OrtException e) {
      throw OnnxRuntime.translate("Calling " + method + " of " + name, e);
    }
  }

  private Kept run(Call call, boolean keepsRows, Tensor... inputs) throws OrtException {
    int parts = call.sharesOutRows() ? rowParts.orElseThrow().of(inputs) : 1;
    OrtSession session = call.session(parts, inputs);
    BoundCall bound = call.bound(environment, parts, inputs);
    List<OrtSession.Result> results = List.of();
    try {
      if (parts == 1) {
        results = List.of(run(bound, 0, 1, call, session, keepsRows, inputs));
      } else {
        List<Callable<OrtSession.Result>> work = new ArrayList<>();
        for (int i = 0; i < parts; i++) {
          int part = i;
          work.add(() -> run(bound, part, parts, call, session, keepsRows, inputs));
        }
        results = rowParts.orElseThrow().run(work);
      }
      List<DeviceTensor> rows = keepsRows ? rows(results) : List.of();
      HostTensor.Floats result = bound.result(results);
      call.small.saw(result, inputs);
      return new Kept(result, rows);
    } catch (OrtException | RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new EngineException("Calling " + call.method.name() + " of " + name + " failed.", e);
    } finally {
      for (OrtSession.Result result : results) {
        result.close();
      }
    }
  }

  private OrtSession.Result run(
      BoundCall bound,
      int part,
      int parts,
      Call call,
      OrtSession session,
      boolean keepsRows,
      Tensor... inputs)
      throws OrtException {
    Map<String, OnnxTensor> onDevice = new HashMap<>();
    List<OnnxTensor> made = new ArrayList<>();
    try {
      for (int i = 0; i < inputs.length; i++) {
        if (inputs[i] instanceof DeviceTensor there) {
          onDevice.put(call.names.get(i), OnnxRuntimeTensor.tensor(there));
        } else if (inputs[i] instanceof StackedTensor stacked) {
          List<OnnxTensor> rows = stacked.parts().stream().map(OnnxRuntimeTensor::tensor).toList();
          List<OnnxTensor> own =
              rows.subList(
                  BoundCall.first(part, parts, rows.size()),
                  BoundCall.first(part + 1, parts, rows.size()));
          if (own.size() > 1) {
            made.add(rowSessions.join(own));
          }
          onDevice.put(call.names.get(i), own.size() > 1 ? made.get(made.size() - 1) : own.get(0));
        }
      }
      return bound.run(part, session, onDevice, keepsRows);
    } finally {
      for (OnnxTensor tensor : made) {
        tensor.close();
      }
    }
  }

  /** The second results' rows, in memory of their own. */
  private List<DeviceTensor> rows(List<OrtSession.Result> results) throws OrtException {
    List<DeviceTensor> rows = new ArrayList<>();
    try {
      for (OrtSession.Result result : results) {
        for (OnnxTensor row : rowSessions.split(BoundCall.of(result, BoundCall.SECOND))) {
          OnnxRuntimeTensor tensor = new OnnxRuntimeTensor(row, this.results::remove);
          this.results.add(tensor);
          rows.add(tensor);
        }
      }
      return rows;
    } catch (OrtException | RuntimeException e) {
      rows.forEach(DeviceTensor::close);
      throw e;
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

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      List.copyOf(results).forEach(OnnxRuntimeTensor::close);
      calls.values().forEach(Call::close);
      rowParts.ifPresent(RowParts::close);
      rowSessions.close();
    }
  }
}
