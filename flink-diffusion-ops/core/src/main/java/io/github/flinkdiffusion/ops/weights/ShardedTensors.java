/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * One model's weights over several safetensors files, as the index beside them ({@code
 * *.safetensors.index.json}) says. The index is what counts: a tensor that it does not name is not
 * there.
 */
final class ShardedTensors implements TensorStore {
  private final Path index;
  private final List<Safetensors> shards;
  private final Map<String, Safetensors> shardOf;

  private ShardedTensors(Path index, List<Safetensors> shards, Map<String, Safetensors> shardOf) {
    this.index = index;
    this.shards = shards;
    this.shardOf = shardOf;
  }

  /**
   * Opens all shards, which must lie beside the index.
   *
   * @throws WeightsException if the index is malformed, or a file or tensor that it names is
   *     missing
   */
  public static ShardedTensors open(Path index) {
    return open(index, new FileDigests());
  }

  static ShardedTensors open(Path index, FileDigests digests) {
    Map<String, List<String>> namesByFile = namesByFile(index);
    List<Safetensors> shards = new ArrayList<>();
    Map<String, Safetensors> shardOf = new LinkedHashMap<>();
    try {
      namesByFile.forEach(
          (file, names) -> {
            Path path = index.resolveSibling(file);
            if (!Files.isRegularFile(path)) {
              throw new WeightsException(
                  "Weights index %s: shard '%s' is missing; is the download complete?"
                      .formatted(index, file));
            }
            Safetensors shard = Safetensors.open(path, digests);
            shards.add(shard);
            Set<String> wanted = new LinkedHashSet<>(names);
            shard.names().stream().filter(wanted::remove).forEach(name -> shardOf.put(name, shard));
            if (!wanted.isEmpty()) {
              throw new WeightsException(
                  "Weights index %s: shard '%s' does not hold tensor '%s', which the index places there"
                      .formatted(index, file, wanted.iterator().next()));
            }
          });
      return new ShardedTensors(index, shards, Collections.unmodifiableMap(shardOf));
    } catch (RuntimeException e) {
      shards.forEach(Safetensors::close);
      throw e;
    }
  }

  /** The shards that an index names, sorted; they may be missing. */
  static List<Path> files(Path index) {
    return namesByFile(index).keySet().stream().map(index::resolveSibling).toList();
  }

  private static Map<String, List<String>> namesByFile(Path index) {
    JsonNode weightMap = Config.read(index).node().path("weight_map");
    if (!weightMap.isObject() || weightMap.isEmpty()) {
      throw new WeightsException(
          "Weights index %s: no object 'weight_map' from tensor names to files".formatted(index));
    }
    Map<String, List<String>> namesByFile = new TreeMap<>();
    weightMap
        .fields()
        .forEachRemaining(
            field -> {
              String file = field.getValue().textValue();
              // A plain name: an index from somewhere else must not choose files outside its
              // folder.
              if (file == null
                  || file.isEmpty()
                  || file.matches(".*[/\\\\\\x00].*")
                  || file.startsWith(".")) {
                throw new WeightsException(
                    "Weights index %s: tensor '%s' is placed in %s; expected the name of a file beside the index"
                        .formatted(index, field.getKey(), field.getValue()));
              }
              namesByFile.computeIfAbsent(file, f -> new ArrayList<>()).add(field.getKey());
            });
    return namesByFile;
  }

  @Override
  public Set<String> names() {
    return shardOf.keySet();
  }

  @Override
  public TensorInfo info(String name) {
    return shard(name).info(name);
  }

  @Override
  public List<ByteBuffer> data(String name) {
    return shard(name).data(name);
  }

  @Override
  public Optional<TensorPlace> place(String name) {
    return shard(name).place(name);
  }

  private Safetensors shard(String name) {
    Safetensors shard = shardOf.get(name);
    if (shard == null) {
      throw TensorReads.noSuchTensor(source(), name, names());
    }
    return shard;
  }

  @Override
  public void requireUnchanged() {
    shards.forEach(Safetensors::requireUnchanged);
  }

  @Override
  public boolean isKnownFinite(String name) {
    return shard(name).isKnownFinite(name);
  }

  @Override
  public String source() {
    return index.toString();
  }

  @Override
  public String digest() {
    Sha256 sha256 = new Sha256();
    shards.forEach(shard -> sha256.add(shard.digest()));
    shardOf.forEach((name, shard) -> sha256.add(name).add(shard.digest()));
    return sha256.hex();
  }

  @Override
  public void close() {
    shards.forEach(Safetensors::close);
  }
}
