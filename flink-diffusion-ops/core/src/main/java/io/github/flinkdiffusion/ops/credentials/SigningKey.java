/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPrivateKey;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * A key of a PKCS#12 file, with its certificates. Ed25519, or ECDSA over P-256 with the one-time
 * numbers of RFC 6979: with both, the same claim has the same signature.
 */
@Internal
public final class SigningKey implements Signer {
  private final SignatureAlgorithm algorithm;
  private final PrivateKey key;
  private final DeterministicEcdsa ecdsa;
  private final List<X509Certificate> certificates;

  /**
   * @param certificates the key's own first; a root at the end is left out
   * @throws CredentialsException if the key is of another kind, or is not the certificate's
   */
  public SigningKey(PrivateKey key, List<X509Certificate> certificates) {
    this.key = key;
    if (certificates.isEmpty()) {
      throw new CredentialsException("The signing key has no certificate");
    }
    List<X509Certificate> chain = new ArrayList<>(certificates);
    X509Certificate last = chain.get(chain.size() - 1);
    if (chain.size() > 1 && last.getSubjectX500Principal().equals(last.getIssuerX500Principal())) {
      chain.remove(chain.size() - 1);
    }
    this.certificates = List.copyOf(chain);
    try {
      if (key instanceof ECPrivateKey elliptic) {
        algorithm = SignatureAlgorithm.ES256;
        ecdsa = new DeterministicEcdsa(elliptic);
      } else if (List.of("EdDSA", "Ed25519").contains(key.getAlgorithm())) {
        algorithm = SignatureAlgorithm.ED25519;
        ecdsa = null;
      } else {
        throw new GeneralSecurityException("it is " + key.getAlgorithm());
      }
      byte[] probe = {1, 2, 3};
      if (!algorithm.verify(chain.get(0).getPublicKey(), probe, sign(probe))) {
        throw new CredentialsException("The signing key and its certificate do not fit together");
      }
    } catch (GeneralSecurityException e) {
      throw new CredentialsException(
          "A key cannot sign content credentials: expected Ed25519 or EC over P-256 ("
              + e.getMessage()
              + ")",
          e);
    }
    Optional<String> objection = CertificateProfile.objection(chain.get(0));
    if (objection.isPresent()) {
      throw new CredentialsException(
          "The certificate of '%s' cannot sign content credentials: %s"
              .formatted(chain.get(0).getSubjectX500Principal(), objection.get()));
    }
  }

  /**
   * Reads a key and its certificates.
   *
   * @param alias of the key; may be left out if the file has only one
   * @throws CredentialsException naming the file, if it cannot be read, or what is in it cannot
   *     sign
   */
  public static SigningKey ofPkcs12(Path file, Optional<String> alias, char[] password) {
    try (InputStream in = Files.newInputStream(file)) {
      KeyStore store = KeyStore.getInstance("PKCS12");
      store.load(in, password);
      List<String> keys = new ArrayList<>();
      for (String each : Collections.list(store.aliases())) {
        if (store.isKeyEntry(each)) {
          keys.add(each);
        }
      }
      String chosen = alias.orElse(keys.size() == 1 ? keys.get(0) : null);
      if (chosen == null || !store.isKeyEntry(chosen)) {
        throw new CredentialsException(
            "The file %s has no %s: its keys are %s"
                .formatted(file, alias.map("key '%s'"::formatted).orElse("single key"), keys));
      }
      Key key = store.getKey(chosen, password);
      List<X509Certificate> chain = new ArrayList<>();
      for (Certificate certificate : store.getCertificateChain(chosen)) {
        chain.add((X509Certificate) certificate);
      }
      if (!(key instanceof PrivateKey secret)) {
        throw new CredentialsException("The key '%s' of %s is not private".formatted(chosen, file));
      }
      return new SigningKey(secret, chain);
    } catch (IOException | GeneralSecurityException e) {
      throw new CredentialsException(
          "Cannot read the signing key of %s; a PKCS#12 file and its password are expected: %s"
              .formatted(file, e.getMessage()),
          e);
    }
  }

  @Override
  public SignatureAlgorithm algorithm() {
    return algorithm;
  }

  @Override
  public List<X509Certificate> certificates() {
    return certificates;
  }

  /** Of both kinds: r and s, or a point and a number, of 32 bytes each. */
  @Override
  public int signatureBytes() {
    return 64;
  }

  @Override
  public byte[] sign(byte[] message) {
    try {
      if (ecdsa != null) {
        return ecdsa.sign(message);
      }
      Signature signature = Signature.getInstance("Ed25519");
      signature.initSign(key);
      signature.update(message);
      return signature.sign();
    } catch (GeneralSecurityException e) {
      throw new CredentialsException("A claim cannot be signed: " + e.getMessage(), e);
    }
  }
}
