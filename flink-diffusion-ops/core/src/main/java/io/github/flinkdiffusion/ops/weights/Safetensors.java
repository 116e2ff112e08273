/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;

/**
 * A safetensors file, memory-mapped: opening it costs its header only, and a tensor is read from
 * disk when it is used.
 *
 * <p>The file is: the header's length (8 bytes, little-endian), the header (JSON: name to {@code
 * dtype}, {@code shape}, {@code data_offsets}, and strings under {@code __metadata__}), the
 * tensors' bytes. Everything the header says is checked against the file before it is believed: the
 * tensors must fill the rest of the file without gap or overlap, as the format demands, so a
 * truncated download is noticed here and not in a picture.
 *
 * <p>The file must not be truncated while it is open: the virtual machine would meet pages that are
 * no longer there. Replacing it by a rename is safe.
 */
@Internal
public final class Safetensors extends MappedFile<Safetensors.Layout> {
  /**
   * What the reference implementation accepts; a header of 100 MB would name about a million
   * tensors.
   */
  static final long MAX_HEADER_BYTES = 100_000_000L;

  private static final String METADATA_KEY = "__metadata__";

  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  record Entry(TensorInfo info, long begin, long end) {}

  /** What a header says, checked against the file. */
  record Layout(Map<String, String> metadata, Map<String, Entry> entries, long dataStart) {
    static Layout read(Path file, FileChannel channel) throws IOException {
      long size = channel.size();
      if (size < Long.BYTES) {
        throw invalid(
            file,
            "is %d bytes long, too short for a header's length; is the download complete?",
            size);
      }
      long headerBytes = Safetensors.read(channel, 0, Long.BYTES).getLong();
      long dataStart = Long.BYTES + headerBytes;
      if (headerBytes < 2 || headerBytes > MAX_HEADER_BYTES) {
        throw invalid(
            file,
            "says that its header is %s bytes long; 2 to %d are accepted, so it is not a"
                + " safetensors file",
            Long.toUnsignedString(headerBytes),
            MAX_HEADER_BYTES);
      }
      if (dataStart > size) {
        throw invalid(
            file,
            "says that its header is %d bytes long, but the file has %d in all; is the download"
                + " complete?",
            headerBytes,
            size);
      }
      JsonNode header =
          parse(file, Safetensors.read(channel, Long.BYTES, (int) headerBytes).array());
      return new Layout(
          Safetensors.metadata(file, header.get(METADATA_KEY)),
          Safetensors.entries(file, header, size - dataStart),
          dataStart);
    }
  }

  private Safetensors(Path file, long segmentBytes, FileDigests digests) {
    super(file, segmentBytes, digests, Layout::read, Layout::dataStart);
  }

  /**
   * Opens a file of any size.
   *
   * @throws WeightsException if it cannot be read or is not a valid safetensors file
   */
  public static Safetensors open(Path file) {
    return open(file, new FileDigests());
  }

  /**
   * @param digests what is known of files' digests
   */
  static Safetensors open(Path file, FileDigests digests) {
    return open(file, FileMapping.SEGMENT_BYTES, digests);
  }

  static Safetensors open(Path file, long segmentBytes) {
    return open(file, segmentBytes, new FileDigests());
  }

  private static Safetensors open(Path file, long segmentBytes, FileDigests digests) {
    return new Safetensors(file, segmentBytes, digests);
  }

  /** Where each tensor lies in a file, in order; empty if it is no valid safetensors file. */
  static List<FileDigests.Region> regions(Path file, FileChannel channel) throws IOException {
    try {
      Layout layout = Layout.read(file, channel);
      return layout.entries.values().stream()
          .map(entry -> new FileDigests.Region(entry.info, layout.dataStart + entry.begin))
          .toList();
    } catch (WeightsException e) {
      return List.of(); // opening it says why
    }
  }

