/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.zip.ZipEntry;
import org.apache.commons.compress.archivers.zip.ZipArchiveEntry;
import org.apache.commons.compress.archivers.zip.ZipArchiveOutputStream;
import org.apache.flink.annotation.Internal;

/**
 * Writes a {@link Graph} and its weights as the zip archive that {@code torch.jit.load} reads.
 *
 * <p>An archive for training holds its weights. One that only computes may leave them where they
 * are ({@link #mapping}): it is text of some hundred kilobytes, and libtorch maps the files.
 *
 * <p>Entries are stored, not deflated, as libtorch demands of tensor data. Weights are streamed, so
 * the heap holds none of them; a checksum is written before its content when the content has been.
 * Zip64 is used when needed.
 */
@Internal
public final class ArchiveWriter {
  /** Maps the weights; its arguments are {@link #mappedFiles}, as texts. */
  public static final String MAPPING_METHOD = MappedParameters.METHOD;

  private static final String ROOT = "net/";

  /**
   * The file format whose operations are those of libtorch 2; in older ones, such as 3, gelu has no
   * approximation.
   */
  private static final String VERSION = "10\n";

  /** Before the first that a zip can say, which is then said: the same bytes at any time. */
  private static final long NO_TIME = 0;

  private final Graph graph;
  private final Precision precision;
  private final Optional<MappedParameters> mapped;
  private final TorchScriptEmitter emitter;

  public ArchiveWriter(Graph graph, Precision precision) {
    this(graph, precision, Arithmetic.AS_STORED);
  }

  public ArchiveWriter(Graph graph, Precision precision, Arithmetic arithmetic) {
    this(graph, precision, arithmetic, Convolutions.LIBRARY);
  }

  public ArchiveWriter(
      Graph graph, Precision precision, Arithmetic arithmetic, Convolutions convolutions) {
    this(graph, precision, arithmetic, convolutions, Optional.empty());
  }

  private ArchiveWriter(
      Graph graph,
      Precision precision,
      Arithmetic arithmetic,
      Convolutions convolutions,
      Optional<MappedParameters> mapped) {
    this.graph = graph;
    this.precision = precision;
    this.mapped = mapped;
    this.emitter = new TorchScriptEmitter(graph, arithmetic, convolutions, mapped);
  }

  /**
   * Of an archive without weights, whose method {@link #MAPPING_METHOD} maps them and must be
   * called before any other.
   *
   * @param place where each parameter lies in a file, in its own type ({@link Graph#type})
   * @param device where the weights go: {@code cpu}, where they stay mapped, or such as {@code
   *     cuda:0}, to which they are copied
   */
  public static ArchiveWriter mapping(
      Graph graph,
      Precision precision,
      Convolutions convolutions,
      Function<String, TensorPlace> place,
      String device) {
    return new ArchiveWriter(
        graph,
        precision,
        Arithmetic.AS_STORED,
        convolutions,
        Optional.of(new MappedParameters(graph, place, device)));
  }

  /** The arguments of {@link #MAPPING_METHOD}; empty if the archive holds all weights. */
  public List<Path> mappedFiles() {
    return mapped.map(MappedParameters::files).orElse(List.of());
  }

  /** The attribute of the archive's module that holds a parameter: its name without dots. */
  public String identifier(String parameter) {
    return emitter.identifier(parameter);
  }

  /** The TorchScript text, for logs and tests. */
  public String source() {
    return emitter.source();
  }

  /**
   * Writes the archive under a temporary name beside {@code target} and moves it there, so that no
   * reader sees half a file and of two writers the last one wins.
   */
  public void write(Path target, ParameterSource weights) throws IOException {
    Path folder = target.toAbsolutePath().getParent();
    Files.createDirectories(folder);
    Path partial = Files.createTempFile(folder, target.getFileName().toString(), ".partial");
    try {
      try (FileChannel out = FileChannel.open(partial, StandardOpenOption.WRITE)) {
        write(out, weights);
      }
      Files.move(
          partial, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(partial);
    }
  }

  /** Writes an archive without weights. */
  public void write(Path target) throws IOException {
    write(
        target,
        (name, shape, out) -> {
          throw new IllegalStateException("The archive holds its weights, so it needs " + name);
        });
  }

  /**
   * Writes the archive in small pieces from the channel's position on; the same weights give the
   * same bytes. The channel is not closed.
   */
  public void write(SeekableByteChannel out, ParameterSource weights) throws IOException {
    ZipArchiveOutputStream zip = new ZipArchiveOutputStream(out);
    zip.setMethod(ZipEntry.STORED);
    entry(zip, "version", VERSION.getBytes(StandardCharsets.US_ASCII));
    entry(zip, "byteorder", "little".getBytes(StandardCharsets.US_ASCII));
    entry(zip, "data.pkl", attributes());
    entry(zip, "constants.pkl", emptyConstants());
    entry(zip, "code/__torch__.py", emitter.source().getBytes(StandardCharsets.UTF_8));
    int index = 0;
    if (mapped.isPresent()) {
      entry(zip, "data/" + index++, bytes(new float[1]));
    } else {
      for (var parameter : graph.parameterShapes().entrySet()) {
        tensor(zip, index++, parameter.getKey(), parameter.getValue(), weights);
      }
    }
    for (float[] constant : graph.constants().values()) {
      entry(zip, "data/" + index++, bytes(constant));
    }
    zip.finish();
  }

  private static byte[] bytes(float[] constant) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * constant.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(constant);
    return bytes.array();
  }

