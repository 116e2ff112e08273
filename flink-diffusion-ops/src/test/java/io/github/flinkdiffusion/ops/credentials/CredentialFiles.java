/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import io.github.flinkdiffusion.ops.credentials.Origin.Input;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.Signature;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Writes files with credentials, and says what those of files are worth, for check_credentials.py.
 */
public final class CredentialFiles {
  static final String AUDIT =
      "{\"format\":1,\"task\":\"text-to-image\",\"prompt\":\"a caf\\u00e9\"}";

  private CredentialFiles() {}

  /**
   * @param arguments {@code write FOLDER WEBP}: signed files of each kind and {@code roots.pem}; or
   *     {@code read ROOTS LIST}: a line for each file of a list
   */
  public static void main(String[] arguments) throws Exception {
    if (arguments[0].equals("write")) {
      write(Path.of(arguments[1]), Path.of(arguments[2]));
    } else {
      read(Path.of(arguments[1]), Path.of(arguments[2]));
    }
  }

  private static void write(Path folder, Path webp) throws Exception {
    Map<String, TestCertificates> signers = new LinkedHashMap<>();
    signers.put("ed25519", TestCertificates.ed25519());
    signers.put("es256", TestCertificates.es256());
    StringBuilder roots = new StringBuilder();
    for (Map.Entry<String, TestCertificates> signer : signers.entrySet()) {
      roots
          .append("-----BEGIN CERTIFICATE-----\n")
          .append(Base64.getMimeEncoder().encodeToString(signer.getValue().root().getEncoded()))
          .append("\n-----END CERTIFICATE-----\n");
      byte[] earlier = null;
      for (Map.Entry<String, byte[]> file : plain(webp).entrySet()) {
        String kind = file.getKey();
        SigningKey key = signer.getValue().key();
        byte[] signed = ContentCredentials.sign(file.getValue(), origin(List.of()), key);
        Files.write(folder.resolve(signer.getKey() + "-created." + kind), signed);
        List<Input> inputs = new ArrayList<>();
        inputs.add(new Input("image", true, PriorCredentials.of(signed)));
        inputs.add(new Input("mask", false, PriorCredentials.of(file.getValue())));
        if (earlier != null) {
          // With credentials that have an ingredient with credentials themselves.
          inputs.add(new Input("control", false, PriorCredentials.of(earlier)));
        }
        earlier = ContentCredentials.sign(file.getValue(), origin(inputs), key);
        Files.write(folder.resolve(signer.getKey() + "-changed." + kind), earlier);
        // Of an input that was changed after it was signed, and says so.
        byte[] tampered = signed.clone();
        tampered[kind.equals("tif") ? 200 : tampered.length - 30] ^= 1;
        Files.write(
            folder.resolve(signer.getKey() + "-of-tampered." + kind),
            ContentCredentials.sign(
                file.getValue(),
                origin(List.of(new Input("image", true, PriorCredentials.of(tampered)))),
                key));
      }
    }
    Files.writeString(folder.resolve("roots.pem"), roots);
    byte[] png = plain(webp).get("png");
    Files.write(
        folder.resolve("refused-expired.png"),
        ContentCredentials.sign(png, origin(List.of()), unchecked(TestCertificates.expired())));
    Files.write(
        folder.resolve("refused-server.png"),
        ContentCredentials.sign(png, origin(List.of()), unchecked(TestCertificates.ofAServer())));
  }

  /** Signs with certificates that {@link SigningKey} refuses. */
  static Signer unchecked(TestCertificates certificates) {
    return new Signer() {
      @Override
      public SignatureAlgorithm algorithm() {
        return SignatureAlgorithm.ED25519;
      }

      @Override
      public List<X509Certificate> certificates() {
        return List.of(certificates.certificate());
      }

      @Override
      public int signatureBytes() {
        return 64;
      }

      @Override
      public byte[] sign(byte[] message) {
        try {
          Signature signature = Signature.getInstance("Ed25519");
          signature.initSign(certificates.keys().getPrivate());
          signature.update(message);
          return signature.sign();
        } catch (GeneralSecurityException e) {
          throw new CredentialsException("Not signed", e);
        }
      }
    };
  }

  /** Small files of each kind, larger than what a JPEG segment holds for the one of them. */
  static Map<String, byte[]> plain(Path webp) throws IOException {
    float[] samples = new float[3 * 32 * 32];
    for (int i = 0; i < samples.length; i++) {
      samples[i] = i * 31 % 256 / 255f;
    }
    Raster image =
        new Raster(3, 32, 32, samples).withFormat(PixelFormat.of(Bands.RGB, SampleType.UINT8));
    Map<String, byte[]> files = new LinkedHashMap<>();
    files.put("png", Images.write(image, "image/png"));
    files.put("jpg", Images.write(image, "image/jpeg"));
    files.put("tif", Images.write(image, "image/tiff"));
    files.put("webp", Files.readAllBytes(webp));
    return files;
  }

  static Origin origin(List<Input> inputs) {
    return new Origin("Flink Diffusion", "test", AUDIT, inputs);
  }

  private static void read(Path roots, Path list) throws Exception {
    List<X509Certificate> anchors = TrustList.read(roots);
    for (String line : Files.readAllLines(list)) {
      String said;
      try {
        Verdict verdict = new CredentialsVerifier(anchors).verify(Path.of(line));
        said =
            verdict.state()
                + "\t"
                + verdict.failures().stream()
                    .map(Verdict.Status::code)
                    .distinct()
                    .sorted()
                    .collect(Collectors.joining(","))
                + "\t"
                + verdict.ingredients().stream()
                    .map(each -> each.title() + "=" + each.manifest().orElse(""))
                    .collect(Collectors.joining(","));
      } catch (CredentialsException e) {
        said = "UNREADABLE\t" + e.getMessage().replace('\n', ' ') + "\t";
      }
      System.out.println(line + "\t" + said);
    }
  }
}
