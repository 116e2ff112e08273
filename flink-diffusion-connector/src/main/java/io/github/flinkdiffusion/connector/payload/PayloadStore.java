/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.jspecify.annotations.NullMarked;

/**
 * Writes and reads payloads. Every method that may touch a file blocks, so it belongs on a pool,
 * never on a task's thread. Safe for use by several threads; not serializable, so a task makes one
 * of the settings when it opens. Holds nothing that has to be closed.
 *
 * <p><b>Exactly once.</b> Write a payload before its event is emitted. Then no checkpoint and no
 * transaction has an event whose payload does not exist. A replayed request writes the same bytes
 * under the same name, so nothing is written. {@link PayloadCleanUp} deletes what a failed attempt
 * has left without an event, once it is old.
 *
 * <p><b>Old payloads that are used again.</b> A payload may be there already and so old that a
 * clean-up might be about to delete it, while its new event is not committed yet. When it is older
 * than a day, the store marks it as used first, and the clean-up counts its age from there.
 */
@NullMarked
@Experimental
public final class PayloadStore {
  /** The clean-up never takes what is younger than twice this. */
  static final Duration MARK_AFTER = Duration.ofDays(1);

  private static final int LARGEST_ARRAY = Integer.MAX_VALUE - 8;

  private final PayloadSettings settings;
  private final Optional<StoreLayout> layout;
  private final ReadPermission permission;
  private final FileSystems fileSystems;
  private final Clock clock;
  private final PayloadKeys keys;

  /** How a file system is found; tests put one that fails. */
  interface FileSystems {
    FileSystem get(URI uri) throws IOException;
  }

  /**
   * A store on Flink's file systems.
   *
   * @param config with values of {@link PayloadOptions}
   * @throws PayloadException of kind SETTINGS when a URI is invalid
   */
  public static PayloadStore of(ReadableConfig config) {
    return new PayloadStore(PayloadSettings.of(config));
  }

  /** A store on Flink's file systems. */
  @Internal
  public PayloadStore(PayloadSettings settings) {
    this(settings, FileSystem::get, Clock.systemUTC());
  }

  PayloadStore(PayloadSettings settings, FileSystems fileSystems, Clock clock) {
    this.settings = settings;
    this.layout = settings.store().map(StoreLayout::new);
    List<Location> readable = new ArrayList<>();
    settings.store().ifPresent(readable::add);
    settings.allowedPrefixes().forEach(prefix -> readable.add(Location.parseFolder(prefix)));
    this.permission = new ReadPermission(readable);
    this.fileSystems = fileSystems;
    this.clock = clock;
    this.keys =
        settings.keyFile() == null ? PayloadKeys.none() : PayloadKeys.read(settings.keyFile());
  }

  // ------------------------------------------------------------------ writing

  /**
   * The payload of these bytes: inline up to the limit or when there is no store, else stored. When
   * it returns, a stored payload is there, whole.
   *
   * @param bytes not copied, so they must stay as they are
   * @param mediaType IANA media type, may be empty
   * @throws PayloadException of kind UNAVAILABLE when the store does not take it
   */
  public Payload write(byte[] bytes, String mediaType) {
    if (layout.isEmpty() || bytes.length <= settings.inlineLimit().getBytes()) {
      return Payloads.inline(bytes, mediaType);
    }
    return store(bytes, mediaType);
  }

  /** Whether there is a store to write to. */
  @Internal
  public boolean hasStore() {
    return layout.isPresent();
  }

  /**
   * Stores bytes however few they are: what many of would be too much for an event, or for memory.
   *
   * @throws PayloadException of kind UNAVAILABLE when the store does not take it
   * @throws IllegalStateException when there is no store
   */
  @Internal
  public Payload store(byte[] bytes, String mediaType) {
    Digesting digest = new Digesting(Payloads.sha256(bytes), bytes.length);
    return store(
        layout.orElseThrow(() -> new IllegalStateException("There is no store.")),
        Content.of(bytes),
        digest,
        mediaType);
  }

