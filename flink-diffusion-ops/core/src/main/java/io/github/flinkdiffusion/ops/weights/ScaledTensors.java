/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Weights of 8 bits beside scales, as ComfyUI's files have them, shown as the F32 tensors that they
 * stand for: {@code weight * scale}, computed when they are read. The scales and marks are not
 * shown.
 *
 * <p>Two spellings are read, of a scale for the whole weight or for each of its rows: {@code
 * X.scale_weight} (with a mark {@code scaled_fp8} for the file) and {@code X.weight_scale} (with a
 * mark {@code X.comfy_quant} of JSON). What belongs to the arithmetic of 8 bits, {@code
 * X.scale_input} and {@code X.input_scale}, changes nothing here. Weights of 8 bits without a scale
 * are themselves, and so are those of int8 and int4 with theirs ({@link QuantizedWeights}).
 */
final class ScaledTensors implements TensorStore {
  private static final String FILE_MARK = "scaled_fp8";
  private static final String LAYER_MARK = ".comfy_quant";
  private static final String WEIGHT = ".weight";
  private static final List<String> SCALES = List.of(".scale_weight", ".weight_scale");
  private static final List<String> INPUT_SCALES = List.of(".scale_input", ".input_scale");

  /** Other methods, whose scales mean something else. */
  private static final List<String> REFUSED =
      List.of(".weight_scale_inv", ".weight_scale_2", ".absmax", ".qweight", ".nested_absmax");

  private static final Set<String> FORMATS = Set.of("float8_e4m3fn", "float8_e5m2");

  private final TensorStore store;

  /** The names that are shown. */
  private final Set<String> names;

  private final Map<String, String> scales;

  private ScaledTensors(TensorStore store, Set<String> names, Map<String, String> scales) {
    this.store = store;
    this.names = Collections.unmodifiableSet(names);
    this.scales = Collections.unmodifiableMap(scales);
  }

  /**
   * The store itself, if it has neither scales nor marks.
   *
   * @throws WeightsException for scales of other methods, and of other shapes
   */
  static TensorStore of(TensorStore store) {
    Set<String> names = new LinkedHashSet<>(store.names());
    Map<String, String> scales = new LinkedHashMap<>();
    for (String name : store.names()) {
      refuseOthers(store, name);
      if (name.endsWith(LAYER_MARK)) {
        requireFormat(store, name);
        names.remove(name);
      } else if (isFileMark(name) || end(name, INPUT_SCALES).isPresent()) {
        names.remove(name);
      } else {
        Optional<String> end = end(name, SCALES);
        if (end.isPresent()) {
          String weight = name.substring(0, name.length() - end.get().length()) + WEIGHT;
          if (name.equals(weight + QuantizedWeights.SCALE)
              && QuantizedWeights.kind(store, weight).isPresent()) {
            continue; // both are shown: a network computes with them
          }
          requireFits(store, weight, name);
          String other = scales.put(weight, name);
          if (other != null) {
            throw new WeightsException(
                "Weights %s: tensor '%s' has two scales, '%s' and '%s'"
                    .formatted(store.source(), weight, other, name));
          }
          names.remove(name);
        }
      }
    }
    return names.size() == store.names().size() ? store : new ScaledTensors(store, names, scales);
  }

  private static boolean isFileMark(String name) {
    return name.equals(FILE_MARK) || name.endsWith("." + FILE_MARK);
  }

  private static Optional<String> end(String name, List<String> ends) {
    return ends.stream().filter(name::endsWith).findFirst();
  }

  private static void refuseOthers(TensorStore store, String name) {
    if (end(name, REFUSED).isPresent()) {
      throw new WeightsException(
          "Weights %s: tensor '%s' is of a quantization that is not supported; supported are 8-bit floats with .scale_weight or .weight_scale, and GGUF files"
              .formatted(store.source(), name));
    }
  }

