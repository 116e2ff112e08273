/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Files of every kind and of every way to pack pixels, changed at random: each is read or refused,
 * and none takes much memory. {@code -Dmutations=1000000} tries more of them, {@code -Dseed=...}
 * others.
 */
class MutatedFilesTest {
  private static final int MUTATIONS = Integer.getInteger("mutations", 20_000);
  private static final long SEED = Long.getLong("seed", 17);

  private static final ReadOptions SMALL =
      ReadOptions.DEFAULT.withLimits(new ImageLimits(2048, 1 << 18, 8, 8 << 20));

  /** Allocated in all while a file is read, though most of it is free again soon. */
  private static final long MOST_BYTES = 256L << 20;

  private final Random random = new Random(SEED);

  private static Map<String, byte[]> files() throws IOException, URISyntaxException {
    Map<String, byte[]> files = new TreeMap<>();
    for (String folder :
        List.of(
            "dicom",
            "formats",
            "tiff",
            "tiff-codecs",
            "photos",
            "no-data",
            "image-cases",
            "nifti")) {
      Path path = Path.of(MutatedFilesTest.class.getResource("/fixtures/" + folder).toURI());
      try (Stream<Path> found = Files.list(path)) {
        for (Path file : found.filter(Files::isRegularFile).toList()) {
          byte[] bytes = Files.readAllBytes(file);
          if (ImageKind.of(bytes).isPresent()) {
            files.put(folder + "/" + file.getFileName(), bytes);
          }
        }
      }
    }
    return files;
  }

  @Test
  void aMutatedFileIsReadOrRefused() throws Exception {
    Map<String, byte[]> files = files();
    assertThat(files).hasSizeGreaterThan(80);
    List<String> names = List.copyOf(files.keySet());
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long thread = Thread.currentThread().getId();
    int refused = 0;
    for (int i = 0; i < MUTATIONS; i++) {
      String name = names.get(i % names.size());
      byte[] file = mutated(files.get(name));
      long before = threads.getThreadAllocatedBytes(thread);
      try {
        refused += isRefused(file, i / names.size() % 3);
      } catch (RuntimeException | Error e) {
        throw new AssertionError(
            "Mutation %d with seed %d, of %s: %s".formatted(i, SEED, name, e), e);
      }
      assertThat(threads.getThreadAllocatedBytes(thread) - before)
          .as("bytes for mutation %d with seed %d, of %s", i, SEED, name)
          .isLessThan(MOST_BYTES);
    }
    // Not all are seen: a bit of a pixel is as good as another.
    assertThat(refused).isBetween(MUTATIONS / 10, MUTATIONS * 9 / 10);
  }

  private static int isRefused(byte[] file, int page) {
    DecodedSize.of(file, file.length, SMALL.limits());
    try {
      assertThat(Images.read(file, SMALL.withPage(page)).width()).isPositive();
      return 0;
    } catch (ImageException e) {
      assertThat(e.getMessage()).isNotBlank();
      return 1;
    }
  }

  private byte[] mutated(byte[] original) {
    byte[] file = original.clone();
    // Half of the damage where the claims are.
    int reach = random.nextBoolean() ? file.length : Math.min(file.length, 700);
    int changes = 1 + random.nextInt(4);
    for (int change = 0; change < changes; change++) {
      int at = random.nextInt(reach);
      switch (random.nextInt(6)) {
        case 0 -> file[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> file[at] = (byte) random.nextInt(256);
        case 2 -> file[at] = (byte) (random.nextBoolean() ? 0xFF : 0);
        case 3 -> {
          // A number of two or four bytes that is large.
          int length = Math.min(random.nextBoolean() ? 2 : 4, file.length - at);
          Arrays.fill(file, at, at + length, (byte) (random.nextBoolean() ? 0xFF : 0x7F));
        }
        case 4 -> {
          int from = random.nextInt(file.length);
          int length = Math.min(1 + random.nextInt(16), file.length - Math.max(from, at));
          System.arraycopy(original, from, file, at, length);
        }
        default -> {
          if (random.nextInt(8) == 0) {
            return Arrays.copyOf(file, 1 + random.nextInt(file.length));
          }
          file[at]++;
        }
      }
    }
    return file;
  }
}
