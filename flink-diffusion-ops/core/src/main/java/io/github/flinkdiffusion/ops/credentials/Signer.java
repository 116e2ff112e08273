/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.security.cert.X509Certificate;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * Signs claims: with a key from a file ({@link SigningKey}), or by a service. One that gives the
 * same signature for the same message makes files that are the same, byte for byte, when a request
 * is made again. Called by several threads at once.
 */
@Internal
public interface Signer {
  SignatureAlgorithm algorithm();

  /** The signer's certificate, then those that vouch for it, without the root. */
  List<X509Certificate> certificates();

  /** The length of every signature. */
  int signatureBytes();

  /**
   * @return as COSE has it: of ECDSA r and s one after the other
   * @throws CredentialsException if it cannot be signed now
   */
  byte[] sign(byte[] message);
}
