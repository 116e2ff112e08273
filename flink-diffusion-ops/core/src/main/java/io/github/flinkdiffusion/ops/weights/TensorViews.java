/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * Tensors seen in another way, without copying them: under today's names, or as another dtype.
 * Closing a view closes what it shows.
 */
@Internal
public final class TensorViews {

  private TensorViews() {}

  /**
   * Attention weights under today's names. Checkpoints saved before diffusers 0.12 call the
   * projections of a VAE's or an unconditional UNet's attention {@code query}, {@code key}, {@code
   * value}, {@code proj_attn}; now they are {@code to_q}, {@code to_k}, {@code to_v}, {@code
   * to_out.0}. Still older conversions hold them as 1x1 convolutions, {@code [C, C, 1, 1]}, which
   * are the linear layers {@code [C, C]}. Weights that are new already pass unchanged.
   */
  public static TensorStore withCurrentAttentionNames(TensorStore store) {
    Map<String, String> originals = new LinkedHashMap<>();
    for (String name : store.names()) {
      String current = OldAttention.currentName(name);
      String other = originals.put(current, name);
      if (other != null) {
        throw new WeightsException(
            "%s: tensors '%s' and '%s' are the same one, '%s', under its old and its new name"
                .formatted(store.source(), other, name, current));
      }
    }
    return new View(store, originals, OldAttention::asLinear);
  }

  /**
   * A CLIP text encoder's weights under {@code text_model.}, where all but the newest checkpoints
   * have them: transformers 5 saves a text encoder without projection without that prefix. Any
   * other weights pass unchanged.
   */
  public static TensorStore withTextModelPrefix(TensorStore store) {
    if (!store.names().contains("embeddings.token_embedding.weight")) {
      return store;
    }
    Map<String, String> originals = new LinkedHashMap<>();
    store.names().forEach(name -> originals.put("text_model." + name, name));
    return new View(store, originals, UnaryOperator.identity());
  }

  /**
   * A language model's weights under the names that it has by itself: files of a model around it,
   * such as one that predicts tokens or sees images, have them behind a prefix. Any other weights
   * pass unchanged.
   */
  public static TensorStore withLanguageModelNames(TensorStore store) {
    String embeddings = "embed_tokens.weight";
    for (String prefix : List.of("model.language_model.", "language_model.model.", "model.")) {
      if (store.names().contains(prefix + embeddings)) {
        Map<String, String> originals = new LinkedHashMap<>();
        for (String name : store.names()) {
          originals.put(name.startsWith(prefix) ? name.substring(prefix.length()) : name, name);
        }
        return new View(store, originals, UnaryOperator.identity());
      }
    }
    return store;
  }

  /**
   * A safety checker's weights with its vision network under {@code vision_model.}, as transformers
   * 5 saves it and as any other CLIP has it: older files have {@code vision_model.vision_model.},
   * the checker's name for the network and the network's for its inside.
   */
  public static TensorStore withSingleVisionPrefix(TensorStore store) {
    String twice = "vision_model.vision_model.";
    Map<String, String> originals = new LinkedHashMap<>();
    for (String name : store.names()) {
      String once = name.startsWith(twice) ? name.substring("vision_model.".length()) : name;
      originals.put(once, name);
    }
    return new View(store, originals, UnaryOperator.identity());
  }

  /**
   * All floating-point tensors as {@code dtype}, converted when they are read; others unchanged.
   */
  public static TensorStore withFloatsAs(TensorStore store, DType dtype) {
    if (!dtype.isFloating() || dtype.isEightBitFloating()) {
      throw new IllegalArgumentException(dtype + " is not floating-point of at least 16 bits");
    }
    Map<String, String> names = new LinkedHashMap<>();
    store.names().forEach(name -> names.put(name, name));
    return new View(
        store,
        names,
        info -> info.dtype().isFloating() ? TensorInfo.of(info.name(), dtype, info.shape()) : info);
  }

