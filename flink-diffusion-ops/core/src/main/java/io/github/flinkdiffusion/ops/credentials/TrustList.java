/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.annotation.Internal;

/** Certificates of authorities that a user trusts: a PEM file, such as C2PA's own list. */
@Internal
public final class TrustList {
  private TrustList() {}

  /**
   * @throws CredentialsException naming the file, if it holds none
   */
  public static List<X509Certificate> read(Path file) {
    List<X509Certificate> anchors = new ArrayList<>();
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file))) {
      for (Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
        anchors.add((X509Certificate) each);
      }
    } catch (IOException | CertificateException e) {
      throw new CredentialsException(
          "Cannot read the certificates of %s; a PEM file is expected: %s"
              .formatted(file, e.getMessage()),
          e);
    }
    if (anchors.isEmpty()) {
      throw new CredentialsException("The file %s has no certificate".formatted(file));
    }
    return anchors;
  }
}
