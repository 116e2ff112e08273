/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.ImageTaskCase.image;
import static io.github.flinkdiffusion.ops.operator.ImageTaskCase.task;
import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.jna.NativeLibrary;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.flink.configuration.MemorySize;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * Image tasks and the trouble of file systems: a task of Flink that fails would show itself as an
 * exception from the harness, so in none of these a job restarts.
 */
class ImageTaskFilesTest {
  private static final int GOOD = 20;

  /** The smallest square whose result, twice as large, is put together in a file. */
  private static final int LARGE = 2052;

  private static final int TMPFS_BYTES = 1 << 20;

  @TempDir Path folder;

  private final ManualDevices devices = new ManualDevices();
  private final Raster raster = image(8, 8);
  private final byte[] tiff = Images.write(raster, "image/tiff");
  private Path images;
  private Path scratch;

  @BeforeEach
  void makeFolders() throws IOException {
    images = Files.createDirectory(folder.resolve("images"));
    scratch = Files.createDirectory(folder.resolve("scratch"));
  }

  private ImageSubtask open(Object... optionsAndValues) throws Exception {
    List<Object> all =
        new ArrayList<>(
            List.of(
                PayloadOptions.STORE,
                folder.resolve("store").toUri().toString(),
                PayloadOptions.ALLOWED_PREFIXES,
                List.of("file:" + images)));
    all.addAll(List.of(optionsAndValues));
    return new ImageSubtask(new FakeUpscalers(1, "d"), settings(all.toArray()), devices, scratch)
        .open();
  }

  private ImageTaskEvent stored(String id, String name) {
    return task(id, raster, "image/png")
        .setImage(
            Payloads.stored(
                new PayloadReference(
                    "file:" + images + "/" + name, Payloads.sha256(tiff), (long) tiff.length),
                ""))
        .build();
  }

  // ------------------------------------------------------------------ paths

  @Test
  void amongTwentyGoodTasksOneWithAFileAsAFolderAndOneWithTooLongANameAreFailures()
      throws Exception {
    Files.write(images.resolve("ok.png"), tiff);
    List<String> good = new ArrayList<>();
    try (ImageSubtask subtask = open()) {
      for (int number = 0; number < GOOD; number++) {
        good.add("good" + number);
        subtask.task(stored(good.get(number), "ok.png"));
        if (number == 6) {
          subtask.task(stored("file as folder", "ok.png/x"));
        }
        if (number == 13) {
          subtask.task(stored("long name", "n".repeat(300)));
        }
      }
      subtask.settle();

      assertThat(subtask.images())
          .extracting(ImageEvent::getId)
          .containsExactlyInAnyOrderElementsOf(good);
      assertThat(subtask.failures())
          .extracting(FailureEvent::getId, FailureEvent::getReason)
          .containsExactlyInAnyOrder(
              tuple("file as folder", FailureReason.PAYLOAD),
              tuple("long name", FailureReason.PAYLOAD));
    }
  }

  // ------------------------------------------------------------------ reading

