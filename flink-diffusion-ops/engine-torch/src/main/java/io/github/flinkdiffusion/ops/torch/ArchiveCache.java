package io.github.flinkdiffusion.ops.torch;

import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.Enumeration;
import java.util.HexFormat;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where the archives that libtorch loads are written, and whether they are kept.
 *
 * <p>A kept archive's name holds a digest of all that decides its content: the program and the
 * weights' own digest. So it is never stale, whatever happens to a file's times: other weights are
 * another name. It appears under that name complete and on disk; two processes that miss the same
 * one both write it, and the later move replaces equal bytes with equal bytes. Each use checks the
 * archive against its own checksums, which finds what a disk or a person did to it since; it is
 * then written anew.
 *
 * <p>Nothing is ever evicted, since only the owner of the folder knows who shares it; any file in
 * it may be deleted while nobody is loading a model.
 */
final class ArchiveCache {
  private static final Logger LOG = LoggerFactory.getLogger(ArchiveCache.class);
  private static final String PARTIAL = ".partial";

  /**
   * A file that nobody has written to for so long is what a killed process left behind: a writer
   * goes on without pause.
   */
  private static final Duration ABANDONED_AFTER = Duration.ofHours(1);

  /** So that subtasks of one process that miss the same archive write it once. */
  private static final Map<Path, Object> WRITING = new ConcurrentHashMap<>();

  /** Null: archives are temporary files. */
  private final Path folder;

  private ArchiveCache(Path folder) {
    this.folder = folder;
  }

  /**
   * Archives are temporary files that live until they are loaded. The default: kept ones take as
   * much disk as the models themselves, and where that is to be had only the user knows.
   */
  static ArchiveCache none() {
    return new ArchiveCache(null);
  }

  /**
   * Archives are kept in a folder, for this process and all others that use it.
   *
   * @param folder is made when the first archive is written; reading alone needs no permission to
   *     write
   */
  static ArchiveCache in(Path folder) {
    return new ArchiveCache(folder.toAbsolutePath().normalize());
  }

  /**
   * Hands a complete archive to a function, which may not keep the path.
   *
   * @param name of the network, which begins the file's name
   * @param writer writes it if it is not there
   * @param weightsDigest stands for all that {@code weights} will give; asked for only if archives
   *     are kept
   * @param weights the values of the writer's parameters
   * @throws UncheckedIOException naming the folder, if the archive can not be written
   */
  <T> T with(
      String name,
      ArchiveWriter writer,
      Supplier<String> weightsDigest,
      ParameterSource weights,
      Function<Path, T> use) {
    if (folder == null) {
      return withTemporary(name, writer, weights, use);
    }
    Path archive = folder.resolve(name + "-" + key(writer, weightsDigest.get()) + ".pt");
    synchronized (WRITING.computeIfAbsent(archive, path -> new Object())) {
      if (!isIntact(archive)) {
        write(archive, writer, weightsDigest, weights);
      }
    }
    return use.apply(archive);
  }

  private static <T> T withTemporary(
      String name, ArchiveWriter writer, ParameterSource weights, Function<Path, T> use) {
    Path temporary = null;
    try {
      temporary = Files.createTempDirectory("flink-diffusion");
      Path archive = temporary.resolve(name + ".pt");
      writer.write(archive, weights);
      return use.apply(archive);
    } catch (IOException e) {
      throw new UncheckedIOException(
          "The archive of %s could not be written to a temporary folder: %s".formatted(name, e), e);
    } finally {
      if (temporary != null) {
        deleteQuietly(temporary.resolve(name + ".pt"));
        deleteQuietly(temporary);
      }
    }
  }

  /** Half of SHA-256: enough for content that nobody forges, and messages stay readable. */
  private static String key(ArchiveWriter writer, String weightsDigest) {
    return Sha256.hex(HexFormat.of().parseHex(writer.digest() + weightsDigest)).substring(0, 32);
  }

  private void write(
      Path archive, ArchiveWriter writer, Supplier<String> weightsDigest, ParameterSource weights) {
    Path partial = folder.resolve(archive.getFileName() + "." + UUID.randomUUID() + PARTIAL);
    try {
      Files.createDirectories(folder);
      deleteAbandoned();
      // Not createTempFile, whose files only their owner may read: others load the archive.
      try (FileChannel file =
          FileChannel.open(partial, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        writer.write(file, weights);
        file.force(true);
      }
      // Asked again: it refuses if the weights' files have changed since the key was made of them.
      weightsDigest.get();
      Files.move(
          partial, archive, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      LOG.info("Archive {} was written", archive);
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Archive %s could not be written to the cache: %s. Give a folder with enough room that this process may write to, or none to use temporary files"
              .formatted(archive, e),
          e);
    } finally {
      deleteQuietly(partial);
    }
  }

  private void deleteAbandoned() throws IOException {
    Instant limit = Instant.now().minus(ABANDONED_AFTER);
    try (DirectoryStream<Path> partials = Files.newDirectoryStream(folder, "*.pt.*" + PARTIAL)) {
      for (Path partial : partials) {
        try {
          if (Files.getLastModifiedTime(partial).toInstant().isBefore(limit)) {
            Files.deleteIfExists(partial);
          }
        } catch (NoSuchFileException alreadyGone) {
          LOG.debug("{} was finished or deleted by another process", partial);
        }
      }
    }
  }

  /** Whether an archive is there and all its entries agree with their checksums. */
  private static boolean isIntact(Path archive) {
    if (!Files.exists(archive)) {
      return false;
    }
    byte[] chunk = new byte[1 << 16];
    try (ZipFile zip = new ZipFile(archive.toFile())) {
      for (Enumeration<? extends ZipEntry> all = zip.entries(); all.hasMoreElements(); ) {
        ZipEntry entry = all.nextElement();
        CRC32 crc = new CRC32();
        long size = 0;
        try (InputStream in = new CheckedInputStream(zip.getInputStream(entry), crc)) {
          for (int count; (count = in.read(chunk)) >= 0; ) {
            size += count;
          }
        }
        if (size != entry.getSize() || crc.getValue() != entry.getCrc()) {
          LOG.warn("Archive {} is damaged at {}; it is written anew", archive, entry.getName());
          return false;
        }
      }
      return true;
    } catch (IOException e) {
      LOG.warn("Archive {} can not be read ({}); it is written anew", archive, e.toString());
      return false;
    }
  }

  private static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      LOG.warn("{} could not be deleted: {}", file, e.toString());
    }
  }

  @Override
  public String toString() {
    return folder == null ? "temporary archives" : "archives in " + folder;
  }
}
