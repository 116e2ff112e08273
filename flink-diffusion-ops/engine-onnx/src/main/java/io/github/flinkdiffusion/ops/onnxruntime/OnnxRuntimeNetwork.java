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
import io.github.flinkdiffusion.ops.graph.Value;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;

/** Sessions of ONNX Runtime, one for each method of a graph. */
final class OnnxRuntimeNetwork implements Network {
  private final String name;
  private final OrtEnvironment environment;
  private final Map<String, Call> calls;
  private final java.util.Set<OnnxRuntimeTensor> results = ConcurrentHashMap.newKeySet();
  private final AtomicBoolean closed = new AtomicBoolean();

  /**
   * @param name for messages
   * @param calls by the method's name; closed with this
   */
  OnnxRuntimeNetwork(String name, OrtEnvironment environment, Map<String, Call> calls) {
    this.name = name;
    this.environment = environment;
    this.calls = calls;
  }

  /** A method's session, and the native memory that its arguments are copied to. */
  static final class Call implements AutoCloseable {
    private final Method method;
    private final OrtSession session;
    private final List<ByteBuffer> arguments = new ArrayList<>();

    Call(Method method, OrtSession session) {
      this.method = method;
      this.session = session;
      method.inputs().forEach(input -> arguments.add(ByteBuffer.allocateDirect(0)));
    }

    /** Memory for an argument; the same from call to call, as long as it is large enough. */
    private ByteBuffer memory(int argument, int bytes) {
      ByteBuffer held = arguments.get(argument);
      if (held.capacity() < bytes) {
        held = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
        arguments.set(argument, held);
      }
      return held.duplicate()
          .order(ByteOrder.nativeOrder())
          .clear()
          .limit(bytes)
          .slice()
          .order(ByteOrder.nativeOrder());
    }

    @Override
    public void close() {
      try {
        session.close();
      } catch (OrtException e) {
        throw OnnxRuntime.translate("Closing a session", e);
      }
    }
  }

  @Override
  public HostTensor.Floats call(String method, Tensor... inputs) {
    try (OrtSession.Result result = run(method, inputs)) {
      OnnxTensor tensor = (OnnxTensor) result.get(0);
      return OnnxRuntimeTensor.floats(tensor);
    } catch (OrtException e) {
      throw OnnxRuntime.translate("Calling " + method + " of " + name, e);
    }
  }

  @Override
  public List<DeviceTensor> callOnDevice(String method, Tensor... inputs) {
    try {
      OrtSession.Result result = run(method, inputs);
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

  private OrtSession.Result run(String method, Tensor... inputs) throws OrtException {
    Call call = calls.get(method);
    if (call == null || closed.get()) {
      throw new EngineException(
          call == null
              ? "Network %s has no method '%s'; it has %s.".formatted(name, method, calls.keySet())
              : "Network " + name + " is called after it was closed.");
    }
    List<Value> declared = call.method.inputs();
    if (declared.size() != inputs.length) {
      throw new EngineException(
          "Calling %s of %s failed: it takes %d arguments, not %d."
              .formatted(method, name, declared.size(), inputs.length));
    }
    Map<String, OnnxTensor> arguments = new HashMap<>();
    List<OnnxTensor> made = new ArrayList<>();
    try {
      for (int i = 0; i < inputs.length; i++) {
        OnnxTensor tensor;
        if (inputs[i] instanceof DeviceTensor there) {
          tensor = OnnxRuntimeTensor.tensor(there);
        } else {
          tensor = onDevice(call, i, (HostTensor) inputs[i]);
          made.add(tensor);
        }
        arguments.put((String) declared.get(i).attributes().get(0), tensor);
      }
      return call.session.run(arguments);
    } finally {
      made.forEach(OnnxTensor::close);
    }
  }

  private OnnxTensor onDevice(Call call, int argument, HostTensor tensor) throws OrtException {
    if (tensor instanceof HostTensor.Floats floats) {
      ByteBuffer memory =
          call.memory(argument, Math.multiplyExact(floats.data().length, Float.BYTES));
      FloatBuffer elements = memory.asFloatBuffer();
      elements.put(floats.data()).flip();
      return OnnxTensor.createTensor(environment, elements, floats.shape());
    }
    HostTensor.Longs longs = (HostTensor.Longs) tensor;
    ByteBuffer memory = call.memory(argument, Math.multiplyExact(longs.data().length, Long.BYTES));
    memory.asLongBuffer().put(longs.data());
    return OnnxTensor.createTensor(environment, memory.asLongBuffer(), longs.shape());
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      List.copyOf(results).forEach(OnnxRuntimeTensor::close);
      calls.values().forEach(Call::close);
    }
  }
}