  @Test
  void aTaskWhoseImageCannotBeFetchedAtFirstIsAnsweredLaterAndOthersGoOn() throws Exception {
    Files.write(images.resolve("a.tif"), tiff);
    Path unmounted = Files.move(images, folder.resolve("unmounted"));
    try (ImageSubtask subtask = open()) {
      subtask.task(stored("a", "a.tif"));
      subtask.task(task("b", raster, "image/tiff").build());
      subtask.settle();
      assertAnswered(subtask, "b");

      Files.move(unmounted, images);
      subtask.harness.setProcessingTime(1_000);
      subtask.settle();
      assertAnswered(subtask, "b", "a");
      assertAllMemoryIsGivenBack();
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX) // where this file gives EIO: nothing is at address 0 of a process
  void aTaskWhoseTiffGivesReadErrorsWhileItIsOpenedIsAnsweredLaterAndOthersGoOn() throws Exception {
    Path file = Files.write(images.resolve("a.tif"), tiff);
    try (ImageSubtask subtask = open()) {
      subtask.task(stored("a", "a.tif"));
      while (subtask.deliverMail()) {}
      assertThat(devices.encodeOne()).as("it is fetched").isTrue();
      Files.delete(file);
      Files.createSymbolicLink(file, Path.of("/proc/self/mem"));
      subtask.task(task("b", raster, "image/tiff").build());
      subtask.settle();
      assertAnswered(subtask, "b");

      Files.delete(file);
      Files.write(file, tiff);
      subtask.harness.setProcessingTime(1_000);
      subtask.settle();
      assertAnswered(subtask, "b", "a");
      assertAllMemoryIsGivenBack();
    }
  }

  /** The kernel's own errors: the open file's descriptor becomes one that reads fail on. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void aTaskWhoseOpenTiffGivesReadErrorsHalfwayIsAnsweredLaterAndAllElseGoesOn() throws Exception {
    Raster large = image(640, 640);
    byte[] tiles = Images.write(large, "image/tiff");
    Path file = Files.write(images.resolve("a.tif"), tiles).toRealPath();
    ImageTaskEvent asked =
        task("a", large, "image/tiff")
            .setImage(
                Payloads.stored(
                    new PayloadReference(
                        "file:" + images + "/a.tif", Payloads.sha256(tiles), (long) tiles.length),
                    ""))
            .build();
    int erroneous = libc("open", "/proc/self/mem", 0); // nothing is at address 0
    int good = libc("open", file.toString(), 0);
    try (ImageSubtask subtask =
        open(ImageTaskOptions.TILE_SIZE, 128, ImageTaskOptions.PARTS_IN_FLIGHT, 2)) {
      subtask.task(asked);
      while (subtask.meters().tiles.getCount() == 0) {
        assertThat(subtask.progress()).as("its first tiles are made").isTrue();
      }
      int open = descriptorOtherThan(Set.of(good, erroneous), file);
      assertThat(libc("dup2", erroneous, open)).isEqualTo(open);
      subtask.task(task("b", raster, "image/tiff").build());
      subtask.settle();
      assertAnswered(subtask, "b");

      assertThat(libc("dup2", good, open)).isEqualTo(open);
      subtask.harness.setProcessingTime(1_000);
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      assertThat(subtask.images()).extracting(ImageEvent::getId).containsExactly("b", "a");
      assertAllMemoryIsGivenBack();
    } finally {
      libc("close", erroneous);
      libc("close", good);
    }
  }

  private static int libc(String function, Object... arguments) {
    return NativeLibrary.getProcess().getFunction(function).invokeInt(arguments);
  }

  private static int descriptorOtherThan(Set<Integer> own, Path file) throws Exception {
    try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
      List<Integer> found =
          all.filter(link -> leadsTo(link, file))
              .map(link -> Integer.parseInt(link.getFileName().toString()))
              .filter(number -> !own.contains(number))
              .toList();
      assertThat(found).as("%s is open", file).hasSize(1);
      return found.get(0);
    }
  }

  private static boolean leadsTo(Path link, Path file) {
    try {
      return Files.readSymbolicLink(link).equals(file);
    } catch (IOException closedMeanwhile) {
      return false;
    }
  }

  private static void assertAnswered(ImageSubtask subtask, String... ids) {
    assertThat(subtask.failures()).isEmpty();
    assertThat(subtask.images()).extracting(ImageEvent::getId).containsExactly(ids);
  }

  private void assertAllMemoryIsGivenBack() {
    DecodingMemory memory = devices.services.decoding();
    assertThat(memory.reserve(memory.capacity()).granted()).isDone();
  }

  // ------------------------------------------------------------------ scratch files

  @Test
  void aResultIsPutTogetherWhenItsScratchFolderIsThereAgain() throws Exception {
    Files.delete(scratch);
    assertComposedAfter(() -> Files.createDirectory(scratch));
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void aResultIsPutTogetherWhenTheScratchDiskHasRoomAgain() throws Exception {
    assumeTrue(
        run("mount", "-t", "tmpfs", "-o", "size=" + TMPFS_BYTES, "tmpfs", scratch.toString()),
        "mounting needs root");
    try {
      Path filler = Files.write(scratch.resolve("filler"), new byte[TMPFS_BYTES - 8192]);
      assertComposedAfter(() -> Files.delete(filler));
    } finally {
      run("umount", scratch.toString());
    }
  }

  private interface Mending {
    void mend() throws IOException;
  }

  private void assertComposedAfter(Mending mending) throws Exception {
    Raster large = new Raster(1, LARGE, LARGE, new float[LARGE * LARGE]);
    try (ImageSubtask subtask =
        open(
            ImageTaskOptions.TILE_SIZE,
            512,
            PayloadOptions.INLINE_LIMIT,
            MemorySize.parse("10 kb"))) {
      subtask.task(task("large", large, "image/png").build());
      subtask.task(task("small", raster, "image/png").build());
      subtask.settle();
      assertAnswered(subtask, "small");
      subtask.harness.setProcessingTime(1_000);
      subtask.settle();
      assertAnswered(subtask, "small");

      long tiles = subtask.meters().tiles.getCount();
      mending.mend();
      subtask.harness.setProcessingTime(2_000);
      subtask.settle();
      assertAnswered(subtask, "small", "large");
      assertThat(subtask.images().get(1).getWidth()).isEqualTo(2 * LARGE);
      assertThat(subtask.meters().tiles.getCount()).as("nothing else is redone").isEqualTo(tiles);
      try (Stream<Path> left = Files.list(scratch)) {
        assertThat(left).as("left behind").isEmpty();
      }
    }
  }

  private static boolean run(String... command) throws IOException, InterruptedException {
    return new ProcessBuilder(command).inheritIO().start().waitFor() == 0;
  }
}
