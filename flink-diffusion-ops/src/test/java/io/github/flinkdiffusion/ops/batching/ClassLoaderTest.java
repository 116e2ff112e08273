/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import java.lang.ref.WeakReference;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.slf4j.LoggerFactory;

/**
 * A job with everything in its own jar ends while the device is at a call: Flink closes the job's
 * class loader, and the device's thread has classes yet to load.
 */
@Timeout(60)
class ClassLoaderTest {

  /** As Flink's for a job's jar: its own classes first. */
  private static final class JobClassLoader extends URLClassLoader {
    JobClassLoader() {
      super(new URL[] {place(SharedBatchers.class), place(FakePipeline.class)});
    }

    private static URL place(Class<?> type) {
      return type.getProtectionDomain().getCodeSource().getLocation();
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      synchronized (getClassLoadingLock(name)) {
        if (!name.startsWith("io.github.flinkdiffusion.ops.")) {
          return super.loadClass(name, resolve);
        }
        Class<?> loaded = findLoadedClass(name);
        return loaded == null ? findClass(name) : loaded;
      }
    }
  }

  @Test
  void theDeviceEndsInOrderAfterTheJobsClassLoaderIsClosedAndKeepsItNoLonger() throws Exception {
    LoggerFactory.getLogger(ClassLoaderTest.class); // before the job comes, as on a task manager
    CountDownLatch mayGoOn = new CountDownLatch(1);
    AtomicReference<String> end = new AtomicReference<>();
    WeakReference<ClassLoader> job = leaveABusyDevice(mayGoOn, end);
    mayGoOn.countDown();
    Awaitility.await().until(() -> devices().isEmpty());

    assertThat(end).hasValue("closed in order");
    replaceWhatTheJdkRemembers();
    Awaitility.await()
        .untilAsserted(
            () -> {
              System.gc();
              assertThat(job.get()).as("the class loader of a job that has ended").isNull();
            });
  }

  /** In a method of its own, whose frame holds the class loader no longer than necessary. */
  private static WeakReference<ClassLoader> leaveABusyDevice(
      CountDownLatch mayGoOn, AtomicReference<String> end) throws Exception {
    try (JobClassLoader job = new JobClassLoader()) {
      job.loadClass(LeavingProgram.class.getName())
          .getMethod("leaveABusyDevice", CountDownLatch.class, AtomicReference.class)
          .invoke(null, mayGoOn, end);
      return new WeakReference<>(job);
    }
  }

  /**
   * The JDK (17) remembers the record whose methods it linked last, and the type of a component
   * whose equals and hashCode it linked last (MethodHandle.asTypeCache), and with them their class
   * loaders: one at most, until another record comes.
   */
  private static void replaceWhatTheJdkRemembers() {
    record Another(Object value, String text) {}
    assertThat(new Another("a", "t").equals(new Another("b", "u"))).isFalse();
    assertThat(new Another("a", "t").hashCode()).isEqualTo(new Another("a", "t").hashCode());
    assertThat(new Another("a", "t").toString()).contains("a");
  }

  private static Set<Thread> devices() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().equals("diffusion-device-cpu"))
        .collect(Collectors.toSet());
  }
}
