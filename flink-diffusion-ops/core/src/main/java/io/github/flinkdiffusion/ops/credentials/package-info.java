/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Content credentials (C2PA 2.2) in PNG, JPEG, TIFF and WebP files: who signs that an image was
 * generated, by what and of what. {@link
 * io.github.flinkdiffusion.ops.credentials.ContentCredentials} writes them, {@link
 * io.github.flinkdiffusion.ops.credentials.CredentialsVerifier} says what those of a file are
 * worth, and {@link io.github.flinkdiffusion.ops.credentials.PriorCredentials} keeps those of an
 * input.
 *
 * <pre>{@code
 * Signer signer = SigningKey.ofPkcs12(file, Optional.of("images"), password);
 * byte[] signed = ContentCredentials.sign(png, origin, signer);
 * Verdict verdict = new CredentialsVerifier().verify(signed);
 * }</pre>
 *
 * <p>Boxes (JUMBF), CBOR and COSE are written here, because C2PA uses little of them and files of
 * anybody are read: each length is compared with what is there. Keys, certificates and curves are
 * Java's own.
 */
package io.github.flinkdiffusion.ops.credentials;