  /**
   * The payload of a file's bytes, which are never in memory as a whole unless they go inline.
   *
   * @param file of this machine; not changed and not needed afterwards
   * @throws PayloadException of kind UNAVAILABLE when the file cannot be read or the store does not
   *     take it; of kind SETTINGS when there is no store and it fits into no event
   */
  public Payload write(Path file, String mediaType) {
    try {
      long length = Files.size(file);
      if (layout.isEmpty() && length > LARGEST_ARRAY) {
        throw new PayloadException(
            PayloadException.Kind.SETTINGS,
            "An image of %d bytes does not fit into an event; set %s."
                .formatted(length, PayloadOptions.STORE.key()));
      }
      if (layout.isEmpty() || length <= settings.inlineLimit().getBytes()) {
        return Payloads.inline(Files.readAllBytes(file), mediaType);
      }
      try (InputStream in = Files.newInputStream(file)) {
        Digesting digest = Digesting.copy(in, OutputStream.nullOutputStream(), length);
        return store(layout.get(), Content.of(file), digest, mediaType);
      }
    } catch (IOException e) {
      throw new PayloadException(
          PayloadException.Kind.UNAVAILABLE,
          "Cannot store the file %s as a payload: %s.".formatted(file, e),
          e);
    }
  }

  private Payload store(StoreLayout names, Content plain, Digesting plainDigest, String mediaType) {
    Content content = plain;
    Digesting digest = plainDigest;
    if (keys.encrypt()) {
      try {
        content = keys.encrypted(plain);
        try (InputStream in = content.open()) {
          digest = Digesting.copy(in, OutputStream.nullOutputStream(), Long.MAX_VALUE);
        }
      } catch (IOException e) {
        throw new PayloadException(
            PayloadException.Kind.UNAVAILABLE,
            "Cannot encrypt a payload of %d bytes: %s.".formatted(plainDigest.length(), reason(e)),
            e);
      }
    }
    org.apache.flink.core.fs.Path target = names.payload(digest.sha256());
    try {
      FileSystem fileSystem = fileSystems.get(target.toUri());
      Optional<FileStatus> present = status(fileSystem, target);
      if (present.isPresent() && present.get().getLen() == digest.length()) {
        markAsUsed(fileSystem, names, digest.sha256(), present.get());
      } else {
        if (present.isPresent()) { // from a file system that is not atomic after all
          fileSystem.delete(target, false);
        }
        write(fileSystem, names, content, digest);
      }
    } catch (IOException | RuntimeException e) {
      throw new PayloadException(
          PayloadException.Kind.UNAVAILABLE,
          "Cannot store a payload of %d bytes as %s: %s."
              .formatted(digest.length(), names.uri(digest.sha256()), reason(e)),
          e);
    }
    return Payloads.stored(
        new PayloadReference(names.uri(digest.sha256()), digest.sha256(), digest.length()),
        mediaType);
  }

  private static void write(
      FileSystem fileSystem, StoreLayout names, Content content, Digesting digest)
      throws IOException {
    try {
      new AtomicWriter(fileSystem).write(content, digest, names);
    } catch (IOException e) {
      // Another writer of the same bytes may have been faster, or only the answer was lost.
      try {
        checkStored(fileSystem, names.payload(digest.sha256()), digest.length());
        return;
      } catch (IOException notThere) {
        e.addSuppressed(notThere);
        throw e;
      }
    }
    checkStored(fileSystem, names.payload(digest.sha256()), digest.length());
  }

  private void markAsUsed(
      FileSystem fileSystem, StoreLayout names, String digest, FileStatus payload)
      throws IOException {
    long markBefore = clock.millis() - MARK_AFTER.toMillis();
    if (payload.getModificationTime() >= markBefore) {
      return;
    }
    org.apache.flink.core.fs.Path mark = names.mark(digest);
    Optional<FileStatus> marked = status(fileSystem, mark);
    if (marked.isEmpty() || marked.get().getModificationTime() < markBefore) {
      try (OutputStream out = fileSystem.create(mark, FileSystem.WriteMode.OVERWRITE)) {
        out.write('1'); // some object stores do not keep empty files
      }
      // A clean-up may have been faster.
      checkStored(fileSystem, names.payload(digest), payload.getLen());
    }
  }

