/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.io.File;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.flink.util.FileUtils;

/**
 * The folder that takes everything temporary of a command's process, Kafka's and Flink's files and
 * unpacked libraries included. The launcher makes it and starts Java with it as {@code
 * java.io.tmpdir}, which cannot be changed later. It is gone when the process ends, by Ctrl-C too.
 *
 * <p>On Ctrl-C, the command's thread is interrupted and has some seconds to stop what it has
 * started, because a broker or a job that still runs would write into the folder meanwhile.
 */
public final class Scratch {
  /** The launcher's; without it, a command leaves what the system's temporary folder gets. */
  static final String PROPERTY = "flinkdiffusion.scratch";

  private static final Duration PATIENCE = Duration.ofSeconds(15);
  private static final Duration PAUSE = Duration.ofMillis(50);
  private static final int ATTEMPTS = 60;

  private final Optional<File> folder;
  private final Thread command = Thread.currentThread();
  private final CountDownLatch ended = new CountDownLatch(1);
  private final Runnable before;
  private volatile boolean interrupted;

  private Scratch(Optional<File> folder, Runnable before) {
    this.folder = folder;
    this.before = before;
  }

  /** From now on, the end of this process interrupts the calling thread, and deletes the folder. */
  static Scratch ofThisProcess() {
    return ofThisProcess(() -> {});
  }

  private static Scratch ofThisProcess(Runnable before) {
    Scratch scratch =
        new Scratch(Optional.ofNullable(System.getProperty(PROPERTY)).map(File::new), before);
    Runtime.getRuntime().addShutdownHook(new Thread(scratch::end, "flink-diffusion-scratch"));
    return scratch;
  }

  /**
   * From now on, the end of this process deletes the folder: for a command that has nothing to stop
   * before. Ctrl-C ends it at once.
   */
  public static void deleteAtEnd() {
    deleteAtEnd(() -> {});
  }

  /**
   * As {@link #deleteAtEnd()}.
   *
   * @param before what the end of this process waits for first
   */
  public static void deleteAtEnd(Runnable before) {
    ofThisProcess(before).commandHasEnded();
  }

  /** Whether the process is asked to end while its command still runs. */
  boolean isInterrupted() {
    return interrupted;
  }

  /** Says that the command has stopped all that it has started. */
  void commandHasEnded() {
    ended.countDown();
  }

  private void end() {
    before.run();
    try {
      if (ended.getCount() > 0) {
        interrupted = true;
        command.interrupt();
        ended.await(PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
      }
      // Other hooks, Flink's among them, may be at work in it.
      for (int i = 0; i < ATTEMPTS && folder.filter(File::exists).isPresent(); i++) {
        FileUtils.deleteDirectoryQuietly(folder.get());
        Thread.sleep(PAUSE.toMillis());
      }
    } catch (InterruptedException e) {
      folder.ifPresent(FileUtils::deleteDirectoryQuietly);
    }
  }
}
