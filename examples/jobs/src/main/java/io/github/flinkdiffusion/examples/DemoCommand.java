/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.function.BooleanSupplier;
import java.util.logging.LogManager;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;

/**
 * How the commands end: 0 when all was done, 1 when something failed, with one line on standard
 * error that says what, and 2 when the arguments are wrong.
 */
final class DemoCommand {
  /** Read by the log configuration. */
  private static final String LOG_FILE = "flinkdiffusion.log";

  private static final String LOG_CONFIGURATION = "log4j2.configurationFile";
  private static final String LOG_TROUBLE = "log4j2.statusLoggerLevel";
  private static final int FAILED = 1;

  /** As shells have it: 128 and the number of the signal. */
  private static final int INTERRUPTED = 130;

  private DemoCommand() {}

  /**
   * A command's main program: runs it, ends the process with its exit code, and leaves nothing in
   * the system's temporary folder.
   */
  static void main(Callable<Integer> command, String... args) {
    // The first logger reads this.
    System.getProperties().putIfAbsent(LOG_CONFIGURATION, "classpath:log4j2-demo.properties");
    // On a full disk, the log would print each line that it cannot write, with its stack trace.
    System.getProperties().putIfAbsent(LOG_TROUBLE, "OFF");
    // ONNX Runtime prints stack traces by it, of errors that it also throws.
    LogManager.getLogManager().reset();
    Scratch scratch = Scratch.ofThisProcess();
    int exitCode;
    try {
      exitCode = run(command, scratch::isInterrupted, args);
    } finally {
      removeEmptyLog();
      scratch.commandHasEnded();
    }
    // Flink and Kafka leave threads behind that would keep the process alive.
    System.exit(exitCode);
  }

  /** Runs a command and returns the exit code. */
  static int run(Callable<Integer> command, String... args) {
    return run(command, () -> false, args);
  }

  private static int run(Callable<Integer> command, BooleanSupplier interrupted, String... args) {
    CommandLine line = new CommandLine(command);
    line.setExecutionExceptionHandler(
        (error, given, parsed) -> {
          if (interrupted.getAsBoolean()) {
            System.err.println("Interrupted.");
            return INTERRUPTED;
          }
          return failed(command, error);
        });
    line.setParameterExceptionHandler(
        (error, given) -> {
          System.err.println("error: " + error.getMessage() + "; --help lists the options.");
          return CommandLine.ExitCode.USAGE;
        });
    try {
      return line.execute(args);
    } catch (Error e) {
      return failed(command, e);
    }
  }

  private static int failed(Object command, Throwable error) {
    System.err.println("error: " + ErrorLine.of(error));
    if (System.getProperty(LOG_FILE) != null) {
      LoggerFactory.getLogger(command.getClass()).error("The run failed.", error);
      System.err.println("Details are in " + System.getProperty(LOG_FILE));
    }
    return FAILED;
  }

  /** On a full disk, there may be nothing in it. */
  private static void removeEmptyLog() {
    String log = System.getProperty(LOG_FILE);
    if (log == null) {
      return;
    }
    try {
      Path file = Path.of(log);
      if (Files.exists(file) && Files.size(file) == 0) {
        Files.delete(file);
      }
    } catch (IOException e) {
      // An empty log does no harm.
    }
  }

  /** Where the log goes from now on. */
  static void logTo(Path file) {
    System.setProperty(LOG_FILE, file.toString());
  }
}