  private static void checkStored(
      FileSystem fileSystem, org.apache.flink.core.fs.Path target, long length) throws IOException {
    long stored = status(fileSystem, target).map(FileStatus::getLen).orElse(-1L);
    if (stored != length) {
      throw new IOException(
          stored < 0 ? "it is not there after it was written" : "only " + stored + " bytes came");
    }
  }

  // ------------------------------------------------------------------ reading

  /**
   * The bytes of a payload, verified.
   *
   * @throws PayloadException when it cannot be had, see {@link PayloadException.Kind}
   */
  public byte[] read(Payload payload) {
    Optional<byte[]> inline = Payloads.inlineBytes(payload);
    if (inline.isPresent()) {
      checkSize("An image in its event", inline.get().length);
      return inline.get();
    }
    PayloadReference reference = Payloads.reference(payload).orElseThrow();
    if (reference.getLength() > LARGEST_ARRAY) {
      throw new PayloadException(
          PayloadException.Kind.REFUSED,
          "Cannot read payload %s into memory: it has %d bytes; at most %d."
              .formatted(reference.getUri(), reference.getLength(), LARGEST_ARRAY));
    }
    return reading(
        reference,
        (fileSystem, location) -> {
          // The file has the length that the reference tells, or this would not be reached.
          byte[] bytes = new byte[(int) reference.getLength()];
          try (InputStream in = fileSystem.open(location.toPath())) {
            long length = in.readNBytes(bytes, 0, bytes.length) + (in.read() < 0 ? 0 : 1);
            verify(reference, new Digesting(Payloads.sha256(bytes), length));
          }
          return PayloadKeys.isEncrypted(bytes) ? keys.decrypt(bytes, reference.getUri()) : bytes;
        });
  }

  /**
   * A payload as a file of this machine: the stored file itself when it is local, else a copy,
   * which is decrypted where it is encrypted. It is verified before this returns.
   *
   * @param scratch folder for a copy; a task manager's temporary folder is one
   * @throws PayloadException when it cannot be had, see {@link PayloadException.Kind}
   */
  @Internal
  public PayloadFile open(Payload payload, Path scratch) {
    Optional<byte[]> inline = Payloads.inlineBytes(payload);
    if (inline.isPresent()) {
      checkSize("An image in its event", inline.get().length);
      try {
        return scratchFile(scratch, out -> out.write(inline.get()));
      } catch (IOException e) {
        throw new PayloadException(
            PayloadException.Kind.UNAVAILABLE,
            "Cannot write an image of %d bytes to %s: %s."
                .formatted(inline.get().length, scratch, reason(e)),
            e);
      }
    }
    PayloadReference reference = Payloads.reference(payload).orElseThrow();
    return reading(
        reference,
        (fileSystem, location) -> {
          if (location.isLocal()) {
            copy(fileSystem, location, reference, OutputStream.nullOutputStream());
            return plain(new PayloadFile(location.toLocalPath(), false), reference, scratch);
          }
          return plain(
              scratchFile(scratch, out -> copy(fileSystem, location, reference, out)),
              reference,
              scratch);
        });
  }

  /** The file itself, or its decrypted copy. */
  private PayloadFile plain(PayloadFile file, PayloadReference reference, Path scratch)
      throws IOException {
    byte[] head;
    try (InputStream in = Files.newInputStream(file.path())) {
      head = in.readNBytes(PayloadKeys.MAGIC.length);
    }
    if (!PayloadKeys.isEncrypted(head)) {
      return file;
    }
    try (file;
        InputStream in = Files.newInputStream(file.path())) {
      return scratchFile(scratch, out -> keys.decrypt(in, out, reference.getUri()));
    }
  }

  /** Whether files of which parts can be read are neither fetched nor verified. */
  @Internal
  public boolean readsByRanges() {
    return settings.readByRanges() && !keys.encrypt();
  }

