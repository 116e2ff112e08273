package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * SHA-256 of whole files, each computed once: a model's digest and its archives' keys are made of
 * the same gigabytes. Known digests live as long as this object, which is to say while one model is
 * being opened, and count only for the very file that was read: should it be replaced or written
 * meanwhile, its {@link Stamp} tells.
 */
final class FileDigests {
  /** What changes when a file is replaced or written. */
  record Stamp(Object fileKey, long size, FileTime modified) {
    static Stamp of(Path file) throws IOException {
      BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
      return new Stamp(attributes.fileKey(), attributes.size(), attributes.lastModifiedTime());
    }
  }

  private record Known(Stamp stamp, String digest) {}

  private final Map<Path, Known> known = new ConcurrentHashMap<>();

  /** So that a thread that wants a digest waits for another that makes it. */
  private final Map<Path, Object> reading = new ConcurrentHashMap<>();

  /** The digest of a file as it is now. */
  String digest(Path file) {
    try {
      return digest(file, Stamp.of(file));
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /**
   * The digest of a file as it was when it had this stamp.
   *
   * @throws WeightsException if it is no longer that file
   */
  String digest(Path file, Stamp stamp) {
    synchronized (reading.computeIfAbsent(file, path -> new Object())) {
      return knownOrRead(file, stamp);
    }
  }

  private String knownOrRead(Path file, Stamp stamp) {
    Known before = known.get(file);
    try {
      if (before != null && before.stamp.equals(stamp)) {
        checkUnchanged(file, stamp);
        return before.digest;
      }
      String digest = read(file);
      checkUnchanged(file, stamp);
      known.put(file, new Known(stamp, digest));
      return digest;
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /**
   * @throws WeightsException if the file does not have this stamp
   */
  static void checkUnchanged(Path file, Stamp stamp) throws IOException {
    if (!Stamp.of(file).equals(stamp)) {
      throw new WeightsException(
          "File %s changed while its model was being loaded; load it again when it is complete"
              .formatted(file));
    }
  }

  private static String read(Path file) throws IOException {
    Sha256 sha256 = new Sha256();
    try (FileChannel channel = FileChannel.open(file)) {
      ByteBuffer chunk = ByteBuffer.allocate(1 << 20);
      while (channel.read(chunk) >= 0) {
        sha256.bytes(chunk.flip());
        chunk.clear();
      }
    }
    return sha256.hex();
  }

  private static WeightsException unreadable(Path file, IOException e) {
    return new WeightsException("Can not read " + file + " for the model's digest: " + e, e);
  }
}