  private static void requireFormat(TensorStore store, String mark) {
    TensorInfo info = store.info(mark);
    String format = "";
    if (info.dtype() == DType.U8 && info.elements() <= 1 << 16) {
      byte[] text = new byte[(int) info.elements()];
      int at = 0;
      for (ByteBuffer part : store.data(mark)) {
        int count = part.remaining();
        part.get(text, at, count);
        at += count;
      }
      try {
        JsonNode json = JsonMapper.builder().build().readTree(text);
        format = json == null ? "" : json.path("format").asText();
      } catch (IOException e) {
        format = "no JSON";
      }
    }
    if (!FORMATS.contains(format)) {
      throw new WeightsException(
          "Weights %s: tensor '%s' names the format '%s'; supported are %s"
              .formatted(store.source(), mark, format, "float8_e4m3fn and float8_e5m2"));
    }
  }

  private static void requireFits(TensorStore store, String weight, String scale) {
    if (!store.contains(weight)) {
      throw new WeightsException(
          "Weights %s: there is a scale '%s', but no tensor '%s'"
              .formatted(store.source(), scale, weight));
    }
    TensorInfo of = store.info(weight);
    TensorInfo by = store.info(scale);
    boolean fits = of.dtype().isEightBitFloating() && by.dtype().isFloating();
    long rows = of.shape().length == 0 ? 1 : of.shape()[0];
    boolean each = by.elements() == rows && by.shape().length > 0 && by.shape()[0] == rows;
    if (!fits || by.elements() != 1 && !each) {
      throw new WeightsException(
          "Weights %s: tensor %s is the scale of %s; supported is a floating-point scale of 1 element, or one for each row, of a weight of F8_E4M3 or F8_E5M2"
              .formatted(store.source(), by, of));
    }
  }

  @Override
  public Set<String> names() {
    return names;
  }

  @Override
  public TensorInfo info(String name) {
    require(name);
    TensorInfo info = store.info(name);
    return scales.containsKey(name) ? TensorInfo.of(name, DType.F32, info.shape()) : info;
  }

  @Override
  public List<ByteBuffer> data(String name) {
    TensorInfo info = info(name);
    if (!scales.containsKey(name)) {
      return store.data(name);
    }
    if (info.byteLength() > Integer.MAX_VALUE - 8) {
      throw new WeightsException(
          "%s: tensor %s is computed and larger than 2 GiB; read it with writeTo()"
              .formatted(source(), info));
    }
    return data(name, 0, info.elements());
  }

  @Override
  public List<ByteBuffer> data(String name, long first, long elements) {
    TensorInfo info = info(name);
    String scale = scales.get(name);
    if (scale == null) {
      return store.data(name, first, elements);
    }
    DType stored = store.info(name).dtype();
    float[] factors = store.floats(scale);
    long row = factors.length == 1 ? Long.MAX_VALUE : info.elements() / factors.length;
    ByteBuffer computed =
        ByteBuffer.allocate(Math.toIntExact(elements * Float.BYTES)).order(ByteOrder.LITTLE_ENDIAN);
    long at = first;
    for (ByteBuffer part : store.data(name, first, elements)) {
      while (part.hasRemaining()) {
        computed.putFloat(EightBitFloats.toFloat(stored, part.get()) * factors[(int) (at / row)]);
        at++;
      }
    }
    return List.of(computed.flip().asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN));
  }

  @Override
  public Optional<TensorPlace> place(String name) {
    require(name);
    return scales.containsKey(name) ? Optional.empty() : store.place(name);
  }

  private void require(String name) {
    if (!names.contains(name)) {
      throw TensorReads.noSuchTensor(source(), name, names);
    }
  }

  @Override
  public void requireUnchanged() {
    store.requireUnchanged();
  }

  @Override
  public boolean isKnownFinite(String name) {
    require(name);
    return !scales.containsKey(name) && store.isKnownFinite(name);
  }

  @Override
  public String source() {
    return store.source();
  }

  @Override
  public String digest() {
    Sha256 sha256 = new Sha256().add("scaled").add(store.digest());
    scales.forEach((weight, scale) -> sha256.add(weight).add(scale));
    return sha256.hex();
  }

  @Override
  public void close() {
    store.close();
  }
}
