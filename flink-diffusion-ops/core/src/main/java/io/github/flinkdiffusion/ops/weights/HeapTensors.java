/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.flink.annotation.Internal;

/** Tensors on the heap: freshly trained or made for a test. Immutable; each tensor below 2 GiB. */
@Internal
public final class HeapTensors implements TensorStore {
  private record Entry(TensorInfo info, ByteBuffer data) {}

  private final Map<String, Entry> entries;

  private HeapTensors(Map<String, Entry> entries) {
    this.entries = entries;
  }

  public static Builder builder() {
    return new Builder();
  }

  /** Collects tensors; names must differ. */
  public static final class Builder {
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private Builder() {}

    /** Adds an F32 tensor, copying its elements. */
    public Builder add(String name, float[] elements, long... shape) {
      ByteBuffer data = allocate(name, elements.length, Float.BYTES);
      data.asFloatBuffer().put(elements);
      return put(TensorInfo.of(name, DType.F32, shape), elements.length, data);
    }

    /** Adds an I64 tensor, copying its elements. */
    public Builder add(String name, long[] elements, long... shape) {
      ByteBuffer data = allocate(name, elements.length, Long.BYTES);
      data.asLongBuffer().put(elements);
      return put(TensorInfo.of(name, DType.I64, shape), elements.length, data);
    }

    /** Adds a tensor of any dtype from its little-endian bytes, copying them. */
    public Builder add(TensorInfo info, byte[] bytes) {
      if (bytes.length != info.byteLength()) {
        throw new WeightsException(
            "Tensor %s takes %d bytes, but %d were given"
                .formatted(info, info.byteLength(), bytes.length));
      }
      return put(info, info.elements(), ByteBuffer.wrap(bytes.clone()));
    }

    private static ByteBuffer allocate(String name, int elements, int elementBytes) {
      if (elements > (Integer.MAX_VALUE - 8) / elementBytes) {
        throw new WeightsException(
            "Tensor '%s' of %d elements takes more than 2 GiB".formatted(name, elements));
      }
      return ByteBuffer.allocate(elements * elementBytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private Builder put(TensorInfo info, long elements, ByteBuffer data) {
      if (elements != info.elements()) {
        throw new WeightsException("Tensor %s does not have %d elements".formatted(info, elements));
      }
      if (entries.putIfAbsent(info.name(), new Entry(info, data.asReadOnlyBuffer())) != null) {
        throw new WeightsException("Tensor '%s' was added twice".formatted(info.name()));
      }
      return this;
    }

    public HeapTensors build() {
      return new HeapTensors(Collections.unmodifiableMap(new LinkedHashMap<>(entries)));
    }
  }

  @Override
  public Set<String> names() {
    return entries.keySet();
  }

  @Override
  public TensorInfo info(String name) {
    return entry(name).info;
  }

  @Override
  public List<ByteBuffer> data(String name) {
    return List.of(entry(name).data.duplicate().order(ByteOrder.LITTLE_ENDIAN));
  }

  private Entry entry(String name) {
    Entry entry = entries.get(name);
    if (entry == null) {
      throw TensorReads.noSuchTensor(source(), name, names());
    }
    return entry;
  }

  @Override
  public String source() {
    return "tensors in memory";
  }

  @Override
  public String digest() {
    Sha256 sha256 = new Sha256();
    for (Entry entry : entries.values()) {
      sha256
          .add(entry.info)
          .begin(entry.info.byteLength())
          .bytes(entry.data.duplicate().position(0));
    }
    return sha256.hex();
  }

  /** Does nothing: the garbage collector frees them. */
  @Override
  public void close() {}
}
