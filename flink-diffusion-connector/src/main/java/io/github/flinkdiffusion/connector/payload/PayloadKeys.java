/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Encryption of stored payloads: AES-256 in GCM, in segments, so that a payload need not fit into
 * memory, and no byte of it is given out before it is authenticated.
 *
 * <p>The same bytes under the same key become the same file, because a replayed request must write
 * the same payload: the salt, from which each file's own key is derived, is a keyed digest (HMAC)
 * of the content. So two files tell whether they are equal, as the names of a store by digests do
 * anyway, and nothing else. A segment's nonce is its number and whether it is the last one, so
 * segments can neither change places nor be left out.
 *
 * <p>A file: {@link #MAGIC}; the key's id, with its length before it (1 byte); the salt (32 bytes);
 * then segments of {@link #SEGMENT} bytes, the last one of what is left, each with a tag of 16
 * bytes after it. The file's key is HMAC-SHA256(key, "payload" + salt), a nonce is 7 zero bytes,
 * the segment's number (4 bytes, big endian), and 1 for the last segment, else 0. All that is
 * before the segments is authenticated with each of them.
 */
final class PayloadKeys {
  static final byte[] MAGIC = "FLDFENC1".getBytes(StandardCharsets.US_ASCII);

  private static final int SEGMENT = 1 << 20;
  private static final int TAG = 16;
  private static final int SALT = 32;
  private static final int KEY = 32;
  private static final String KEY_ID = "[A-Za-z0-9._-]{1,64}";

  private final String file;

  /** By their ids; the first one encrypts. */
  private final Map<String, byte[]> keys;

  private PayloadKeys(String file, Map<String, byte[]> keys) {
    this.file = file;
    this.keys = keys;
  }

  /** Without any key: what is encrypted is refused. */
  static PayloadKeys none() {
    return new PayloadKeys(null, Map.of());
  }

  /**
   * Reads the keys, one a line: its id, a space, 32 bytes in base64. Lines that begin with # are
   * comments.
   *
   * @throws PayloadException of kind SETTINGS for a file that cannot be read or holds anything
   *     else; no key is in the message
   */
  static PayloadKeys read(String file) {
    List<String> lines;
    try {
      lines = Files.readAllLines(Path.of(file));
    } catch (IOException | RuntimeException e) {
      throw new PayloadException(
          PayloadException.Kind.SETTINGS,
          "Cannot read the keys of payloads from %s (%s): %s. The file must be on every task manager under this name."
              .formatted(file, PayloadOptions.KEY_FILE.key(), e),
          e);
    }
    Map<String, byte[]> keys = new LinkedHashMap<>();
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i).strip();
      if (line.isEmpty() || line.startsWith("#")) {
        continue;
      }
      String[] parts = line.split("\\s+");
      byte[] key = parts.length == 2 ? bytes(parts[1]) : new byte[0];
      if (key.length != KEY || !parts[0].matches(KEY_ID)) {
        throw new PayloadException(
            PayloadException.Kind.SETTINGS,
            "Line %d of %s (%s) is no key: it must be an id of letters, digits, '.', '_' and '-', a space, and %d bytes in base64, as `openssl rand -base64 32` writes them."
                .formatted(i + 1, file, PayloadOptions.KEY_FILE.key(), KEY));
      }
      if (keys.put(parts[0], key) != null) {
        throw new PayloadException(
            PayloadException.Kind.SETTINGS,
            "Line %d of %s (%s) has the id '%s' again; each key needs an id of its own."
                .formatted(i + 1, file, PayloadOptions.KEY_FILE.key(), parts[0]));
      }
    }
    if (keys.isEmpty()) {
      throw new PayloadException(
          PayloadException.Kind.SETTINGS,
          "%s (%s) holds no key; write one a line: an id, a space, and %d bytes in base64."
              .formatted(file, PayloadOptions.KEY_FILE.key(), KEY));
    }
    return new PayloadKeys(file, keys);
  }

  private static byte[] bytes(String base64) {
    try {
      return Base64.getDecoder().decode(base64);
    } catch (IllegalArgumentException e) {
      return new byte[0];
    }
  }

  /** Whether what is stored is encrypted. */
  boolean encrypt() {
    return !keys.isEmpty();
  }

  /** Whether a file is encrypted, by its first bytes. */
  static boolean isEncrypted(byte[] head) {
    return head.length >= MAGIC.length
        && Arrays.equals(head, 0, MAGIC.length, MAGIC, 0, MAGIC.length);
  }

  // ------------------------------------------------------------------ encrypting

  /**
   * The content as it is stored; reads the plain content once now, and once each time it is opened.
   */
  Content encrypted(Content plain) throws IOException {
    Map.Entry<String, byte[]> key = keys.entrySet().iterator().next();
    Mac mac = mac(hmac(key.getValue(), "salt".getBytes(StandardCharsets.US_ASCII)));
    try (InputStream in = plain.open()) {
      byte[] buffer = new byte[1 << 16];
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        mac.update(buffer, 0, n);
      }
    }
    byte[] header = header(key.getKey(), mac.doFinal());
    SecretKeySpec fileKey = fileKey(key.getValue(), header);
    return () -> new Encrypting(plain.open(), header, fileKey);
  }

  private static byte[] header(String id, byte[] salt) {
    byte[] name = id.getBytes(StandardCharsets.US_ASCII);
    return ByteBuffer.allocate(MAGIC.length + 1 + name.length + SALT)
        .put(MAGIC)
        .put((byte) name.length)
        .put(name)
        .put(salt)
        .array();
  }

  /** The header, then segment after segment. */
  private static final class Encrypting extends InputStream {
    private final InputStream plain;
    private final byte[] header;
    private final SecretKeySpec key;
    private byte[] next;
    private byte[] ready;
    private int at;
    private int segment;

    Encrypting(InputStream plain, byte[] header, SecretKeySpec key) throws IOException {
      this.plain = plain;
      this.header = header;
      this.key = key;
      this.ready = header;
      try {
        this.next = plain.readNBytes(SEGMENT);
      } catch (IOException e) {
        plain.close();
        throw e;
      }
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
    }

    @Override
    public int read(byte[] target, int offset, int length) throws IOException {
      if (length == 0) {
        return 0;
      }
      if (at == ready.length && !advance()) {
        return -1;
      }
      int n = Math.min(length, ready.length - at);
      System.arraycopy(ready, at, target, offset, n);
      at += n;
      return n;
    }

    private boolean advance() throws IOException {
      if (next == null) {
        return false;
      }
      byte[] following = next.length < SEGMENT ? new byte[0] : plain.readNBytes(SEGMENT);
      boolean last = following.length == 0;
      ready = crypt(Cipher.ENCRYPT_MODE, key, header, segment++, last, next);
      at = 0;
      next = last ? null : following;
      return true;
    }

    @Override
    public void close() throws IOException {
      plain.close();
    }
  }

  // ------------------------------------------------------------------ decrypting

  /**
   * The plain bytes of a file.
   *
   * @param uri for messages
   * @throws PayloadException of kind REFUSED when the key is missing or another one
   */
  byte[] decrypt(byte[] file, String uri) {
    ByteArrayOutputStream plain = new ByteArrayOutputStream(file.length);
    try {
      decrypt(new ByteArrayInputStream(file), plain, uri);
    } catch (IOException e) {
      throw new PayloadException(
          PayloadException.Kind.DAMAGED, "Payload %s ends too early.".formatted(uri), e);
    }
    return plain.toByteArray();
  }

  /**
   * Writes the plain bytes of a file, each segment after it was authenticated.
   *
   * @throws EOFException when it ends too early
   * @throws PayloadException as {@link #decrypt(byte[], String)}
   */
  void decrypt(InputStream file, OutputStream plain, String uri) throws IOException {
    DataInputStream in = new DataInputStream(file);
    in.skipNBytes(MAGIC.length);
    byte[] name = new byte[in.readUnsignedByte()];
    in.readFully(name);
    byte[] salt = new byte[SALT];
    in.readFully(salt);
    String id = new String(name, StandardCharsets.US_ASCII);
    byte[] key = keys.get(id);
    if (key == null) {
      throw new PayloadException(
          PayloadException.Kind.REFUSED,
          keys.isEmpty()
              ? "Payload %s is encrypted with the key '%.64s', and this job has no keys; set %s."
                  .formatted(uri, id, PayloadOptions.KEY_FILE.key())
              : "Payload %s is encrypted with the key '%.64s'; %s (%s) has %s. Add the key, in any line."
                  .formatted(
                      uri,
                      id,
                      file(),
                      PayloadOptions.KEY_FILE.key(),
                      String.join(", ", keys.keySet())));
    }
    byte[] header = header(id, salt);
    SecretKeySpec fileKey = fileKey(key, header);
    byte[] segment = in.readNBytes(SEGMENT + TAG);
    for (int number = 0; ; number++) {
      byte[] following =
          segment.length < SEGMENT + TAG ? new byte[0] : in.readNBytes(SEGMENT + TAG);
      boolean last = following.length == 0;
      try {
        plain.write(crypt(Cipher.DECRYPT_MODE, fileKey, header, number, last, segment));
      } catch (WrongKey e) {
        throw new PayloadException(
            PayloadException.Kind.REFUSED,
            "Payload %s cannot be decrypted with the key '%s' of %s (%s): the key is not the one that it was encrypted with, or the file was changed."
                .formatted(uri, id, file(), PayloadOptions.KEY_FILE.key()),
            e);
      }
      if (last) {
        return;
      }
      segment = following;
    }
  }

  private String file() {
    return file;
  }

  // ------------------------------------------------------------------ both

  private static final class WrongKey extends IOException {
    private static final long serialVersionUID = 1L;

    WrongKey(Throwable cause) {
      super(cause);
    }
  }

  private static byte[] crypt(
      int mode, SecretKeySpec key, byte[] header, int number, boolean last, byte[] segment)
      throws IOException {
    byte[] nonce = new byte[12];
    ByteBuffer.wrap(nonce).putInt(7, number).put(11, (byte) (last ? 1 : 0));
    try {
      Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
      cipher.init(mode, key, new GCMParameterSpec(8 * TAG, nonce));
      cipher.updateAAD(header);
      return cipher.doFinal(segment);
    } catch (AEADBadTagException e) {
      throw new WrongKey(e);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("Every JDK has AES in GCM", e);
    }
  }

  private static SecretKeySpec fileKey(byte[] key, byte[] header) {
    byte[] salt = Arrays.copyOfRange(header, header.length - SALT, header.length);
    byte[] what = "payload".getBytes(StandardCharsets.US_ASCII);
    byte[] input = Arrays.copyOf(what, what.length + SALT);
    System.arraycopy(salt, 0, input, what.length, SALT);
    return new SecretKeySpec(hmac(key, input), "AES");
  }

  private static byte[] hmac(byte[] key, byte[] input) {
    return mac(key).doFinal(input);
  }

  private static Mac mac(byte[] key) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(key, "HmacSHA256"));
      return mac;
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("Every JDK has HMAC-SHA256", e);
    }
  }
}
