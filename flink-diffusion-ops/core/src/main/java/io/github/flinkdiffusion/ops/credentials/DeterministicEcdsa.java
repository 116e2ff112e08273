/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.math.BigInteger;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.interfaces.ECPrivateKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPrivateKeySpec;
import java.security.spec.ECPublicKeySpec;
import java.util.Arrays;
import javax.crypto.KeyAgreement;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * ECDSA over P-256 with SHA-256 whose one-time number follows from key and message (RFC 6979), so
 * the same message has the same signature. Java's own draws it at random.
 *
 * <p>The multiplication of the curve's base point is Java's own, too, of constant time: what two
 * parties agree on by ECDH, if one has the number and the other the base point as its key, is the
 * product's x coordinate. What is left is arithmetic modulo the curve's order; it is blinded,
 * because {@link BigInteger} takes longer for some numbers than for others.
 */
final class DeterministicEcdsa {
  private static final int BYTES = 32;
  private static final SecureRandom BLINDING = new SecureRandom();

  private final KeyFactory keys;
  private final ECParameterSpec curve;
  private final PublicKey basePoint;
  private final BigInteger order;
  private final BigInteger secret;

  DeterministicEcdsa(ECPrivateKey key) throws GeneralSecurityException {
    keys = KeyFactory.getInstance("EC");
    AlgorithmParameters parameters = AlgorithmParameters.getInstance("EC");
    parameters.init(new ECGenParameterSpec("secp256r1"));
    curve = parameters.getParameterSpec(ECParameterSpec.class);
    basePoint = keys.generatePublic(new ECPublicKeySpec(curve.getGenerator(), curve));
    order = curve.getOrder();
    secret = key.getS();
    if (!key.getParams().getOrder().equals(order)) {
      throw new GeneralSecurityException("The key is not on the curve P-256");
    }
  }

  /** r and s, 32 bytes each. */
  byte[] sign(byte[] message) throws GeneralSecurityException {
    byte[] digest = MessageDigest.getInstance("SHA-256").digest(message);
    BigInteger hash = new BigInteger(1, digest);
    byte[] secretBytes = bytes(secret);
    byte[] hashBytes = bytes(hash.mod(order));
    // RFC 6979, section 3.2.
    byte[] v = new byte[BYTES];
    Arrays.fill(v, (byte) 1);
    byte[] k = new byte[BYTES];
    k = mac(k, v, new byte[] {0}, secretBytes, hashBytes);
    v = mac(k, v);
    k = mac(k, v, new byte[] {1}, secretBytes, hashBytes);
    v = mac(k, v);
    while (true) {
      v = mac(k, v);
      BigInteger once = new BigInteger(1, v);
      if (once.signum() > 0 && once.compareTo(order) < 0) {
        BigInteger r = timesBasePoint(once).mod(order);
        BigInteger blind =
            new BigInteger(order.bitLength() + 64, BLINDING)
                .mod(order.subtract(BigInteger.ONE))
                .add(BigInteger.ONE);
        if (r.signum() != 0) {
          BigInteger inverse = once.multiply(blind).mod(order).modInverse(order);
          BigInteger sum =
              blind.multiply(hash).add(blind.multiply(secret).mod(order).multiply(r)).mod(order);
          BigInteger s = inverse.multiply(sum).mod(order);
          if (s.signum() != 0) {
            byte[] signature = new byte[2 * BYTES];
            System.arraycopy(bytes(r), 0, signature, 0, BYTES);
            System.arraycopy(bytes(s), 0, signature, BYTES, BYTES);
            return signature;
          }
        }
      }
      k = mac(k, v, new byte[] {0});
      v = mac(k, v);
    }
  }

  private BigInteger timesBasePoint(BigInteger number) throws GeneralSecurityException {
    KeyAgreement agreement = KeyAgreement.getInstance("ECDH");
    agreement.init(keys.generatePrivate(new ECPrivateKeySpec(number, curve)));
    agreement.doPhase(basePoint, true);
    return new BigInteger(1, agreement.generateSecret());
  }

  private static byte[] mac(byte[] key, byte[]... parts) throws GeneralSecurityException {
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(key, "HmacSHA256"));
    for (byte[] part : parts) {
      mac.update(part);
    }
    return mac.doFinal();
  }

  private static byte[] bytes(BigInteger number) {
    byte[] signed = number.toByteArray();
    byte[] fixed = new byte[BYTES];
    int length = Math.min(signed.length, BYTES);
    System.arraycopy(signed, signed.length - length, fixed, BYTES - length, length);
    return fixed;
  }
}
