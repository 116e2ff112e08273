/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.security.GeneralSecurityException;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.util.Arrays;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/** How claims are signed, with the numbers that COSE (RFC 9053, RFC 8230) has for it. */
@Internal
public enum SignatureAlgorithm {
  ES256(-7, "SHA256withECDSAinP1363Format"),
  ES384(-35, "SHA384withECDSAinP1363Format"),
  ES512(-36, "SHA512withECDSAinP1363Format"),
  PS256(-37, "SHA-256"),
  PS384(-38, "SHA-384"),
  PS512(-39, "SHA-512"),
  ED25519(-8, "Ed25519");

  private final int number;
  private final String javaName;

  SignatureAlgorithm(int number, String javaName) {
    this.number = number;
    this.javaName = javaName;
  }

  int number() {
    return number;
  }

  static Optional<SignatureAlgorithm> of(Object number) {
    return Arrays.stream(values())
        .filter(one -> number instanceof Long is && is == one.number)
        .findFirst();
  }

  boolean verify(PublicKey key, byte[] message, byte[] signature) {
    try {
      Signature verifier;
      if (javaName.startsWith("SHA-")) {
        verifier = Signature.getInstance("RSASSA-PSS");
        int salt = Integer.parseInt(javaName.substring(4)) / 8;
        verifier.setParameter(
            new PSSParameterSpec(javaName, "MGF1", new MGF1ParameterSpec(javaName), salt, 1));
      } else {
        verifier = Signature.getInstance(javaName);
      }
      verifier.initVerify(key);
      verifier.update(message);
      return verifier.verify(signature);
    } catch (GeneralSecurityException e) {
      // A key of another kind, or bytes that are no signature.
      return false;
    }
  }
}
