/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Engines;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A job is built on machines without an engine and without a GPU: a device's name is checked there
 * by what it looks like.
 */
class DeviceNamesTest {

  /** This project's classes and DJL's once more, written down as they are asked for. */
  private static final class Loader extends URLClassLoader {
    final Set<String> asked = ConcurrentHashMap.newKeySet();

    Loader() {
      super(
          Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
              .map(Loader::url)
              .toArray(URL[]::new),
          DeviceNamesTest.class.getClassLoader());
    }

    private static URL url(String entry) {
      try {
        return Path.of(entry).toUri().toURL();
      } catch (MalformedURLException e) {
        throw new IllegalArgumentException(entry, e);
      }
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (!name.startsWith("io.github.flinkdiffusion.") && !name.startsWith("ai.djl.")) {
        return super.loadClass(name, resolve);
      }
      synchronized (getClassLoadingLock(name)) {
        asked.add(name);
        Class<?> loaded = findLoadedClass(name);
        return loaded == null ? findClass(name) : loaded;
      }
    }
  }

  private final Loader loader = new Loader();

  @AfterEach
  void close() throws IOException {
    loader.close();
  }

  private void settings(String device) throws Exception {
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, "/models/m");
    config.set(DiffusionOptions.DEVICE, device);
    try {
      loader
          .loadClass(GenerationService.Settings.class.getName())
          .getMethod("of", ReadableConfig.class)
          .invoke(null, config);
    } catch (InvocationTargetException e) {
      throw (Exception) e.getCause();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"auto", "cpu", "gpu:0", "gpu:1234"})
  void aNameIsCheckedWithoutAnEngine(String device) throws Exception {
    settings(device);
    assertNoEngineIsAskedFor();
  }

  @Test
  void aWrongNameIsRefusedWithoutAnEngine() {
    assertThatThrownBy(() -> settings("gpu:first")).hasMessageContaining("gpu:first");
    assertNoEngineIsAskedFor();
  }

  private void assertNoEngineIsAskedFor() {
    assertThat(loader.asked)
        .contains("io.github.flinkdiffusion.ops.engine.DeviceSpec")
        .noneMatch(name -> name.startsWith("ai.djl."))
        .noneMatch(name -> name.startsWith("io.github.flinkdiffusion.ops.torch"))
        .noneMatch(name -> name.startsWith("io.github.flinkdiffusion.ops.onnx"))
        .doesNotContain(Engine.class.getName(), Engines.class.getName());
  }

  @Test
  void theCpuIsFoundWithoutTheNativeLibrary() throws Exception {
    Class<?> engines = loader.loadClass(Engines.class.getName());
    Object all = engines.getMethod("standard").invoke(null);
    Object device =
        loader
            .loadClass(Engines.class.getName())
            .getMethod("device", String.class)
            .invoke(all, "cpu");

    assertThat(device).hasToString("cpu");
    assertThat(loader.asked)
        .contains("io.github.flinkdiffusion.ops.torch.TorchEngine")
        .noneMatch(name -> name.startsWith("ai.djl."));
  }
}
