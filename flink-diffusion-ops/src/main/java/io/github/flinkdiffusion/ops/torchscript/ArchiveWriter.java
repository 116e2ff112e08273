package io.github.flinkdiffusion.ops.torchscript;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.zip.CRC32;
import java.util.zip.CheckedOutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Writes a {@link Graph} and its weights as the zip archive that {@code torch.jit.load} reads.
 *
 * <p>Entries are stored, not deflated, as libtorch demands of tensor data. Weights are streamed, so
 * the heap holds none of them; each is read twice because a stored entry's checksum stands before
 * its content. Zip64 is used when needed.
 */
public final class ArchiveWriter {
  private static final String ROOT = "net/";

  /**
   * The file format whose operations are those of libtorch 2; in older ones, such as 3, gelu has no
   * approximation.
   */
  private static final String VERSION = "10\n";

  private final Graph graph;
  private final StorageType storage;
  private final TorchScriptEmitter emitter;

  public ArchiveWriter(Graph graph, StorageType storage) {
    this(graph, storage, Arithmetic.AS_STORED);
  }

  public ArchiveWriter(Graph graph, StorageType storage, Arithmetic arithmetic) {
    this.graph = graph;
    this.storage = storage;
    this.emitter = new TorchScriptEmitter(graph, arithmetic);
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
      try (ZipOutputStream zip =
          new ZipOutputStream(new BufferedOutputStream(Files.newOutputStream(partial), 1 << 16))) {
        zip.setMethod(ZipOutputStream.STORED);
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
          ByteBuffer bytes =
              ByteBuffer.allocate(4 * constant.length).order(ByteOrder.LITTLE_ENDIAN);
          bytes.asFloatBuffer().put(constant);
          entry(zip, "data/" + index++, bytes.array());
        }
      }
      Files.move(
          partial, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(partial);
    }
  }

  private void tensor(
      ZipOutputStream zip, int index, String name, long[] shape, ParameterSource weights)
      throws IOException {
    CRC32 crc = new CRC32();
    CountingStream counter = new CountingStream();
    weights.write(name, shape, new CheckedOutputStream(counter, crc));
    long expected = Math.multiplyExact(Graph.elements(shape), (long) storage.bytes());
    if (counter.count != expected) {
      throw new GraphException(
          "Parameter "
              + name
              + " has "
              + counter.count
              + " bytes where its shape needs "
              + expected
              + ".");
    }
    ZipEntry entry = new ZipEntry(ROOT + "data/" + index);
    entry.setSize(expected);
    entry.setCompressedSize(expected);
    entry.setCrc(crc.getValue());
    zip.putNextEntry(entry);
    weights.write(name, shape, new UnclosableStream(zip));
    zip.closeEntry();
  }

  private static void entry(ZipOutputStream zip, String name, byte[] content) throws IOException {
    CRC32 crc = new CRC32();
    crc.update(content);
    ZipEntry entry = new ZipEntry(ROOT + name);
    entry.setSize(content.length);
    entry.setCompressedSize(content.length);
    entry.setCrc(crc.getValue());
    zip.putNextEntry(entry);
    zip.write(content);
    zip.closeEntry();
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
      tensor(pickle, storage.pickleName(), index++, parameter.getValue());
    }
    for (var constant : graph.constants().entrySet()) {
      pickle.string(emitter.identifier(constant.getKey()));
      tensor(
          pickle,
          StorageType.FLOAT32.pickleName(),
          index++,
          new long[] {constant.getValue().length});
    }
    pickle.setItems();
    pickle.build();
    return pickle.finish();
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

  private static final class CountingStream extends OutputStream {
    private long count;

    @Override
    public void write(int value) {
      count++;
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
      count += length;
    }
  }

  /** A source may close the stream it is given; the zip goes on. */
  private static final class UnclosableStream extends OutputStream {
    private final OutputStream out;

    private UnclosableStream(OutputStream out) {
      this.out = out;
    }

    @Override
    public void write(int value) throws IOException {
      out.write(value);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      out.write(bytes, offset, length);
    }
  }
}