  private static final class OldAttention {
    private static final Pattern OLD =
        Pattern.compile("(.*\\battentions\\.\\d+)\\.(query|key|value|proj_attn)\\.(weight|bias)");
    private static final Pattern PROJECTION =
        Pattern.compile(".*\\battentions\\.\\d+\\.(to_q|to_k|to_v|to_out\\.0)\\.weight");
    private static final Map<String, String> CURRENT =
        Map.of("query", "to_q", "key", "to_k", "value", "to_v", "proj_attn", "to_out.0");

    static String currentName(String name) {
      var old = OLD.matcher(name);
      return old.matches()
          ? old.group(1) + "." + CURRENT.get(old.group(2)) + "." + old.group(3)
          : name;
    }

    static TensorInfo asLinear(TensorInfo info) {
      long[] shape = info.shape();
      boolean pointwise = shape.length == 4 && shape[2] == 1 && shape[3] == 1;
      return pointwise && PROJECTION.matcher(info.name()).matches()
          ? TensorInfo.of(info.name(), info.dtype(), Arrays.copyOf(shape, 2))
          : info;
    }
  }

  /**
   * Another name, shape (of as many elements) or floating-point dtype for each tensor of a store.
   */
  private static final class View implements TensorStore {
    private final TensorStore store;
    private final Map<String, String> originals;
    private final UnaryOperator<TensorInfo> shown;

    View(TensorStore store, Map<String, String> originals, UnaryOperator<TensorInfo> shown) {
      this.store = store;
      this.originals = Collections.unmodifiableMap(originals);
      this.shown = shown;
    }

    @Override
    public Set<String> names() {
      return originals.keySet();
    }

    @Override
    public TensorInfo info(String name) {
      return shown.apply(store.info(original(name)).withName(name));
    }

    @Override
    public List<ByteBuffer> data(String name) {
      TensorInfo info = info(name);
      if (info.dtype() == store.info(original(name)).dtype()) {
        return store.data(original(name));
      }
      if (info.byteLength() > Integer.MAX_VALUE - 8) {
        throw new WeightsException(
            "%s: tensor %s is converted and larger than 2 GiB; read it with writeTo()"
                .formatted(source(), info));
      }
      return data(name, 0, info.elements());
    }

    @Override
    public List<ByteBuffer> data(String name, long first, long elements) {
      TensorInfo info = info(name);
      if (info.dtype() == store.info(original(name)).dtype()) {
        return store.data(original(name), first, elements);
      }
      ByteArrayOutputStream converted =
          new ByteArrayOutputStream(Math.toIntExact(elements * info.dtype().bytes()));
      try {
        TensorReads.write(
            store,
            original(name),
            first,
            elements,
            info.dtype(),
            new TensorReads.StreamChannel(converted));
      } catch (IOException e) {
        throw new AssertionError("a byte array does not fail", e);
      }
      return List.of(
          ByteBuffer.wrap(converted.toByteArray())
              .asReadOnlyBuffer()
              .order(ByteOrder.LITTLE_ENDIAN));
    }

    @Override
    public Optional<TensorPlace> place(String name) {
      return info(name).dtype() == store.info(original(name)).dtype()
          ? store.place(original(name))
          : Optional.empty();
    }

    @Override
    public void writeTo(String name, DType dtype, WritableByteChannel out) throws IOException {
      if (dtype == info(name).dtype()) {
        store.writeTo(original(name), dtype, out);
      } else {
        TensorReads.write(this, name, dtype, out);
      }
    }

    @Override
    public void requireUnchanged() {
      store.requireUnchanged();
    }

    @Override
    public boolean isKnownFinite(String name) {
      return store.isKnownFinite(original(name));
    }

    private String original(String name) {
      String original = originals.get(name);
      if (original == null) {
        throw TensorReads.noSuchTensor(source(), name, names());
      }
      return original;
    }

    @Override
    public String source() {
      return store.source();
    }

    @Override
    public String digest() {
      Sha256 sha256 = new Sha256().add(store.digest());
      originals.forEach((name, original) -> sha256.add(original).add(info(name)));
      return sha256.hex();
    }

    @Override
    public void close() {
      store.close();
    }
  }
}
