/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.credentials.ContentCredentials;
import io.github.flinkdiffusion.ops.credentials.CredentialsException;
import io.github.flinkdiffusion.ops.credentials.Origin;
import io.github.flinkdiffusion.ops.credentials.Signer;
import io.github.flinkdiffusion.ops.credentials.SigningKey;
import io.github.flinkdiffusion.ops.imaging.Artifact;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.SoftwareVersion;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertificateEncodingException;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/**
 * Whether and with which key results get content credentials. The key's file is read where they are
 * signed, once; its password is never part of a configuration.
 */
@Internal
public final class CredentialSettings implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Of the password, if no file holds it. */
  public static final String PASSWORD_VARIABLE = "FLINK_DIFFUSION_CREDENTIALS_PASSWORD";

  /** Parameter of audit records: SHA-256 of the certificate that signs, lower-case hex. */
  static final String CERTIFICATE = "credentials.certificate";

  private static final String GENERATOR = "Flink Diffusion";

  private final String keyFile;
  private final String keyAlias;
  private final String passwordFile;
  private transient Signer signer;

  private CredentialSettings(String keyFile, String keyAlias, String passwordFile) {
    this.keyFile = keyFile;
    this.keyAlias = keyAlias;
    this.passwordFile = passwordFile;
  }

  static CredentialSettings of(ReadableConfig config) {
    String file = config.get(DiffusionOptions.CREDENTIALS_KEY_FILE);
    String alias = config.get(DiffusionOptions.CREDENTIALS_KEY_ALIAS);
    String password = config.get(DiffusionOptions.CREDENTIALS_PASSWORD_FILE);
    if (file == null && (alias != null || password != null)) {
      throw new DiffusionException(
          "%s is set without %s, the file with the key"
              .formatted(
                  alias != null
                      ? DiffusionOptions.CREDENTIALS_KEY_ALIAS.key()
                      : DiffusionOptions.CREDENTIALS_PASSWORD_FILE.key(),
                  DiffusionOptions.CREDENTIALS_KEY_FILE.key()));
    }
    return new CredentialSettings(file, alias, password);
  }

  public boolean areOn() {
    return keyFile != null;
  }

  /**
   * Reads the key, if there is to be one, so that a job without it fails at once.
   *
   * @throws CredentialsException naming the file, if it cannot be read
   */
  public synchronized Optional<Signer> signer() {
    if (keyFile != null && signer == null) {
      signer = SigningKey.ofPkcs12(Path.of(keyFile), Optional.ofNullable(keyAlias), password());
    }
    return Optional.ofNullable(signer);
  }

  private char[] password() {
    if (passwordFile != null) {
      try {
        return Files.readString(Path.of(passwordFile)).strip().toCharArray();
      } catch (IOException e) {
        throw new CredentialsException(
            "Cannot read the password file %s of the signing key: %s".formatted(passwordFile, e),
            e);
      }
    }
    String password = System.getenv(PASSWORD_VARIABLE);
    if (password == null) {
      throw new CredentialsException(
          "The signing key %s needs a password: set %s, or the environment variable %s"
              .formatted(
                  keyFile, DiffusionOptions.CREDENTIALS_PASSWORD_FILE.key(), PASSWORD_VARIABLE));
    }
    return password.toCharArray();
  }

  /** What audit records say of it: a result's bytes depend on who signs it. */
  public Map<String, String> parameters() {
    return signer()
        .map(
            one -> {
              try {
                return Map.of(CERTIFICATE, Sha256.hex(one.certificates().get(0).getEncoded()));
              } catch (CertificateEncodingException e) {
                throw new CredentialsException("A signer's certificate cannot be written", e);
              }
            })
        .orElse(Map.of());
  }

  /** A generated file with credentials, if results get them; PNG, JPEG, TIFF or WebP. */
  public byte[] sign(byte[] file, Audit audit, Supplier<List<Origin.Input>> inputs) {
    return signer()
        .map(one -> ContentCredentials.sign(file, origin(audit, inputs), one))
        .orElse(file);
  }

  /** As the other; of a kind of file that holds no credentials, the file as it is. */
  public Artifact sign(Artifact artifact, Audit audit, Supplier<List<Origin.Input>> inputs) {
    if (!areOn() || !ContentCredentials.canBeIn(artifact.mediaType())) {
      return artifact;
    }
    if (artifact.file().isPresent()) {
      ContentCredentials.sign(artifact.file().get(), origin(audit, inputs), signer().orElseThrow());
      return artifact;
    }
    byte[] signed = sign(artifact.bytes().orElseThrow(), audit, inputs);
    return new Artifact(artifact.mediaType(), Optional.of(signed), Optional.empty());
  }

  private static Origin origin(Audit audit, Supplier<List<Origin.Input>> inputs) {
    return new Origin(GENERATOR, SoftwareVersion.CURRENT, audit.toJson(), inputs.get());
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof CredentialSettings that
        && Objects.equals(keyFile, that.keyFile)
        && Objects.equals(keyAlias, that.keyAlias)
        && Objects.equals(passwordFile, that.passwordFile);
  }

  @Override
  public int hashCode() {
    return Objects.hash(keyFile, keyAlias, passwordFile);
  }
}
