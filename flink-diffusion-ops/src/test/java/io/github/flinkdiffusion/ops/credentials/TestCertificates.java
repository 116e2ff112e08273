/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.util.Arrays;
import java.util.List;

/** An authority and a signer whom it vouches for, made anew for each test: never for real use. */
public final class TestCertificates {
  private static final String EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4";

  private final KeyPair authority;
  private final KeyPair signer;
  private final X509Certificate root;
  private final X509Certificate certificate;

  private TestCertificates(String kind, String until, String use) throws Exception {
    KeyPairGenerator keys = KeyPairGenerator.getInstance(kind);
    if (kind.equals("EC")) {
      keys.initialize(new ECGenParameterSpec("secp256r1"));
    }
    authority = keys.generateKeyPair();
    signer = keys.generateKeyPair();
    root = certificate("Test authority", authority, 1, true, until, use);
    certificate = certificate("Test signer", signer, 2, false, until, use);
  }

  /** For Ed25519. */
  public static TestCertificates ed25519() throws Exception {
    return new TestCertificates("Ed25519", "20491231235959Z", EMAIL_PROTECTION);
  }

  /** For ECDSA over P-256. */
  public static TestCertificates es256() throws Exception {
    return new TestCertificates("EC", "20491231235959Z", EMAIL_PROTECTION);
  }

  static TestCertificates expired() throws Exception {
    return new TestCertificates("Ed25519", "20200101000000Z", EMAIL_PROTECTION);
  }

  /** For servers, not for signing. */
  static TestCertificates ofAServer() throws Exception {
    return new TestCertificates("Ed25519", "20491231235959Z", "1.3.6.1.5.5.7.3.1");
  }

  public X509Certificate root() {
    return root;
  }

  X509Certificate certificate() {
    return certificate;
  }

  KeyPair keys() {
    return signer;
  }

  public SigningKey key() {
    return new SigningKey(signer.getPrivate(), List.of(certificate, root));
  }

  /** As a file, the key's alias is "images". */
  public void write(Path file, char[] password) throws IOException, GeneralSecurityException {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    store.setKeyEntry(
        "images", signer.getPrivate(), password, new Certificate[] {certificate, root});
    try (OutputStream out = Files.newOutputStream(file)) {
      store.store(out, password);
    }
  }

  private X509Certificate certificate(
      String name, KeyPair keys, int serial, boolean isAuthority, String until, String use)
      throws Exception {
    boolean elliptic = authority.getPrivate().getAlgorithm().equals("EC");
    byte[] how = sequence(oid(elliptic ? "1.2.840.10045.4.3.2" : "1.3.101.112"));
    byte[] extensions =
        isAuthority
            ? sequence(
                extension("2.5.29.19", true, sequence(der(1, new byte[] {(byte) 0xff}))),
                extension("2.5.29.15", true, der(3, new byte[] {1, 6})),
                extension("2.5.29.14", false, der(4, id(keys))))
            : sequence(
                extension("2.5.29.19", true, sequence()),
                extension("2.5.29.15", true, der(3, new byte[] {7, (byte) 0x80})),
                extension("2.5.29.37", false, sequence(oid(use))),
                extension("2.5.29.14", false, der(4, id(keys))),
                extension("2.5.29.35", false, sequence(der(0x80, id(authority)))));
    byte[] body =
        sequence(
            der(0xa0, der(2, new byte[] {2})),
            der(2, BigInteger.valueOf(serial).toByteArray()),
            how,
            name("Test authority"),
            sequence(time("20190101000000Z"), time(until)),
            name(name),
            keys.getPublic().getEncoded(),
            der(0xa3, extensions));
    Signature signature = Signature.getInstance(elliptic ? "SHA256withECDSA" : "Ed25519");
    signature.initSign(authority.getPrivate());
    signature.update(body);
    byte[] bits = signature.sign();
    byte[] all = sequence(body, how, der(3, join(new byte[] {0}, bits)));
    return (X509Certificate)
        CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(all));
  }

  private static byte[] id(KeyPair keys) throws GeneralSecurityException {
    return Arrays.copyOf(
        MessageDigest.getInstance("SHA-256").digest(keys.getPublic().getEncoded()), 20);
  }

  private static byte[] name(String name) {
    return sequence(attribute("2.5.4.10", "Tests of Flink Diffusion"), attribute("2.5.4.3", name));
  }

  private static byte[] attribute(String type, String value) {
    return der(0x31, sequence(oid(type), der(12, value.getBytes(StandardCharsets.UTF_8))));
  }

  /** Two digits of the year up to 2049. */
  private static byte[] time(String time) {
    return der(23, time.substring(2).getBytes(StandardCharsets.US_ASCII));
  }

  private static byte[] extension(String id, boolean critical, byte[] value) {
    return critical
        ? sequence(oid(id), der(1, new byte[] {(byte) 0xff}), der(4, value))
        : sequence(oid(id), der(4, value));
  }

  private static byte[] oid(String dotted) {
    long[] parts = Arrays.stream(dotted.split("\\.")).mapToLong(Long::parseLong).toArray();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write((int) (40 * parts[0] + parts[1]));
    for (int i = 2; i < parts.length; i++) {
      for (int shift = 63 / 7 * 7; shift > 0; shift -= 7) {
        if (parts[i] >> shift != 0) {
          out.write((int) (parts[i] >> shift & 127 | 128));
        }
      }
      out.write((int) (parts[i] & 127));
    }
    return der(6, out.toByteArray());
  }

  private static byte[] sequence(byte[]... parts) {
    return der(0x30, join(parts));
  }

  private static byte[] join(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }

  private static byte[] der(int tag, byte[] value) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(tag);
    if (value.length < 128) {
      out.write(value.length);
    } else if (value.length < 256) {
      out.write(0x81);
      out.write(value.length);
    } else {
      out.write(0x82);
      out.write(value.length >> 8);
      out.write(value.length);
    }
    out.writeBytes(value);
    return out.toByteArray();
  }
}
