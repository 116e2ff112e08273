/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.credentials.CredentialsException;
import io.github.flinkdiffusion.ops.credentials.CredentialsVerifier;
import io.github.flinkdiffusion.ops.credentials.TrustList;
import io.github.flinkdiffusion.ops.credentials.Verdict;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SpreadWatermark;
import io.github.flinkdiffusion.ops.image.WatermarkKey;
import java.nio.file.Path;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Says what the content credentials of files are worth. */
@Command(
    name = "examples/verify",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Verify the content credentials (C2PA) of image files: who signed that an image was"
          + " generated, by what and of what, and was it changed since?",
      ""
    },
    footer = {
      "",
      "Verdicts, and exit codes of the worst of them:",
      "  0  TRUSTED: unchanged, and signed by somebody whom --trust vouches for",
      "  0  VALID: unchanged, and signed by somebody",
      "  1  something is wrong, such as a file that is no image",
      "  2  the arguments are wrong",
      "  3  INVALID: the image or its credentials were changed, or break the rules of C2PA",
      "  4  NONE: the file has no credentials, and no watermark that --watermark-key reads"
    })
public final class VerifyTool implements Callable<Integer> {
  private static final int INVALID = 3;
  private static final int NONE = 4;

  @Mixin private HelpOption help;

  @CommandLine.Parameters(
      paramLabel = "FILE",
      arity = "1..*",
      description = "PNG, JPEG, TIFF or WebP files.")
  private List<Path> files;

  @Option(
      names = "--trust",
      paramLabel = "FILE",
      description = "PEM file with the certificates of authorities that you trust.")
  private Path trust;

  @Option(
      names = "--watermark-key",
      paramLabel = "FILE",
      description =
          "Key file of the watermark (diffusion.watermark.key-file): look for the mark, too.")
  private Path watermarkKey;

  @Option(
      names = "--all-scales",
      description =
          "Look for the watermark at all scales from 0.4 to 2, which takes a minute for an image"
              + " without one. Without it: at the usual ones, such as 1/2 and 4/5.")
  private boolean allScales;

  @Option(names = "--audit", description = "Print the audit record, too.")
  private boolean audit;

  private VerifyTool() {}

  public static void main(String[] args) {
    Scratch.deleteAtEnd();
    System.exit(run(args));
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new VerifyTool(), args);
  }

  @Override
  public Integer call() {
    List<X509Certificate> anchors = trust == null ? List.of() : TrustList.read(trust);
    CredentialsVerifier verifier = new CredentialsVerifier(anchors);
    Optional<SpreadWatermark> watermark =
        Optional.ofNullable(watermarkKey).map(WatermarkKey::read).map(SpreadWatermark::new);
    int exit = 0;
    for (Path file : files) {
      Verdict verdict;
      try {
        verdict = verifier.verify(file);
      } catch (CredentialsException e) {
        throw new DemoException(file + ": " + e.getMessage());
      }
      print(file, verdict);
      boolean marked = watermark.isPresent() && marked(file, watermark.get());
      exit =
          switch (verdict.state()) {
            case TRUSTED, VALID -> exit;
            case INVALID -> INVALID;
            case NONE -> marked || exit == INVALID ? exit : NONE;
          };
    }
    return exit;
  }

  private boolean marked(Path file, SpreadWatermark watermark) {
    SpreadWatermark.Search search =
        allScales ? SpreadWatermark.Search.ALL : SpreadWatermark.Search.COMMON;
    Optional<SpreadWatermark.Reading> reading;
    try {
      reading = watermark.read(Images.read(file, ReadOptions.DEFAULT), search);
    } catch (ImageException e) {
      throw new DemoException(file + ": " + e.getMessage());
    }
    line(
        "watermark",
        reading
            .map(
                found ->
                    String.format(
                        Locale.ROOT,
                        "payload %012x (score %.1f, scale %.2f)",
                        found.payload(),
                        found.score(),
                        found.scale()))
            .orElse("none that this key reads"));
    return reading.isPresent();
  }

  private void print(Path file, Verdict verdict) {
    System.out.println(verdict.state() + "  " + file);
    verdict.signer().ifPresent(name -> line("signed by", name));
    verdict.generator().ifPresent(name -> line("generated by", name));
    verdict.sourceTypes().forEach(type -> line("source", type));
    for (Verdict.Ingredient each : verdict.ingredients()) {
      line(
          "made of",
          "%s (%s)%s"
              .formatted(
                  each.title(),
                  each.relationship(),
                  each.manifest().isPresent() ? ", with credentials" : ""));
    }
    verdict
        .failures()
        .forEach(status -> line("problem", status.code() + ": " + status.explanation()));
    if (audit) {
      verdict.audit().ifPresent(json -> line("audit", json));
    }
  }

  /** Names of signers and inputs are anybody's: no control characters reach a terminal. */
  private static void line(String name, String value) {
    System.out.printf("  %-13s %s%n", name, value.replaceAll("\\p{Cntrl}", "?"));
  }
}
