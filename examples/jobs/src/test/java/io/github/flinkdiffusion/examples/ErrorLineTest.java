/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.Test;

class ErrorLineTest {

  @Test
  void isWhatThisProjectSaysOfItHoweverDeepItIsWrapped() {
    Throwable error =
        new ExecutionException(
            new RuntimeException(
                "Job failed",
                new DemoException("Folder x is not there;\n  use y.", new IOException("stat"))));
    assertThat(ErrorLine.of(error)).isEqualTo("Folder x is not there; use y.");
  }

  @Test
  void isTheRootCauseWithItsTypeWhenNobodyOfThisProjectSaysAnything() {
    assertThat(ErrorLine.of(new RuntimeException(new IOException("disk full"))))
        .isEqualTo("IOException: disk full");
    assertThat(ErrorLine.of(new NullPointerException())).isEqualTo("NullPointerException");
  }

  @Test
  void saysWhereTemporaryFilesAreWhenTheirDiskIsFull() {
    assertThat(ErrorLine.of(new RuntimeException(new IOException("No space left on device"))))
        .startsWith("No space left on device: temporary files are in ")
        .contains(System.getProperty("java.io.tmpdir"))
        .contains("TMPDIR");
  }

  @Test
  void leavesOutTheClassNamesOfExceptionsThatOthersQuote() {
    assertThat(
            ErrorLine.of(
                new DemoException("No model: io.github.example.WeightsException: File x is short")))
        .isEqualTo("No model: File x is short");
  }

  @Test
  void isNeverLongerThanAScreenShows() {
    assertThat(ErrorLine.of(new DemoException("x".repeat(10_000)))).hasSizeLessThan(700);
  }
}
