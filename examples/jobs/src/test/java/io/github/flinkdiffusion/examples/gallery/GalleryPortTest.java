/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.InetAddress;
import java.net.ServerSocket;
import org.junit.jupiter.api.Test;

class GalleryPortTest {
  @Test
  void aPortThatIsTakenIsRefusedBeforeAnythingIsStarted() throws Exception {
    try (ServerSocket other = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      assertThatThrownBy(() -> Gallery.requireFree(other.getLocalPort()))
          .isInstanceOf(GalleryException.class)
          .hasMessageContaining("Port " + other.getLocalPort())
          .hasMessageContaining("--port");
    }
    assertThatCode(() -> Gallery.requireFree(0)).doesNotThrowAnyException();
  }

  @Test
  void aNumberThatIsNoPortIsRefused() {
    assertThatThrownBy(() -> Gallery.requireFree(70_000))
        .isInstanceOf(GalleryException.class)
        .hasMessageContaining("There is no port 70000")
        .hasMessageContaining("65535");
  }
}