  private static ByteBuffer read(FileChannel channel, long position, int count) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, position + buffer.position()) < 0) {
        throw new EOFException("file became shorter while it was read");
      }
    }
    return buffer.flip();
  }

  private static JsonNode parse(Path file, byte[] header) {
    JsonNode json;
    try {
      json = JSON.readTree(header);
    } catch (JsonProcessingException e) {
      throw new WeightsException(
          "Weights %s: its header is not valid JSON: %s".formatted(file, e.getOriginalMessage()),
          e);
    } catch (IOException e) {
      throw new WeightsException(
          "Weights %s: its header is not valid JSON: %s".formatted(file, e.getMessage()), e);
    }
    if (!json.isObject()) {
      throw invalid(file, "has a header that is not a JSON object");
    }
    return json;
  }

  private static Map<String, String> metadata(Path file, JsonNode json) {
    if (json == null) {
      return Map.of();
    }
    Map<String, String> metadata = new TreeMap<>();
    if (!json.isObject()) {
      throw invalid(file, "has a %s that is not an object of strings", METADATA_KEY);
    }
    json.fields()
        .forEachRemaining(
            field -> {
              if (!field.getValue().isTextual()) {
                throw invalid(
                    file, "has a %s whose '%s' is not a string", METADATA_KEY, field.getKey());
              }
              metadata.put(field.getKey(), field.getValue().textValue());
            });
    return Collections.unmodifiableMap(metadata);
  }

  /** The tensors in the order of their data. */
  private static Map<String, Entry> entries(Path file, JsonNode header, long dataBytes) {
    List<Entry> entries = new ArrayList<>(header.size());
    header
        .fields()
        .forEachRemaining(
            field -> {
              if (!field.getKey().equals(METADATA_KEY)) {
                entries.add(entry(file, field.getKey(), field.getValue(), dataBytes));
              }
            });
    entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    Map<String, Entry> byName = new LinkedHashMap<>();
    long end = 0;
    for (Entry entry : entries) {
      if (entry.begin != end) {
        throw invalid(
            file,
            "tensor '%s' begins at data byte %d, but the one before it ends at %d; there may be no"
                + " %s",
            entry.info.name(),
            entry.begin,
            end,
            entry.begin < end ? "overlap" : "hole");
      }
      end = entry.end;
      byName.put(entry.info.name(), entry);
    }
    if (end != dataBytes) {
      throw invalid(file, "has %d bytes of data, but its tensors end at %d", dataBytes, end);
    }
    return byName;
  }

  private static Entry entry(Path file, String name, JsonNode json, long dataBytes) {
    JsonNode dtypeName = json.path("dtype");
    DType dtype =
        Arrays.stream(DType.values())
            .filter(candidate -> candidate.name().equals(dtypeName.textValue()))
            .findFirst()
            .orElseThrow(
                () ->
                    invalid(
                        file,
                        "tensor '%s' has dtype %s; supported are %s",
                        name,
                        dtypeName.isMissingNode() ? "none" : dtypeName,
                        Arrays.toString(DType.values())));
    long[] shape = longs(file, name, "shape", json.path("shape"));
    long[] offsets = longs(file, name, "data_offsets", json.path("data_offsets"));
    if (offsets.length != 2 || offsets[0] > offsets[1] || offsets[1] > dataBytes) {
      throw invalid(
          file,
          "tensor '%s' has data_offsets %s; expected [begin, end] within the %d bytes of data; is"
              + " the download complete?",
          name,
          Arrays.toString(offsets),
          dataBytes);
    }
    try {
      return new Entry(
          new TensorInfo(name, dtype, shape, offsets[1] - offsets[0]), offsets[0], offsets[1]);
    } catch (WeightsException e) {
      throw new WeightsException("Weights %s: %s".formatted(file, e.getMessage()));
    }
  }

  private static long[] longs(Path file, String name, String key, JsonNode json) {
    if (!json.isArray()) {
      throw invalid(file, "tensor '%s' has no list '%s'", name, key);
    }
    long[] longs = new long[json.size()];
    for (int i = 0; i < longs.length; i++) {
      JsonNode number = json.get(i);
      if (!number.isIntegralNumber() || !number.canConvertToLong() || number.longValue() < 0) {
        throw invalid(
            file,
            "tensor '%s' has %s %s; whole numbers from 0 to 2^63 - 1 are accepted",
            name,
            key,
            json);
      }
      longs[i] = number.longValue();
    }
    return longs;
  }

  /** The strings under {@code __metadata__}, sorted by key; empty if there are none. */
  public Map<String, String> metadata() {
    return layout.metadata;
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(layout.entries.keySet());
  }

  @Override
  public TensorInfo info(String name) {
    return entry(name).info;
  }

  @Override
  public List<ByteBuffer> data(String name) {
    Entry entry = entry(name);
    FileMapping open = mappingFor(name);
    return open.slices(entry.begin, entry.end, entry.info.dtype().bytes());
  }

  @Override
  public Optional<TensorPlace> place(String name) {
    Entry entry = entry(name);
    return Optional.of(
        new TensorPlace(file.toAbsolutePath(), layout.dataStart + entry.begin, entry.info.dtype()));
  }

  private Entry entry(String name) {
    return entry(layout.entries, name);
  }

  @Override
  public boolean isKnownFinite(String name) {
    return digests.content(file, stamp).isFinite(entry(name).info.name());
  }

  private static WeightsException invalid(Path file, String problem, Object... values) {
    return new WeightsException("Weights " + file + ": " + problem.formatted(values));
  }
}
