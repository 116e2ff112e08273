/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;

/**
 * Tensors of several stores as those of one, each store's behind a prefix: networks that run as one
 * graph. Closing it closes all of them.
 */
@Internal
public final class JoinedTensors implements TensorStore {
  private record Place(TensorStore store, String name) {}

  private final Map<String, TensorStore> stores;
  private final Map<String, Place> places = new LinkedHashMap<>();

  /**
   * @param stores by prefix, such as {@code controlnet.}; empty for names as they are
   * @throws WeightsException if two tensors have one name then
   */
  public JoinedTensors(Map<String, TensorStore> stores) {
    this.stores = Collections.unmodifiableMap(new LinkedHashMap<>(stores));
    this.stores.forEach(
        (prefix, store) -> {
          for (String name : store.names()) {
            if (places.put(prefix + name, new Place(store, name)) != null) {
              throw new WeightsException(
                  "%s: tensor '%s%s' is in another network, too"
                      .formatted(store.source(), prefix, name));
            }
          }
        });
  }

  private Place find(String name) {
    Place place = places.get(name);
    if (place != null) {
      return place;
    }
    // The store that it should be in says what it has.
    for (Map.Entry<String, TensorStore> store : stores.entrySet()) {
      if (!store.getKey().isEmpty() && name.startsWith(store.getKey())) {
        String own = name.substring(store.getKey().length());
        throw TensorReads.noSuchTensor(store.getValue().source(), own, store.getValue().names());
      }
    }
    throw TensorReads.noSuchTensor(source(), name, names());
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(places.keySet());
  }

  @Override
  public TensorInfo info(String name) {
    Place place = find(name);
    return place.store().info(place.name()).withName(name);
  }

  @Override
  public List<ByteBuffer> data(String name) {
    Place place = find(name);
    return place.store().data(place.name());
  }

  @Override
  public List<ByteBuffer> data(String name, long first, long elements) {
    Place place = find(name);
    return place.store().data(place.name(), first, elements);
  }

  @Override
  public Optional<TensorPlace> place(String name) {
    Place place = find(name);
    return place.store().place(place.name());
  }

  @Override
  public void writeTo(String name, DType dtype, WritableByteChannel out) throws IOException {
    Place place = find(name);
    place.store().writeTo(place.name(), dtype, out);
  }

  @Override
  public void requireUnchanged() {
    stores.values().forEach(TensorStore::requireUnchanged);
  }

  @Override
  public boolean isKnownFinite(String name) {
    Place place = find(name);
    return place.store().isKnownFinite(place.name());
  }

  @Override
  public String source() {
    return stores.values().stream().map(TensorStore::source).collect(Collectors.joining(" and "));
  }

  @Override
  public String digest() {
    Sha256 sha256 = new Sha256();
    stores.forEach((prefix, store) -> sha256.add(prefix).add(store.digest()));
    return sha256.hex();
  }

  @Override
  public void close() {
    stores.values().forEach(TensorStore::close);
  }
}
