/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.EOFException;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** A disk's trouble may pass; a file's content stays as it is. */
@EnabledOnOs(OS.LINUX) // whose /dev/full is a disk that is full
class DiskTroubleTest {
  @Test
  void aDiskThatGivesErrorsIsNoVerdictOnTheImage() {
    SeekableByteChannel erroneous =
        (SeekableByteChannel)
            Proxy.newProxyInstance(
                DiskTroubleTest.class.getClassLoader(),
                new Class<?>[] {SeekableByteChannel.class},
                (self, method, arguments) -> {
                  if (method.getName().equals("read")) {
                    throw new IOException("Input/output error");
                  }
                  return method.getReturnType() == long.class ? 1_000L : self;
                });
    assertThat(
            catchThrowableOfType(
                ImageException.class, () -> TiffReader.open(erroneous, ReadOptions.DEFAULT)))
        .hasStackTraceContaining("Input/output error")
        .satisfies(e -> assertThat(e.mayPass()).isTrue());
  }

  @Test
  void neitherIsADiskThatIsFull() {
    Throwable full = catchThrowable(() -> Files.write(Path.of("/dev/full"), new byte[1]));
    assertThat(full).hasMessageContaining("No space left on device");
    assertThat(new ImageException("Cannot write a tile.", full).mayPass()).isTrue();
  }

  @Test
  void aFileThatEndsTooEarlyStaysSo() {
    assertThat(new ImageException("Truncated.", new EOFException("ends early")).mayPass())
        .isFalse();
    assertThat(new ImageException("No TIFF.").mayPass()).isFalse();
  }
}
