/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Measures what encoding and signing an image of 512 x 512 take, in milliseconds. */
public final class SigningTime {
  private static final int RUNS = 60;

  private SigningTime() {}

  public static void main(String[] arguments) throws Exception {
    Random random = new Random(1);
    float[] samples = new float[3 * 512 * 512];
    for (int i = 0; i < samples.length; i++) {
      samples[i] = random.nextInt(256) / 255f;
    }
    Raster image =
        new Raster(3, 512, 512, samples).withFormat(PixelFormat.of(Bands.RGB, SampleType.UINT8));
    byte[] png = Images.write(image, "image/png");
    SigningKey ed25519 = TestCertificates.ed25519().key();
    SigningKey es256 = TestCertificates.es256().key();
    Origin origin = CredentialFiles.origin(List.of());
    System.out.printf("PNG of %d bytes%n", png.length);
    time("encode", () -> Images.write(image, "image/png"));
    time("sign Ed25519", () -> ContentCredentials.sign(png, origin, ed25519));
    time("sign ES256", () -> ContentCredentials.sign(png, origin, es256));
    byte[] signed = ContentCredentials.sign(png, origin, ed25519);
    time("verify", () -> new CredentialsVerifier().verify(signed));
  }

  private static void time(String what, Runnable run) {
    double[] millis = new double[RUNS];
    for (int i = 0; i < RUNS; i++) {
      long begin = System.nanoTime();
      run.run();
      millis[i] = (System.nanoTime() - begin) / 1e6;
    }
    Arrays.sort(millis, RUNS / 3, RUNS);
    System.out.printf("%-14s median %.2f ms of the last 40 runs%n", what, millis[RUNS / 3 + 20]);
  }
}
