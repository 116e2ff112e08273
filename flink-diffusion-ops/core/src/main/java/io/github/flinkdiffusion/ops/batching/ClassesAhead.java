/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Loads this project's classes, and DJL's, before their class loader is closed.
 *
 * <p>With everything in the job's jar, Flink closes the job's class loader when its tasks have
 * ended, while a thread may still be finishing a call of the device, or an image. A class that such
 * a thread needs for the first time would no longer be found. Classes that are loaded stay usable,
 * so whoever leaves a thread behind loads them all. That takes some tenths of a second, once.
 */
@Internal
public final class ClassesAhead {
  private static final Logger LOG = LoggerFactory.getLogger(ClassesAhead.class);
  private static final List<String> PACKAGES = List.of("io/github/flinkdiffusion/", "ai/djl/");
  private static final String CLASS = ".class";

  private static final AtomicBoolean LOADED = new AtomicBoolean();

  private ClassesAhead() {}

  /**
   * Does nothing where the classes are the process's own, which nobody closes, and nothing the
   * second time.
   */
  public static synchronized void load() {
    ClassLoader loader = ClassesAhead.class.getClassLoader();
    if (loader == ClassLoader.getSystemClassLoader() || LOADED.getAndSet(true)) {
      return;
    }
    if (loader instanceof URLClassLoader jars) {
      for (URL url : jars.getURLs()) {
        load(url, loader);
      }
    }
  }

  private static void load(URL url, ClassLoader loader) {
    try {
      Path path = Path.of(new URI(url.toString()));
      if (Files.isDirectory(path)) {
        try (Stream<Path> files = Files.walk(path)) {
          files
              .map(file -> path.relativize(file).toString().replace(File.separatorChar, '/'))
              .forEach(name -> load(name, loader));
        }
      } else {
        try (JarFile jar = new JarFile(path.toFile())) {
          jar.stream().map(JarEntry::getName).forEach(name -> load(name, loader));
        }
      }
    } catch (IOException | URISyntaxException | IllegalArgumentException e) {
      LOG.warn("Classes in {} could not be loaded ahead.", url, e);
    }
  }

  private static void load(String name, ClassLoader loader) {
    if (!name.endsWith(CLASS) || PACKAGES.stream().noneMatch(name::startsWith)) {
      return;
    }
    try {
      Class.forName(
          name.substring(0, name.length() - CLASS.length()).replace('/', '.'), false, loader);
    } catch (ClassNotFoundException | LinkageError e) {
      LOG.debug("{} is not loaded ahead, because a class that it refers to is missing.", name, e);
    }
  }
}
