package io.github.flinkdiffusion.ops.torchscript;

import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.Sha256;
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
import java.util.zip.ZipEntry;
import org.apache.commons.compress.archivers.zip.ZipArchiveEntry;
import org.apache.commons.compress.archivers.zip.ZipArchiveOutputStream;

/**
 * Writes a {@link Graph} and its weights as the zip archive that {@code torch.jit.load} reads.
 *
 * <p>Entries are stored, not deflated, as libtorch demands of tensor data. Weights are streamed, so
 * the heap holds none of them; a checksum is written before its content when the content has been.
 * Zip64 is used when needed.
 */
public final class ArchiveWriter {
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
  private final TorchScriptEmitter emitter;

  public ArchiveWriter(Graph graph, Precision precision) {
    this(graph, precision, Arithmetic.AS_STORED);
  }

  public ArchiveWriter(Graph graph, Precision precision, Arithmetic arithmetic) {
    this(graph, precision, arithmetic, Convolutions.LIBRARY);
  }

  public ArchiveWriter(
      Graph graph, Precision precision, Arithmetic arithmetic, Convolutions convolutions) {
    this.graph = graph;
    this.precision = precision;
    this.emitter = new TorchScriptEmitter(graph, arithmetic, convolutions);
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
   * SHA-256 in hexadecimal over everything that decides the archive's bytes but its weights'
   * values: the format, the program, each parameter's name, shape and type, and the constants. Two
   * writers with the same digest write the same archive of the same weights.
   */
  public String digest() {
    Sha256 sha256 = new Sha256().add(VERSION).add(emitter.source()).add(attributes());
    graph.parameterShapes().keySet().forEach(sha256::add);
    for (float[] constant : graph.constants().values()) {
      sha256.add(bytes(constant));
    }
    return sha256.hex();
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
    for (var parameter : graph.parameterShapes().entrySet()) {
      tensor(zip, index++, parameter.getKey(), parameter.getValue(), weights);
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
      tensor(pickle, storageClass(type(parameter.getKey())), index++, parameter.getValue());
    }
    for (var constant : graph.constants().entrySet()) {
      pickle.string(emitter.identifier(constant.getKey()));
      tensor(pickle, storageClass(DType.F32), index++, new long[] {constant.getValue().length});
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
    };
  }

  private static void tensor(PickleWriter pickle, String storageName, int index, long[] shape) {
    pickle.global("torch._utils", "_rebuild_tensor_v2");
    pickle.mark();
    pickle.mark();
    pickle.string("storage");
    pickle.global("torch", storageName);
    pickle.string(Integer.toString(index));
    pickle.string("cpu");
    pickle.integer(Graph.elements(shape));
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