  /**
   * A stored payload where it lies, for readers that need parts of it. Its length is what the
   * reference says; its digest is not looked at, since that takes all bytes. So it may be larger
   * than what is read as a whole.
   *
   * @param reference of a payload that is not in its event
   * @throws PayloadException when it cannot be had, see {@link PayloadException.Kind}
   */
  @Internal
  public PayloadChannel openRanges(PayloadReference reference) {
    return located(
        reference,
        (fileSystem, location) ->
            PayloadChannel.open(fileSystem, location.toPath(), reference.getUri()));
  }

  private interface Filling {
    void fill(OutputStream out) throws IOException;
  }

  private static PayloadFile scratchFile(Path scratch, Filling filling) throws IOException {
    Path file = Files.createTempFile(scratch, "payload-", "");
    PayloadFile result = new PayloadFile(file, true);
    try (OutputStream out = Files.newOutputStream(file)) {
      filling.fill(out);
      return result;
    } catch (IOException | RuntimeException e) {
      result.close();
      throw e;
    }
  }

  private interface Reading<T> {
    T from(FileSystem fileSystem, Location location) throws IOException;
  }

  private <T> T reading(PayloadReference reference, Reading<T> reading) {
    checkSize("Payload " + reference.getUri(), reference.getLength());
    return located(reference, reading);
  }

  private <T> T located(PayloadReference reference, Reading<T> reading) {
    if (!StoreLayout.isDigest(reference.getSha256())) {
      throw new PayloadException(
          PayloadException.Kind.REFUSED,
          ("Cannot read payload %s: its digest is '%.80s'; expected 64 lower-case hexadecimal"
                  + " digits.")
              .formatted(reference.getUri(), reference.getSha256()));
    }
    Location location = permission.check(reference.getUri());
    try {
      FileSystem fileSystem = fileSystems.get(location.toPath().toUri());
      FileStatus status = fileSystem.getFileStatus(location.toPath());
      if (status.isDir()) {
        throw new PayloadException(
            PayloadException.Kind.REFUSED,
            "Cannot read payload %s: it is a folder.".formatted(reference.getUri()));
      }
      if (status.getLen() != reference.getLength()) {
        throw damaged(reference, "has %d bytes".formatted(status.getLen()));
      }
      return reading.from(fileSystem, location);
    } catch (IOException e) {
      throw FileTrouble.of(e).reading(reference.getUri(), e);
    }
  }

  private static void copy(
      FileSystem fileSystem, Location location, PayloadReference reference, OutputStream out)
      throws IOException {
    try (InputStream in = fileSystem.open(location.toPath())) {
      verify(reference, Digesting.copy(in, out, reference.getLength()));
    }
  }

  private static void verify(PayloadReference reference, Digesting read) {
    if (read.length() != reference.getLength()) {
      throw damaged(
          reference,
          read.length() < reference.getLength()
              ? "ended after %d bytes".formatted(read.length())
              : "has more bytes");
    }
    if (!read.sha256().equals(reference.getSha256())) {
      throw damaged(reference, "has the SHA-256 " + read.sha256());
    }
  }

  private void checkSize(String what, long length) {
    if (length < 0 || length > settings.maxSize().getBytes()) {
      throw new PayloadException(
          PayloadException.Kind.REFUSED,
          "%s has %d bytes; this job accepts 0 to %d (%s)."
              .formatted(
                  what, length, settings.maxSize().getBytes(), PayloadOptions.MAX_SIZE.key()));
    }
  }

  private static PayloadException damaged(PayloadReference reference, String what) {
    return new PayloadException(
        PayloadException.Kind.DAMAGED,
        "Payload %s is not what its event describes: the file %s; the event says %d bytes with the SHA-256 %s."
            .formatted(reference.getUri(), what, reference.getLength(), reference.getSha256()));
  }

  private static Optional<FileStatus> status(
      FileSystem fileSystem, org.apache.flink.core.fs.Path path) throws IOException {
    try {
      return Optional.of(fileSystem.getFileStatus(path));
    } catch (FileNotFoundException e) {
      return Optional.empty();
    }
  }

  private static String reason(Exception e) {
    return e.getMessage() == null ? e.toString() : e.getMessage();
  }
}
