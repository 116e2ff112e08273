/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.StackedTensor;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/** An engine in plain Java that knows a few operations of vectors: the interface needs no more. */
public final class ToyEngine implements Engine {
  @Override
  public String name() {
    return "toy";
  }

  @Override
  public String version() {
    return "toy 1";
  }

  @Override
  public int gpuCount() {
    return 1;
  }

  @Override
  public Network load(Program program, DeviceSpec device) {
    if (program.precision() != Precision.FLOAT32) {
      throw new EngineException("Engine toy has no " + program.precision() + ".");
    }
    Map<String, HostTensor.Floats> weights = new HashMap<>();
    program
        .graph()
        .parameterShapes()
        .forEach(
            (name, shape) -> {
              ByteArrayOutputStream out = new ByteArrayOutputStream();
              try {
                program.weights().write(name, shape, out);
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
              float[] data = new float[out.size() / Float.BYTES];
              ByteBuffer.wrap(out.toByteArray())
                  .order(ByteOrder.LITTLE_ENDIAN)
                  .asFloatBuffer()
                  .get(data);
              weights.put(name, new HostTensor.Floats(data, shape));
            });
    return new ToyNetwork(program.graph(), weights);
  }

  @Override
  public TrainableNetwork train(
      Program program, DeviceSpec device, Arithmetic arithmetic, Predicate<String> trained) {
    throw new EngineException("Engine toy trains no networks.");
  }

  private record ToyTensor(HostTensor.Floats floats) implements DeviceTensor {
    @Override
    public long[] shape() {
      return floats.shape();
    }

    @Override
    public HostTensor toHost() {
      return floats;
    }

    @Override
    public void close() {}
  }

  private record ToyNetwork(Graph graph, Map<String, HostTensor.Floats> weights)
      implements Network {
    @Override
    public HostTensor.Floats call(String method, Tensor... inputs) {
      return results(method, inputs).get(0);
    }

    @Override
    public Kept callKeepingRows(String method, Tensor... inputs) {
      List<HostTensor.Floats> results = results(method, inputs);
      List<DeviceTensor> rows = new ArrayList<>();
      for (float row : results.get(1).data()) {
        rows.add(new ToyTensor(new HostTensor.Floats(new float[] {row}, 1)));
      }
      return new Kept(results.get(0), rows);
    }

    private static HostTensor.Floats floats(Tensor input) {
      if (input instanceof StackedTensor stacked) {
        float[] rows = new float[stacked.parts().size()];
        for (int i = 0; i < rows.length; i++) {
          rows[i] = floats(stacked.parts().get(i)).data()[0];
        }
        return new HostTensor.Floats(rows, rows.length);
      }
      return input instanceof ToyTensor toy ? toy.floats() : (HostTensor.Floats) input;
    }

    private List<HostTensor.Floats> results(String name, Tensor... inputs) {
      Method method =
          graph.methods().stream().filter(m -> m.name().equals(name)).findFirst().orElseThrow();
      Map<Value, HostTensor.Floats> known = new IdentityHashMap<>();
      for (int i = 0; i < inputs.length; i++) {
        known.put(method.inputs().get(i), floats(inputs[i]));
      }
      return method.results().stream().map(result -> compute(result, known)).toList();
    }

    private HostTensor.Floats compute(Value value, Map<Value, HostTensor.Floats> known) {
      HostTensor.Floats done = known.get(value);
      if (done == null) {
        done =
            switch (value.op()) {
              case PARAMETER -> weights.get((String) value.attributes().get(0));
              case ADD -> {
                float[] sum = compute(value.inputs().get(0), known).data().clone();
                float[] other = compute(value.inputs().get(1), known).data();
                for (int i = 0; i < sum.length; i++) {
                  sum[i] += other[i];
                }
                yield new HostTensor.Floats(sum, sum.length);
              }
              case MULTIPLY_SCALAR -> {
                float[] product = compute(value.inputs().get(0), known).data().clone();
                float factor = ((Number) value.attributes().get(0)).floatValue();
                for (int i = 0; i < product.length; i++) {
                  product[i] *= factor;
                }
                yield new HostTensor.Floats(product, product.length);
              }
              default ->
                  throw new EngineException(
                      "Engine toy has no operation " + value.op() + "; it has ADD and such.");
            };
        known.put(value, done);
      }
      return done;
    }

    @Override
    public void close() {}
  }
}
