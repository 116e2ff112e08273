/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.io.ByteArrayInputStream;
import java.security.cert.CertificateEncodingException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * COSE_Sign1 (RFC 9052) without its payload, as claims are signed.
 *
 * @param protectedHeaders as they are signed
 * @param algorithm if it is one that C2PA allows
 * @param certificates the signer's first
 */
record CoseSignature(
    byte[] protectedHeaders,
    Optional<SignatureAlgorithm> algorithm,
    List<X509Certificate> certificates,
    byte[] signature) {
  private static final int TAG = 18;
  private static final long ALGORITHM = 1;
  private static final long CERTIFICATES = 33;
  private static final String CERTIFICATES_AS_TEXT = "x5chain";
  private static final int MOST_CERTIFICATES = 16;

  /** A claim's signature, to be stored. */
  static byte[] sign(byte[] claim, Signer signer) {
    byte[] headers = headers(signer);
    return encode(headers, signer.sign(signed(headers, claim)));
  }

  /** As long as a claim's signature will be. */
  static byte[] placeholder(Signer signer) {
    return encode(headers(signer), new byte[signer.signatureBytes()]);
  }

  private static byte[] encode(byte[] headers, byte[] signature) {
    return Cbor.encode(new Cbor.Tagged(TAG, Arrays.asList(headers, Map.of(), null, signature)));
  }

  private static byte[] headers(Signer signer) {
    List<byte[]> chain = new ArrayList<>();
    try {
      for (X509Certificate certificate : signer.certificates()) {
        chain.add(certificate.getEncoded());
      }
    } catch (CertificateEncodingException e) {
      throw new CredentialsException("A signer's certificate cannot be written", e);
    }
    Map<Object, Object> headers = new LinkedHashMap<>();
    headers.put(ALGORITHM, signer.algorithm().number());
    headers.put(CERTIFICATES, chain.size() == 1 ? chain.get(0) : chain);
    return Cbor.encode(headers);
  }

  private static byte[] signed(byte[] headers, byte[] claim) {
    return Cbor.encode(List.of("Signature1", headers, new byte[0], claim));
  }

  /**
   * @throws CredentialsException if these bytes are no such signature
   */
  static CoseSignature read(byte[] bytes) {
    Object value = Cbor.decode(bytes);
    if (value instanceof Cbor.Tagged tagged && tagged.tag() == TAG) {
      value = tagged.value();
    }
    if (!(value instanceof List<?> list)
        || list.size() != 4
        || !(list.get(0) instanceof byte[] headers)
        || !(list.get(1) instanceof Map<?, ?> others)
        || !(list.get(3) instanceof byte[] signature)) {
      throw new CredentialsException("A claim's signature is no COSE_Sign1");
    }
    Map<?, ?> signedHeaders = Cbor.decodeMap(headers);
    return new CoseSignature(
        headers,
        SignatureAlgorithm.of(signedHeaders.get(ALGORITHM)),
        certificates(signedHeaders, others),
        signature);
  }

  private static List<X509Certificate> certificates(Map<?, ?> signed, Map<?, ?> others) {
    Object chain = null;
    for (Map<?, ?> headers : List.of(signed, others)) {
      for (Object key : List.of(CERTIFICATES, CERTIFICATES_AS_TEXT)) {
        chain = chain == null ? headers.get(key) : chain;
      }
    }
    List<X509Certificate> certificates = new ArrayList<>();
    for (Object each : chain instanceof List<?> list ? list : Arrays.asList(chain)) {
      if (!(each instanceof byte[] der) || certificates.size() == MOST_CERTIFICATES) {
        throw new CredentialsException(
            "A claim's signature must have from 1 to %d certificates".formatted(MOST_CERTIFICATES));
      }
      try {
        certificates.add(
            (X509Certificate)
                CertificateFactory.getInstance("X.509")
                    .generateCertificate(new ByteArrayInputStream(der)));
      } catch (CertificateException e) {
        throw new CredentialsException("A signer's certificate cannot be read", e);
      }
    }
    if (certificates.isEmpty()) {
      throw new CredentialsException("A claim's signature has no certificate");
    }
    return List.copyOf(certificates);
  }

  boolean verifies(byte[] claim) {
    return algorithm
        .filter(
            how ->
                how.verify(
                    certificates.get(0).getPublicKey(), signed(protectedHeaders, claim), signature))
        .isPresent();
  }
}
