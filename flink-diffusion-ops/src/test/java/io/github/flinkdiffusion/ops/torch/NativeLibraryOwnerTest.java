/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.Engines;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.Properties;
import org.junit.jupiter.api.Test;

/** Two jobs of one task manager, each with these classes in its own jar. */
class NativeLibraryOwnerTest {
  private final Properties process = new Properties();

  /** The engine's classes, loaded anew. */
  private static URLClassLoader job() {
    return new URLClassLoader(
        new URL[] {codeOf(NativeLibraryOwner.class), codeOf(Engines.class)},
        ClassLoader.getPlatformClassLoader());
  }

  private static URL codeOf(Class<?> type) {
    return type.getProtectionDomain().getCodeSource().getLocation();
  }

  private void claim(ClassLoader job) throws Throwable {
    Method claim =
        job.loadClass(NativeLibraryOwner.class.getName())
            .getDeclaredMethod("claim", Properties.class, ClassLoader.class);
    claim.setAccessible(true);
    try {
      claim.invoke(null, process, job);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
  }

  @Test
  void aSecondClassLoaderIsToldWhichJarsBelongWhere() throws Throwable {
    try (URLClassLoader first = job();
        URLClassLoader second = job()) {
      claim(first);
      claim(first);
      assertThatThrownBy(() -> claim(second))
          .hasMessageContaining("already loaded in this process by the class loader")
          .hasMessageContaining("pytorch-jni")
          .hasMessageContaining("into Flink's lib/ folder")
          .hasMessageContaining("restart the task manager");
    }
  }

  @Test
  void theMarkSurvivesTheClassLoaderThatMadeIt() throws Throwable {
    try (URLClassLoader first = job()) {
      claim(first);
    }
    try (URLClassLoader second = job()) {
      assertThatThrownBy(() -> claim(second)).hasMessageContaining("lib/");
    }
  }

  @Test
  void whatIsInLibIsSharedByAllJobs() {
    ClassLoader lib = NativeLibraryOwner.class.getClassLoader();
    NativeLibraryOwner.claim(process, lib);
    NativeLibraryOwner.claim(process, lib);
    assertThat(process.getProperty(NativeLibraryOwner.PROPERTY)).contains("ClassLoader@");
  }

  @Test
  void loadingTheEngineClaimsIt() {
    Engines.standard().gpuCount();
    assertThat(System.getProperty(NativeLibraryOwner.PROPERTY)).isNotNull();
  }
}