  private void tensor(
      ZipArchiveOutputStream zip, int index, String name, long[] shape, ParameterSource weights)
      throws IOException {
    long expected = Math.multiplyExact(Graph.elements(shape), (long) type(name).bytes());
    zip.putArchiveEntry(stored("data/" + index, expected));
    CountingStream content = new CountingStream(zip);
    weights.write(name, shape, content);
    if (content.count != expected) {
      throw new GraphException(
          "Parameter "
              + name
              + " has "
              + content.count
              + " bytes where its shape needs "
              + expected
              + ".");
    }
    zip.closeArchiveEntry();
  }

  private DType type(String parameter) {
    return graph.type(parameter, precision);
  }

  private static void entry(ZipArchiveOutputStream zip, String name, byte[] content)
      throws IOException {
    zip.putArchiveEntry(stored(name, content.length));
    zip.write(content);
    zip.closeArchiveEntry();
  }

  private static ZipArchiveEntry stored(String name, long size) {
    ZipArchiveEntry entry = new ZipArchiveEntry(ROOT + name);
    entry.setTime(NO_TIME);
    entry.setSize(size);
    return entry;
  }

  private byte[] attributes() {
    PickleWriter pickle = new PickleWriter();
    pickle.global("__torch__", "Net");
    pickle.emptyTuple();
    pickle.newObject();
    pickle.emptyDict();
    pickle.mark();
    pickle.string("training");
    pickle.bool(false);
    int index = 0;
    for (var parameter : graph.parameterShapes().entrySet()) {
      pickle.string(emitter.identifier(parameter.getKey()));
      if (mapped.isPresent()) {
        // Nothing of one number, until the mapping takes its place.
        tensor(pickle, storageClass(DType.F32), index, 1, new long[] {0});
      } else {
        long[] shape = parameter.getValue();
        DType type = type(parameter.getKey());
        tensor(pickle, storageClass(type), index++, Graph.elements(shape), shape);
      }
    }
    index += mapped.isPresent() ? 1 : 0;
    for (var constant : graph.constants().entrySet()) {
      pickle.string(emitter.identifier(constant.getKey()));
      int length = constant.getValue().length;
      tensor(pickle, storageClass(DType.F32), index++, length, new long[] {length});
    }
    pickle.setItems();
    pickle.build();
    return pickle.finish();
  }

  /** The class in Python's module {@code torch} that names a dtype in a pickle. */
  private static String storageClass(DType type) {
    return switch (type) {
      case F32 -> "FloatStorage";
      case F64 -> "DoubleStorage";
      case F16 -> "HalfStorage";
      case BF16 -> "BFloat16Storage";
      case I64 -> "LongStorage";
      case I32 -> "IntStorage";
      case I16 -> "ShortStorage";
      case I8 -> "CharStorage";
      case U8 -> "ByteStorage";
      case BOOL -> "BoolStorage";
      case F8_E4M3, F8_E5M2 ->
          throw new IllegalArgumentException("No network computes in " + type + ".");
    };
  }

  private static void tensor(
      PickleWriter pickle, String storageName, int index, long stored, long[] shape) {
    pickle.global("torch._utils", "_rebuild_tensor_v2");
    pickle.mark();
    pickle.mark();
    pickle.string("storage");
    pickle.global("torch", storageName);
    pickle.string(Integer.toString(index));
    pickle.string("cpu");
    pickle.integer(stored);
    pickle.tuple();
    pickle.persistentId();
    pickle.integer(0);
    pickle.integers(shape);
    pickle.integers(contiguousStrides(shape));
    pickle.bool(false);
    pickle.global("collections", "OrderedDict");
    pickle.emptyTuple();
    pickle.reduce();
    pickle.tuple();
    pickle.reduce();
  }

  private static long[] contiguousStrides(long[] shape) {
    long[] strides = new long[shape.length];
    long stride = 1;
    for (int i = shape.length - 1; i >= 0; i--) {
      strides[i] = stride;
      stride *= shape[i];
    }
    return strides;
  }

  private static byte[] emptyConstants() {
    PickleWriter pickle = new PickleWriter();
    pickle.emptyTuple();
    return pickle.finish();
  }

  /** A source may close the stream it is given; the zip goes on. */
  private static final class CountingStream extends OutputStream {
    private final OutputStream out;
    private long count;

    private CountingStream(OutputStream out) {
      this.out = out;
    }

    @Override
    public void write(int value) throws IOException {
      out.write(value);
      count++;
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      out.write(bytes, offset, length);
      count += length;
    }
  }
}
