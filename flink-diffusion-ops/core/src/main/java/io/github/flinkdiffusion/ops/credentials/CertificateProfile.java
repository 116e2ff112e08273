/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** What a certificate must be to sign claims: the profile of the C2PA specification. */
final class CertificateProfile {
  private static final String ANY = "2.5.29.37.0";
  private static final String TIME_STAMPING = "1.3.6.1.5.5.7.3.8";
  private static final String OCSP_SIGNING = "1.3.6.1.5.5.7.3.9";
  private static final String AUTHORITY_KEY = "2.5.29.35";

  /** E-mail protection, document signing, and C2PA's own. */
  private static final Set<String> SIGNING =
      Set.of(
          "1.3.6.1.5.5.7.3.4",
          "1.3.6.1.5.5.7.3.36",
          "1.3.6.1.4.1.62558.2.1",
          TIME_STAMPING,
          OCSP_SIGNING);

  private static final Set<String> HANDLED =
      Set.of(
          "2.5.29.14",
          "2.5.29.15",
          "2.5.29.17",
          "2.5.29.19",
          "2.5.29.32",
          "2.5.29.35",
          "2.5.29.37",
          "2.5.29.30",
          "2.5.29.31",
          "1.3.6.1.5.5.7.1.1");

  private static final Set<String> SIGNED_BY =
      Set.of(
          "1.2.840.10045.4.3.2",
          "1.2.840.10045.4.3.3",
          "1.2.840.10045.4.3.4",
          "1.2.840.113549.1.1.11",
          "1.2.840.113549.1.1.12",
          "1.2.840.113549.1.1.13",
          "1.2.840.113549.1.1.10",
          "1.3.101.112");

  private CertificateProfile() {}

  /** What is wrong with a signer's certificate, apart from the time and from who vouches for it. */
  static Optional<String> objection(X509Certificate certificate) {
    if (certificate.getVersion() != 3) {
      return Optional.of("its version is " + certificate.getVersion() + ", expected 3");
    }
    if (!SIGNED_BY.contains(certificate.getSigAlgOID())) {
      return Optional.of("it is signed by " + certificate.getSigAlgName());
    }
    if (certificate.getBasicConstraints() >= 0) {
      return Optional.of("it is an authority's");
    }
    boolean[] usage = certificate.getKeyUsage();
    if (usage == null || !usage[0] || usage[5]) {
      return Optional.of("its key usage must have digitalSignature and not keyCertSign");
    }
    List<String> extended;
    try {
      extended = certificate.getExtendedKeyUsage();
    } catch (CertificateParsingException e) {
      return Optional.of("its extended key usage cannot be read: " + e.getMessage());
    }
    if (extended == null || extended.contains(ANY)) {
      return Optional.of("its extended key usage is missing, or is any");
    }
    if (extended.stream().noneMatch(SIGNING::contains)) {
      return Optional.of(
          "its extended key usage is "
              + extended
              + "; expected e-mail protection or document"
              + " signing");
    }
    if ((extended.contains(TIME_STAMPING) || extended.contains(OCSP_SIGNING))
        && extended.size() > 1) {
      return Optional.of("its extended key usage mixes time stamps or OCSP with others");
    }
    if (certificate.getExtensionValue(AUTHORITY_KEY) == null) {
      return Optional.of("its extension authorityKeyIdentifier is missing");
    }
    Set<String> critical = certificate.getCriticalExtensionOIDs();
    if (critical != null && !HANDLED.containsAll(critical)) {
      return Optional.of("it has unknown critical extensions among " + critical);
    }
    if (certificate.getIssuerUniqueID() != null || certificate.getSubjectUniqueID() != null) {
      return Optional.of("it has unique ids");
    }
    return Optional.empty();
  }
}
